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

    Example:
        raise Unavailable("The vendor limits the rate.", retry_after_seconds=30)
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Rejected(Exception):
    """No later try will help until a person changes something; the first argument tells an admin what.

    Example:
        raise Rejected("The vendor refused the token: make a new one and enter it here.")
    """


class Secret:
    """A setting that is sealed at rest and shown nowhere; `reveal()` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Use it at the last moment and keep no copy.

        Raises: nothing.
        Example:
            token = Secret("s3cr3t")
            assert {"authorization": f"Bearer {token.reveal()}"} == {"authorization": "Bearer s3cr3t"}
            assert "s3cr3t" not in f"{token!r} {token}"
        """
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
    """A plugin's visiting card. `name` is its identity for ever: lower-case letters, digits and hyphens.

    Example:
        class Settings(Struct, frozen=True, forbid_unknown_fields=True):
            address: Annotated[str, Meta(title="Address", description="Of the help desk.", pattern="^https://")]
            token: Annotated[Secret, Meta(title="Token")]

        info = PluginInfo(
            name="desk",
            title="Help desk",
            version="1.0",
            kinds=("ticketing",),
            settings=Settings,
            hosts=("status.vendor.example", "*.eu.vendor.example"),
            hosts_from=lambda settings: (settings.address,),
        )
    """

    name: str  # that of the entry point
    title: str  # what people call it
    version: str  # of the plugin, as its author counts
    kinds: tuple[Kind, ...]  # for each of them the plugin has the hook that makes its object
    settings: type[Struct] = NoSettings  # becomes a form: titles, help and limits from `Annotated[…, msgspec.Meta(…)]`
    hosts: tuple[str, ...] = ()  # what `context.http` may reach: host or host:port; "*.example.com" covers one level
    hosts_from: Callable[[Any], tuple[str, ...]] | None = None  # more of them, out of a tenant's settings; also whole addresses
    documentation: str = ""  # an address that an admin can open
    enabled_by_default: bool = False  # for a built-in that needs no settings
    contract: int = 1  # the least version of the contract that it needs


class Entry(Struct, frozen=True):
    """A value of the key-value store and the version to pass to a compare-and-swap."""

    value: bytes  # 64 KiB at most
    version: int  # counts the writes, from 1


class Store(Protocol):
    """A small key-value store of this plugin in this tenant. Keys are 1 to 200 characters, values up to 64 KiB and sealed at rest.

    It is in the server's database: what was written is durable when the call returns, and all nodes see it.

    Thread: the plugin's own.
    """

    async def get(self, key: str) -> Entry | None:
        """Return the entry, or None where there is none.

        Raises: nothing.
        Example:
            assert await context.store.get("cursor") is None
            await context.store.put("cursor", b"17")
            assert await context.store.get("cursor") == Entry(b"17", version=1)
        """

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write and return the new version; with `if_version` only if that is still current (0: absent), else None.

        Raises: Rejected for a key or a value that is too long.
        Example:
            assert await context.store.put("sent/1", b"", if_version=0) == 1
            assert await context.store.put("sent/1", b"", if_version=0) is None  # somebody was first
        """

    async def delete(self, key: str) -> None:
        """Remove the entry; removing what is not there is no error.

        Raises: nothing.
        Example:
            await context.store.delete("sent/1")
            assert await context.store.get("sent/1") is None
        """

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start so, sorted; 1,000 at most.

        Raises: nothing.
        Example:
            await context.store.put("sent/2", b"")
            assert await context.store.keys("sent/") == ["sent/2"]
        """


class HttpAnswer(Struct, frozen=True):
    """What a vendor answered; `body` is 10 MiB at most."""

    status: int  # of HTTP
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # unpacked


class Http(Protocol):
    """Reaches the hosts that the plugin declared, over HTTPS. Where the tenant's admin allowed private addresses for this plugin,
    also these, and over plain HTTP too.

    A redirect of a GET or HEAD is followed, up to five times, if its target is declared as well; to another origin no header goes
    along but Accept, Accept-Language and User-Agent. The answer to anything else is returned as it is. Connections are kept for
    the next request. The proxy of the environment is not used.

    Thread: the plugin's own; several requests may be on their way at the same time.
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

        GET, HEAD, POST, PUT, PATCH, DELETE.

        Raises: Unavailable when nothing answers or the connection breaks, and Rejected for a host that was not declared or leads
            to a private address, for a certificate that does not hold, and for a request or an unpacked answer of more than
            10 MiB.
        Example:
            answer = await context.http.request("GET", "https://api.vendor.example/me", headers={"accept": "application/json"})
            assert (answer.status, msgspec.json.decode(answer.body)) == (200, {"name": "Caisey"})
        """


