"""Bytes that are no text, from a device or a server that lies, are told like any other nonsense."""

from collections.abc import Callable

import msgspec
import pytest

from caisey_agent.protocol import consent, frames, receipt
from caisey_core.domain import events

DECODERS: list[tuple[Callable[[bytes], object], str]] = [
    (frames.decode_from_server, "t"),
    (frames.decode_from_agent, "t"),
    (consent.decode_request, "tenant"),
    (consent.decode_statement, "type"),
    (receipt.decode, "type"),
    (events.decode, "kind"),
]


@pytest.mark.parametrize(("decode", "field"), DECODERS)
def test_no_utf_8(decode: Callable[[bytes], object], field: str) -> None:
    """msgspec lets UnicodeDecodeError out where a text is no UTF-8; whoever reads the bytes is promised a DecodeError."""
    data = msgspec.msgpack.encode({field: "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"}).replace(b"\xc3\xa9", b"\xc3\x28")
    with pytest.raises(msgspec.DecodeError, match=r"UTF-8|utf-8"):
        decode(data)
