"""What every plugin declares, and what it is given: the part of the contract that is the same for all kinds."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import pluggy
from msgspec import Struct

hookspec = pluggy.HookspecMarker("caisey")
hookimpl = pluggy.HookimplMarker("caisey")

CONTRACT: Final = 1  # its version; rises when something is added that a plugin may need
Kind = Literal["identity", "ticketing", "shell", "ai-provider", "notifier"]

SettingsT = TypeVar("SettingsT", bound=Struct)


class Unavailable(Exception):
    """A later try may help: the vendor is down, slow or limits the rate.

    `retry_after_seconds` is the vendor's own wish, if it gave one. The first argument is shown to an admin.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Rejected(Exception):
    """No later try will help until a person changes something; the first argument tells an admin what."""


class Secret:
    """A setting that is sealed at rest and shown nowhere; `reveal()` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Use it at the last moment and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('…')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """For a plugin that has nothing to set."""


class PluginInfo(Struct, frozen=True, kw_only=True):
    """A plugin's visiting card. `name` is its identity for ever: lower-case letters, digits and hyphens."""

    name: str
    title: str
    version: str
    kinds: tuple[Kind, ...]
    settings: type[Struct] = NoSettings
    hosts: tuple[str, ...] = ()  # what `context.http` may reach: host or host:port; "*.example.com" covers one level
    hosts_from: Callable[[Any], tuple[str, ...]] | None = None  # more of them, out of a tenant's settings; also whole addresses
    documentation: str = ""  # an address that an admin can open
    enabled_by_default: bool = False  # for a built-in that needs no settings
    contract: int = 1  # the least version of the contract that it needs


class Entry(Struct, frozen=True):
    """A value of the key-value store and the version to pass to a compare-and-swap."""

    value: bytes
    version: int


class Store(Protocol):
    """A small key-value store of this plugin in this tenant. Keys are up to 200 characters, values up to 64 KiB."""

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None where there is none."""

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write and return the new version; with `if_version` only if that is still current (0: absent), else None."""

    async def delete(self, key: str) -> None:
        """Remove the entry; removing what is not there is no error."""

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start so, sorted; 1,000 at most."""


class HttpAnswer(Struct, frozen=True):
    """What a vendor answered; `body` is 10 MiB at most."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Http(Protocol):
    """Reaches the hosts that the plugin declared, over HTTPS. Where the tenant's admin allowed private addresses for this plugin,
    also these, and over plain HTTP too.

    A redirect of a GET or HEAD is followed, up to five times, if its target is declared as well; to another origin no header goes
    along but Accept, Accept-Language and User-Agent. The answer to anything else is returned as it is. Connections are kept for
    the next request. The proxy of the environment is not used.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> HttpAnswer:
        """Send one request and return its answer, whatever its status; `timeout_seconds` covers all of it, 60 at most.

        GET, HEAD, POST, PUT, PATCH, DELETE. Raises Unavailable when nothing answers or the connection breaks, and Rejected for
        a host that was not declared or leads to a private address, for a certificate that does not hold, and for a request
        or an unpacked answer of more than 10 MiB.
        """


class Clock(Protocol):
    """The time, so that tests can own it."""

    def now(self) -> datetime:
        """Return the time in UTC."""


class Change(Struct, frozen=True):
    """News from outside for the core: what changed and the vendor's id of it.

    | `subject` | `reference` | what the core does |
    | --- | --- | --- |
    | "session-ended" | `Identified.provider_session` or `Identified.subject` | ends those sign-ins that this plugin made, at once |
    | "member-removed" | `Identified.subject` | ends the member's sign-ins; deactivates who has no other way to sign in |

    News about who or what the core does not know is no error: an event may come twice, late, or before the first sign-in.
    """

    subject: str  # "session-ended", "member-removed", "ticket-changed" …
    reference: str


class Reporter(Protocol):
    """Hands news to the core."""

    async def __call__(self, change: Change) -> None:
        """Return when the core has the news durably; the same news twice does no harm."""


@dataclass(frozen=True)
class Context(Generic[SettingsT]):
    """All that a plugin may use, for one tenant. It is valid while the object made from it lives."""

    tenant: str  # stable id of the tenant
    settings: SettingsT
    store: Store
    http: Http
    log: logging.Logger
    clock: Clock
    report: Reporter


class Check(Struct, frozen=True):
    """The result of trying the settings: `ok`, and words for the admin either way."""

    ok: bool
    message: str


class IncomingRequest(Struct, frozen=True, kw_only=True):
    """A request from outside for this plugin: a sign-in callback or a vendor's webhook.

    It came to /t/{tenant}/plugins/{plugin}/{path} by GET or POST. The core checked size (256 KiB) and rate, and nothing else:
    whoever knows the address can send anything. Browsers' cookies are not in it.
    """

    method: str
    path: str  # what follows /t/{tenant}/plugins/{plugin}/
    query: tuple[tuple[str, str], ...] = ()  # decoded, in the order of the address; a name may come more than once
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case
    body: bytes = b""  # exactly as it was sent: signatures are over these bytes
    address: str = ""  # the client's address


class IncomingAnswer(Struct, frozen=True, kw_only=True):
    """What to answer: a status from 200 to 599 but no redirect, and 64 KiB of body at most. It is never shown as a page."""

    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    body: bytes = b""


class TenantObject:
    """What the objects of all kinds have in common. Each lives from the moment that a tenant enables the plugin until a
    setting changes, and runs on the plugin's own thread and loop."""

    async def check(self) -> Check:
        """Try the settings, within 10 seconds: an admin pressed *Test connection*, or is about to save."""
        return Check(True, "Nothing to set.")

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Answer a request from outside, within 5 seconds; only the object of the plugin's first kind is asked.

        Judge the sender first (signature, token), in constant time. Answer once the news is durable (`context.report`,
        `context.store`), do what takes long later. What is raised becomes 503, so that the sender tries again.

            async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
                if request.path != "webhook" or not self._is_signed(request):
                    return IncomingAnswer(status=404)
                await self._context.report(Change("ticket-changed", ticket_of(request.body)))
                return IncomingAnswer(status=204)
        """
        return IncomingAnswer(status=404)


class CoreEvent(Struct, frozen=True, kw_only=True):
    """What happened in a tenant, for plugins that listen. No content of sessions is in it."""

    kind: str  # the tag of the event, as docs/record-format.md lists them
    tenant: str
    stream: str
    at: datetime


@hookspec(firstresult=True)
def caisey_plugin() -> PluginInfo:
    """Return the visiting card. Called once at discovery, on the plugin's thread, within 1 second; does no I/O."""
    raise NotImplementedError  # a specification is never run


@hookspec
def caisey_event(event: CoreEvent) -> None:
    """Hear what happened. Called after it is durable, plugin by plugin, within 1 second; failures are counted and ignored."""
