"""What in a text may be no stranger's business: secrets, e-mail addresses, private addresses, names of accounts.

A mark is a proposal to a reviewer, never a decision. The shapes of vendors' tokens come from detect-secrets (Apache-2.0); of its
detectors only those are used that are regular expressions (14 µs a line): its entropy and keyword rules mark most lines of
ordinary output. What people type and programs print around passwords is found by the rules here.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from functools import cache
from ipaddress import ip_address
from typing import Final, Literal

from msgspec import Struct

Kind = Literal["secret", "email", "address", "user"]
KINDS: Final[dict[Kind, str]] = {
    "secret": "Secrets",
    "email": "E-mail addresses",
    "address": "Private addresses",
    "user": "User names",
}
LONGEST: Final = 8192  # characters of a line that are looked at; patterns never see more at once


class Mark(Struct, frozen=True, order=True):
    """A place in a text."""

    start: int
    end: int
    kind: Kind


_WORD = r"pass(?:word|wd|phrase|code)?|pwd|secret|(?:api|access|auth|private|encryption|account|shared)[ _-]?(?:key|token)|token|credentials?|kennwort|passwort|mot de passe"
_VALUE = r"""(?:"[^"\r\n]{2,200}"|'[^'\r\n]{2,200}'|[^\s"',;]{3,400})"""
_ASKS = ("pass", "pwd", "secret", "key", "token", "credential", "kennwort")
# a rule is tried only where one of its words stands in the line: most lines of output have none of them
_RULES: Final = tuple(
    (words, re.compile(pattern, flags))
    for words, pattern, flags in (
        # password: hunter2, DB_PASSWORD=…, "apiKey": "…", PIN 4711
        (_ASKS, rf"(?<![A-Za-z])[\w.-]{{0,40}}(?:{_WORD})[\w.-]{{0,20}}[\"']?\s{{0,3}}(?::=|=>|[:=])\s{{0,3}}({_VALUE})", re.I),
        (("pin", "tan", "otp", "puk"), r"\b(?:PIN|TAN|OTP|PUK)(?: code)?\b\s{0,3}(?:[:=]|is|ist)?\s{0,3}(\d{4,10})\b", re.I),
        # --password hunter2, --token=…
        (_ASKS, rf"(?<!\S)--?(?:{_WORD})[= ]\s{{0,3}}({_VALUE})", re.I),
        # mysql -phunter2, sshpass -p hunter2, curl -u name:hunter2, net use … /user:name hunter2
        (
            ("mysql", "mariadb"),
            r"\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^|;&\n]{0,300}?\s-p('[^'\n]+'|\"[^\"\n]+\"|[^\s-]\S{2,})",
            0,
        ),
        (
            ("sshpass", "7z", "unzip", "ldapsearch", "psexec"),
            r"\b(?:sshpass|7z|unzip|ldapsearch|psexec)\b[^|;&\n]{0,300}?\s-(?:p|P|w)\s?(\S{3,})",
            re.I,
        ),
        (("curl",), r"\bcurl\b[^|;&\n]{0,300}?\s(?:-u|--user)[ =]?['\"]?[^\s:'\"]{1,100}:([^\s'\"]{2,})", 0),
        (("net ",), r"\bnet\s+user?\s+\S{1,100}\s+(?!/)(\S{3,})", re.I),
        (("echo",), r"\becho\s+['\"]?(\S{3,200}?)['\"]?\s*\|\s*(?:sudo\s+-S|passwd|chpasswd)\b", 0),
        # user:password@host, ?token=… in addresses
        (("://",), r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:([^\s/@]{1,200})@", re.I),
        (("?", "&"), rf"[?&](?:{_WORD}|sig|signature|key|code|session(?:id)?|jwt)=([^&\s#\"'<>]{{4,}})", re.I),
        # Authorization: Bearer …, JSON Web Tokens
        (
            ("authorization",),
            r"\bauthorization\b[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:basic|bearer|digest|negotiate|token)\s{1,3}([A-Za-z0-9+/=._~-]{6,})",
            re.I,
        ),
        (("eyj",), r"\b(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3})", 0),
        # crypt(3) hashes, as /etc/shadow has them
        (("$",), r"(\$(?:1|2[aby]?|5|6|7|y|gy|argon2id?)\$[./A-Za-z0-9$,=+-]{20,})", 0),
    )
)
_HARMLESS: Final = re.compile(
    r"(?:\*+|x{3,}|<[^>]*>|\$\{?\w+\}?|%\w+%|none|null|true|false|yes|no|required|\(.*\))[,;.]?$", re.I
)
_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_V4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)")
_V6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_HOME: Final = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\(?:Users|Documents and Settings)\\)([^\s/\\:;,\"'<>|*?]{2,64})")
_NOBODY: Final = frozenset({"root", "administrator", "admin", "public", "default", "all users", "shared", "system", "nobody"})
_SKIPPED: Final = frozenset({"IPPublicDetector", "PrivateKeyDetector", "JwtTokenDetector"})  # no secret, or found better here
BEGIN_KEY: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d")
END_KEY: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|^Private-MAC:")
LONGEST_KEY: Final = 200  # lines of a private key; one that never ends marks no more than these


@cache
def _vendors() -> tuple[re.Pattern[str], ...]:
    """Return the shapes of vendors' tokens. Imported at the first review: the server's start does not wait for it."""
    package = importlib.import_module("detect_secrets.plugins")
    base = importlib.import_module("detect_secrets.plugins.base").RegexBasedDetector
    found: list[re.Pattern[str]] = []
    for module in pkgutil.iter_modules(package.__path__):
        for name, kind in sorted(vars(importlib.import_module(f"{package.__name__}.{module.name}")).items()):
            concrete = isinstance(kind, type) and issubclass(kind, base) and not getattr(kind, "__abstractmethods__", None)
            if concrete and name not in _SKIPPED:
                found += [pattern for pattern in kind().denylist if pattern not in found]
    return tuple(found)


class Looker:
    """Looks at the lines of one session; the names of its accounts are known."""

    def __init__(self, users: Sequence[str] = ()) -> None:
        names = sorted({user for user in users if len(user) >= 2 and user.lower() not in _NOBODY}, key=len, reverse=True)
        joined = "|".join(re.escape(name) for name in names)
        self._users = re.compile(rf"(?<![\w-])(?:{joined})(?![\w-])", re.I) if names else None

    def marks(self, text: str) -> tuple[Mark, ...]:
        """Return what should be looked at, in order; where two meet, the more serious one stays."""
        found: list[Mark] = []
        for at in range(0, len(text), LONGEST):
            part = text[at : at + LONGEST]
            found += [Mark(at + mark.start, at + mark.end, mark.kind) for mark in self._in(part)]
        order: list[Kind] = list(KINDS)
        kept: list[Mark] = []
        for mark in sorted(found, key=lambda mark: (order.index(mark.kind), mark.start - mark.end, mark.start)):
            if all(mark.end <= other.start or mark.start >= other.end for other in kept):
                kept.append(mark)
        return tuple(sorted(kept))

    def _in(self, text: str) -> Iterator[Mark]:
        lower = text.lower()
        for words, pattern in _RULES:
            if not any(word in lower for word in words):
                continue
            yield from (_mark(found, "secret") for found in pattern.finditer(text) if not _HARMLESS.match(_bare(found)))
        for pattern in _vendors():
            yield from (_mark(found, "secret") for found in pattern.finditer(text))
        if "@" in text:
            yield from (_mark(found, "email") for found in _EMAIL.finditer(text))
        yield from (_mark(found, "address") for p in (_V4, _V6) for found in p.finditer(text) if _private(found.group()))
        for found in _HOME.finditer(text):
            if found.group(1).lower() not in _NOBODY:
                yield _mark(found, "user")
        if self._users is not None:
            yield from (_mark(found, "user") for found in self._users.finditer(text))


def _mark(found: re.Match[str], kind: Kind) -> Mark:
    """Return the place of the value, without the quotes around it; of a short group (a prefix) the whole find counts."""
    group = 1 if found.re.groups and found.group(1) and (kind != "secret" or len(found.group(1)) >= 3) else 0
    if found.re in _vendors() and group and len(found.group(1)) < 6:
        group = 0
    start, end = found.span(group)
    if end - start > 2 and found.string[start] in "\"'" and found.string[end - 1] == found.string[start]:
        start, end = start + 1, end - 1
    return Mark(start, end, kind)


def _bare(found: re.Match[str]) -> str:
    return found.group(1).strip("\"'") if found.re.groups and found.group(1) else found.group()


def _private(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return (address.is_private or address.is_link_local) and not (address.is_unspecified or address.is_loopback)
