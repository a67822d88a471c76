"""The vocabulary on disk: names never change, bytes come back as they went in, what is unknown is kept."""

import types
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisey_core.domain import events as e

TAGS = [
    "api-token-created",
    "api-token-revoked",
    "assignment-closed",
    "assignment-moved",
    "audit-exported",
    "client-created",
    "client-renamed",
    "command-accepted",
    "command-finished",
    "command-interrupted",
    "command-started",
    "consent-asked",
    "consent-denied",
    "consent-ended",
    "consent-granted",
    "consent-postponed",
    "consent-withdrawn",
    "content-erased",
    "device-assigned",
    "device-enrolled",
    "device-moved",
    "device-removed",
    "device-renamed",
    "installer-created",
    "installer-revoked",
    "installer-rotated",
    "member-changed",
    "keys-rotated",
    "member-created",
    "member-deactivated",
    "member-linked",
    "member-reactivated",
    "not-run",
    "nudged",
    "output-cut",
    "output-received",
    "password-set",
    "factor-added",
    "factor-removed",
    "recovery-codes-made",
    "plugin-changed",
    "plugin-default-set",
    "plugin-disabled",
    "plugin-enabled",
    "prompt-shown",
    "reassigned",
    "request-cancelled",
    "request-expired",
    "retention-set",
    "review-opened",
    "sealed",
    "session-completed",
    "session-exported",
    "session-interrupted",
    "session-opened",
    "session-requested",
    "session-resumed",
    "share-opened",
    "share-passcode-refused",
    "share-refreshed",
    "share-revoked",
    "shell-ended",
    "shell-started",
    "sign-in-failed",
    "sign-in-link-created",
    "signed-in",
    "signed-out",
    "tenant-created",
    "tenant-resumed",
    "tenant-suspended",
    "terminal-resized",
    "terminal-typed",
    "transcript-changed",
    "transcript-created",
    "transcript-published",
    "transfer-accepted",
    "transfer-cancelled",
    "transfer-failed",
    "transfer-finished",
    "witness-refused",
    "witness-satisfied",
]
KINDS: tuple[Any, ...] = get_args(e.AnyEvent)
st.register_type_strategy(int, st.integers(-(1 << 63), (1 << 63) - 1))  # what msgpack carries


def test_no_kind_was_renamed_or_taken_away() -> None:
    """Records written by every version decode for ever: this list may only grow."""
    assert set(TAGS) <= {kind.__struct_config__.tag for kind in KINDS}


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.from_type(kind)))
def test_bytes_come_back(event: Any) -> None:
    """What is decoded is what was encoded, and encodes to the same bytes."""
    data = e.encode(event)
    back = e.decode(data)
    assert back == event
    assert e.encode(back) == data


def test_a_kind_of_a_newer_version_is_kept() -> None:
    """It is shown as unknown; nothing of it is guessed."""
    newer = msgspec.msgpack.encode({"kind": "ai-proposed", "v": 9, "actor": e.SERVER, "at": 5, "mono": 1, "more": [1, 2]})
    found = e.decode(newer)
    assert isinstance(found, e.Unknown)
    assert (found.kind, found.at, found.v) == ("ai-proposed", 5, 9)
    assert e.contents(found) == ()


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", msgspec.msgpack.encode({"kind": "sealed"}), b"\xff" * 40])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    """Damage is never taken for an unknown kind."""
    with pytest.raises((msgspec.DecodeError, msgspec.ValidationError)):
        e.decode(data)


def test_every_kind_says_what_it_is_for() -> None:
    """The record's format document lists kinds by these fields; none may be undeclared."""
    for kind in KINDS:
        assert isinstance(kind, type)
        assert not isinstance(kind, types.UnionType)
        assert kind.__struct_config__.tag_field == "kind"