class Clock(Protocol):
    """The time, so that tests can own it. Durations come from `time.monotonic`.

    Thread: any.
    """

    def now(self) -> datetime:
        """Return the time in UTC, with its time zone.

        Raises: nothing.
        Example:
            assert context.clock.now().utcoffset() == timedelta(0)
        """


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
    """Hands news to the core.

    Thread: the plugin's own.
    """

    async def __call__(self, change: Change) -> None:
        """Return when the core has the news durably; the same news twice does no harm.

        Raises: nothing.
        Example:
            await context.report(Change("session-ended", "sess_2aZ"))
        """


@dataclass(frozen=True)
class Context(Generic[SettingsT]):
    """All that a plugin may use, for one tenant. It is valid while the object made from it lives.

    `log` masks the tenant's secrets; what it is given at the level WARNING and above lands in the server's log.

    Example:
        context.log.warning("the vendor answered %s", 503)
    """

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
    """What to answer. It is never shown as a page."""

    status: int = 200  # of HTTP: 200 to 599, but no redirect
    content_type: str = "text/plain; charset=utf-8"
    body: bytes = b""  # 64 KiB at most


class TenantObject:
    """What the objects of all kinds have in common. Each lives from the moment that a tenant enables the plugin until a
    setting changes, and is made anew when the plugin's thread was replaced: what must last is in the store.

    Thread: the plugin's own, which has an event loop of its own. A method that blocks it holds up this plugin for all tenants,
        and nobody else.
    """

    async def check(self) -> Check:
        """Try the settings.

        Called: when an admin presses *Test connection*, and before settings are saved. Without it nothing is tried.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected; their words are shown like a message.
        Example:
            class Desk(TenantObject):
                async def check(self) -> Check:
                    answer = await context.http.request("GET", "https://api.vendor.example/me")
                    return Check(answer.status == 200, f"The vendor answered {answer.status}.")

            assert await Desk().check() == Check(True, "The vendor answered 200.")
        """
        return Check(True, "Nothing to set.")

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Answer a request from outside. Only the object of the plugin's first kind is asked.

        Judge the sender first (signature, token), in constant time. Answer once the news is durable (`context.report`,
        `context.store`), do what takes long later.

        Called: for each request to /t/{tenant}/plugins/{plugin}/{path}, other than a sign-in's callback. Without it: 404.
        Limit: 5 seconds.
        Raises: Unavailable, Rejected; whatever is raised becomes 503, so that the sender tries again.
        Example:
            class Desk(TenantObject):
                async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
                    signature = dict(request.headers).get("x-signature", "")
                    expected = hmac.new(b"the key", request.body, "sha256").hexdigest()
                    if request.path != "webhook" or not hmac.compare_digest(signature.encode(), expected.encode()):
                        return IncomingAnswer(status=404)
                    await context.report(Change("ticket-changed", msgspec.json.decode(request.body, type=str)))
                    return IncomingAnswer(status=204)

            assert (await Desk().incoming(IncomingRequest(method="POST", path="webhook", body=b'"17"'))).status == 404
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
    """Return the visiting card; do no I/O. Every plugin has this hook.

    Called: once at the server's start, after the import. Import and this hook have 10 seconds together.
    Thread: one for this call only.
    Limit: 10 seconds, with the import.
    Raises: nothing; a plugin that raises is listed as broken.
    Example:
        @hookimpl
        def caisey_plugin() -> PluginInfo:
            return PluginInfo(name="pager", title="Pager", version="1.0", kinds=("notifier",))

        assert caisey_plugin().settings is NoSettings
    """
    raise NotImplementedError  # a specification is never run


@hookspec
def caisey_event(event: CoreEvent) -> None:
    """Hear what happened in a tenant that has the plugin enabled: every kind of docs/record-format.md but output and keys.

    Called: after it is durable, plugin by plugin, once by the server that wrote it; who hears too slowly misses some.
    Thread: the plugin's own; it is a plain function, so it only takes note.
    Limit: 1 second.
    Raises: nothing; failures are counted and ignored.
    Example:
        heard = []

        @hookimpl
        def caisey_event(event: CoreEvent) -> None:
            heard.append((event.kind, event.tenant))

        caisey_event(CoreEvent(kind="session-sealed", tenant="t", stream="s", at=context.clock.now()))
        assert heard == [("session-sealed", "t")]
    """
