"""Claims: JSON from outside, of which only some is what it should be."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")

Claims = Mapping[str, Any]  # a provider may put anything there: each use checks what it takes


def no_duplicates(text: bytes) -> Claims:
    """Return a JSON object. Raises ValueError for anything else, also where a name comes twice (RFC 8725, 2.4) or it is NaN."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested without end") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding (RFC 7515, 2). Raises ValueError for any other letter."""
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def at_path(claims: Claims, path: Sequence[str]) -> Any:
    """Return what lies at a path of keys, or None. Names may hold dots and slashes, so that a path is never written as one text."""
    found: Any = claims
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def texts(value: Any) -> tuple[str, ...]:
    """Return a claim's texts: one text is one, not divided; what is no text is passed over (some providers mix)."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(one for one in value if isinstance(one, str))
    return ()
