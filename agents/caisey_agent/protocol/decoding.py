"""Decoding what came from the other side: every way in which bytes can be wrong is one exception."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    """Decode. Raises msgspec.ValidationError or msgspec.DecodeError, also for what msgspec itself lets through.

    A text that is no UTF-8 raises UnicodeDecodeError there, unknown fields that are nested deeply raise RecursionError.
    """
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
