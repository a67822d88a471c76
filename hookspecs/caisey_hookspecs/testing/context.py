"""A Context without a server: what a plugin is given, kept in memory, with everything that it did written down."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from caisey_hookspecs.plugin import Change, Context, Entry, HttpAnswer, NoSettings, PluginInfo, Rejected, Secret, Unavailable

LONGEST_KEY = 200  # characters
LARGEST_VALUE = 64 * 1024  # bytes
MOST_KEYS = 1000
LARGEST_BODY = 10 * 1024 * 1024  # bytes
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"}
)
MASK = "…"
SHORTEST_SECRET = 4  # characters: what is shorter is in every other word
BEGINNING = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # of a fake clock: a Monday

SettingsT = TypeVar("SettingsT", bound=Struct)


class FakeClock:
    """A clock that stands until the test moves it."""

    def __init__(self, now: datetime = BEGINNING) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += timedelta(seconds=seconds)


class FakeStore:
    """The store of one tenant, with the limits of the real one. `entries` is what is in it."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None."""
        return self.entries.get(key)

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write, or compare and swap. Raises Rejected past the limits."""
        if not 0 < len(key) <= LONGEST_KEY or "\0" in key or len(value) > LARGEST_VALUE:
            raise Rejected(f"Keys have 1 to {LONGEST_KEY} characters but NUL, values {LARGEST_VALUE} bytes at most.")
        there = self.entries.get(key)
        version = there.version if there is not None else 0
        if if_version is not None and if_version != version:
            return None
        self.entries[key] = Entry(bytes(value), version + 1)
        return version + 1

    async def delete(self, key: str) -> None:
        """Remove the entry."""
        self.entries.pop(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        """Return keys that start so."""
        return sorted(key for key in self.entries if key.startswith(prefix))[:MOST_KEYS]


class Sent(Struct, frozen=True, kw_only=True):
    """A request that the plugin sent."""

    method: str
    url: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes | None
    timeout_seconds: float


Answer = HttpAnswer | Exception | Callable[[Sent], HttpAnswer]


class FakeHttp:
    """Sends nothing: writes requests down and answers as the test said.

    What was not declared is refused as the server refuses it, and kept in `refused`. A declared address without an answer is
    a vendor who is down: Unavailable.
    """

    def __init__(self, hosts: tuple[str, ...] = (), *, allow_private: bool = False) -> None:
        self._hosts, self._allow_private = hosts, allow_private
        self._answers: dict[tuple[str, str], Answer] = {}
        self._all: Answer | None = None
        self.sent: list[Sent] = []
        self.refused: list[str] = []  # addresses
        self.unanswered: list[str] = []  # methods and addresses for which the test had no answer

    def answer(self, method: str, url: str, with_: Answer) -> None:
        """Answer one address from now on: so, by raising this, or by what a function makes of the request.

        The query counts only where `url` has one.
        """
        self._answers[method, url] = with_

    def answer_all(self, with_: Answer) -> None:
        """Answer everything that has no answer of its own."""
        self._all = with_

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> HttpAnswer:
        """Answer. Raises Rejected and Unavailable as the server does."""
        self._check(method, url, headers or {}, body)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        sent = Sent(method=method, url=url, headers=lower, body=body, timeout_seconds=timeout_seconds)
        self.sent.append(sent)
        found = self._answers.get((method, url), self._answers.get((method, url.partition("?")[0]), self._all))
        if found is None:
            self.unanswered.append(f"{method} {url}")
            raise Unavailable(f"The connection to {urlsplit(url).hostname} broke.")
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, HttpAnswer) else found(sent)

    def _check(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        if method not in METHODS:
            raise Rejected(f"“{method}” is no method: use one of {', '.join(sorted(METHODS))}.")
        if body is not None and len(body) > LARGEST_BODY:
            raise Rejected(f"The request has more than {LARGEST_BODY >> 20} MiB.")
        for name in headers:
            if name.lower() in OWN_HEADERS:
                raise Rejected(f"The header {name} is not the plugin's to set.")
        try:
            self._check_address(url)
        except Rejected:
            self.refused.append(url)
            raise

    def _check_address(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Rejected("The plugin asked for what is no address.") from error
        if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
            raise Rejected("The plugin asked for what is no address of HTTPS.")
        if parts.scheme == "http" and not self._allow_private:
            raise Rejected(f"{parts.hostname} may be reached by https:// only.")
        usual = 443 if parts.scheme == "https" else 80
        if not any(_covers(host, parts.hostname, port or usual, usual) for host in self._hosts):
            raise Rejected(f"The plugin did not declare {parts.netloc} as one of its hosts.")


def _covers(declared: str, host: str, port: int, usual: int) -> bool:
    """Say whether a declared host, host and port, or whole address covers where a request goes."""
    parts = urlsplit(declared if "://" in declared else f"//{declared}")
    name, its_port = (parts.hostname or "").lower(), parts.port or usual
    if its_port != port:
        return False
    if name.startswith("*."):
        return host.lower().partition(".")[2] == name[2:]
    return host.lower() == name


class FakeReports:
    """Takes news for the core; `changes` is all of it."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def __call__(self, change: Change) -> None:
        """Keep it."""
        self.changes.append(change)


class _Lines(logging.Handler):
    """Keeps what is logged, with the secrets masked as the server masks them."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        self.lines.append(line)


@dataclass(frozen=True)
class FakeContext(Context[SettingsT]):
    """A Context whose parts a test can look into."""

    store: FakeStore
    http: FakeHttp
    clock: FakeClock
    report: FakeReports
    logged: list[str] = field(default_factory=list)  # "WARNING words", secrets masked

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts of all secrets in the settings."""
        return tuple(secrets_in(self.settings))


def fake_context(
    settings: SettingsT,
    *,
    hosts: tuple[str, ...] = (),
    tenant: str = "0192f0c0-0000-7000-8000-000000000001",
    allow_private: bool = False,
    clock: FakeClock | None = None,
) -> FakeContext[SettingsT]:
    """Return a context for one tenant. `hosts` is what the plugin's PluginInfo declares."""
    lines = _Lines(tuple(secrets_in(settings)))
    log = logging.Logger("caisey.plugins.fake")  # no child of the root: what a test logs is seen by nobody else
    log.addHandler(lines)
    return FakeContext(
        tenant=tenant,
        settings=settings,
        store=FakeStore(),
        http=FakeHttp(hosts, allow_private=allow_private),
        log=log,
        clock=clock or FakeClock(),
        report=FakeReports(),
        logged=lines.lines,
    )


def context_of(info: PluginInfo, settings: Struct | None = None, **more: Any) -> FakeContext[Any]:
    """Return a context with the hosts that a plugin declares, also those out of its settings; without settings the defaults."""
    chosen = settings if settings is not None else NoSettings() if info.settings is NoSettings else info.settings()
    further = info.hosts_from(chosen) if info.hosts_from is not None else ()
    return fake_context(chosen, hosts=(*info.hosts, *further), **more)


def secrets_in(value: object) -> Iterator[str]:
    """Yield the text of each secret in a settings Struct, in its groups and lists too; of those that can be masked."""
    if isinstance(value, Secret):
        if len(value.reveal()) >= SHORTEST_SECRET:
            yield value.reveal()
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, tuple | list | set | frozenset):
        for one in value:
            yield from secrets_in(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from secrets_in(one)
