"""What every plugin keeps, whatever its kind; the modules beside this one add what each kind keeps."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, TypeVar, get_origin

import msgspec
import pluggy
import pytest
from msgspec import Struct

from caisey_hookspecs.declaration import GROUP, KINDS, Misfit, checked, register
from caisey_hookspecs.plugin import (
    Check,
    CoreEvent,
    IncomingAnswer,
    IncomingRequest,
    Kind,
    NoSettings,
    PluginInfo,
    Rejected,
    Secret,
    TenantObject,
    Unavailable,
)
from caisey_hookspecs.testing.context import FakeContext, context_of, secrets_in

R = TypeVar("R")

MAKING_SECONDS = 1.0
HEARING_SECONDS = 1.0
CHECK_SECONDS = 10.0
INCOMING_SECONDS = 5.0
LARGEST_ANSWER = 64 * 1024  # bytes of an answer to a request from outside
HOSTILE_TEXTS = (
    "",
    "x" * 20_000,
    "two\r\nlines\r\nX-Header: smuggled",
    "zero\0width\u200b and \u202ebackwards",
    "<script>alert(1)</script> {{ 7 * 7 }} %s %(x)s ' \" ; --",
    "Zoë 東京 🖨️",
    "\ud800 half a surrogate pair".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
)
HOSTILE_REQUESTS = (
    IncomingRequest(method="GET", path=""),
    IncomingRequest(method="POST", path="webhook", body=b"{}"),
    IncomingRequest(method="POST", path="webhook", body=b'{"id": 1'),
    IncomingRequest(method="POST", path="webhook", headers=(("content-type", "application/json"),), body=b"null"),
    IncomingRequest(method="POST", path="../../x", query=(("a", "1"), ("a", "2"), ("", "\0"))),
    IncomingRequest(method="POST", path="webhook", headers=(("authorization", "Bearer é"),), body=bytes(range(256)) * 1024),
    IncomingRequest(method="GET", path="callback", query=(("code", "x" * 4000), ("state", "guessed"))),
)


class Declared(Struct, frozen=True):
    """A plugin whose declaration holds."""

    info: PluginInfo
    hooks: pluggy.HookRelay
    deprecated: tuple[str, ...] = ()  # words about hooks that it has and that will go


def read(loaded: object, name: str) -> Declared:
    """Read what an entry point of this name led to, as the server does at its start. Raises Misfit."""
    registered = register(loaded, name)
    info = registered.hooks.caisey_plugin()
    if not isinstance(info, PluginInfo):
        raise Misfit("it has no caisey_plugin hook that returns a PluginInfo")
    return Declared(checked(info, name, registered.hooks), registered.hooks, registered.deprecated)


class PluginConformance:
    """Set `plugin` to the name of the entry point. Where a setting has no default, set `settings` too.

    What a test finds is said in words that name the promise of the contract.
    """

    plugin: ClassVar[str]
    settings: ClassVar[Struct | None] = None
    kind: ClassVar[Kind]

    def prepare(self, context: FakeContext[Any]) -> None:
        """Answer for the vendor (`context.http.answer_all(…)`). Over-ride it where the plugin reaches one."""

    # --- what the tests are made of ---

    @pytest.fixture
    def declared(self) -> Declared:
        """The plugin as the server reads it."""
        return read(self._entry().load(), self.plugin)

    @pytest.fixture
    def context(self, declared: Declared) -> Iterator[FakeContext[Any]]:
        """A tenant's context with a vendor that answers."""
        made = context_of(declared.info, self.settings)
        self.prepare(made)
        yield made
        self._nothing_undeclared(made)

    @pytest.fixture
    def cut_off(self, declared: Declared) -> Iterator[FakeContext[Any]]:
        """A tenant's context with a vendor that is down."""
        made = context_of(declared.info, self.settings)
        yield made
        self._nothing_undeclared(made)

    def _entry(self) -> EntryPoint:
        found = list(entry_points(group=GROUP, name=self.plugin))
        assert found, (
            f"no installed distribution has an entry point “{self.plugin}” in the group “{GROUP}”: "
            "install yours first (pip install -e .), and again after each change of its entry points"
        )
        assert len(found) == 1, f"more than one installed distribution has the entry point “{self.plugin}”"
        return found[0]

    @staticmethod
    def _nothing_undeclared(context: FakeContext[Any]) -> None:
        assert not context.http.refused, f"PluginInfo.hosts does not cover {', '.join(context.http.refused)}"

    async def make(self, declared: Declared, context: FakeContext[Any]) -> Any:
        """Make a tenant's object, as the server does."""
        known = KINDS[self.kind]
        made = getattr(declared.hooks, known.hook)(context=context)
        assert isinstance(made, known.makes), f"{known.hook} returned {type(made).__name__}, not a {known.makes.__name__}"
        return made

    async def ask(
        self, context: FakeContext[Any], work: Awaitable[R], expect: Any, seconds: float
    ) -> R | Unavailable | Rejected:
        """Await a call as the server does: in its time, with an answer that fits, or one of the two errors of the contract.

        `expect` is the type of a right answer, or a tuple of them.
        """
        wanted = expect if isinstance(expect, tuple) else (expect,)
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                answer = await work
        except TimeoutError:
            raise AssertionError(f"there was no answer within {seconds:g} s, which is the limit of this call") from None
        except (Unavailable, Rejected) as error:
            return _in_words(error, context)
        assert time.monotonic() - began < seconds, f"the call took more than {seconds:g} s, which is its limit"
        fitting = [one for one in wanted if isinstance(answer, _class_of(one))]
        names = " or ".join(getattr(one, "__name__", str(one)) for one in wanted)
        assert fitting, f"the answer is {type(answer).__name__}, not {names}"
        if isinstance(answer, Struct):
            try:
                msgspec.convert(msgspec.to_builtins(answer), fitting[0])
            except (msgspec.ValidationError, TypeError) as error:
                raise AssertionError(f"the {type(answer).__name__} does not fit the contract: {error}") from error
        return answer

    # --- what every plugin keeps ---

    def test_is_found_by_its_entry_point(self) -> None:
        """The server finds one plugin of this name, can import it, and its declaration holds."""
        try:
            declared = read(self._entry().load(), self.plugin)
        except Misfit as error:
            raise AssertionError(f"the server would not use this plugin: {error}") from error
        assert self.kind in declared.info.kinds, f"PluginInfo.kinds lacks “{self.kind}”"
        assert declared.info.title.strip(), "PluginInfo.title is what an admin reads; it is empty"
        assert declared.info.version.strip(), "PluginInfo.version is empty"

    def test_uses_nothing_that_will_go(self, declared: Declared) -> None:
        """No hook is one that the contract has marked as deprecated."""
        assert not declared.deprecated, " ".join(declared.deprecated)

    def test_settings_are_a_form(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Each setting has a title, and settings come back from storage as they were; the defaults hold no secret."""
        if declared.info.settings is NoSettings:
            return
        for setting in msgspec.inspect.type_info(declared.info.settings).fields:  # type: ignore[attr-defined]
            title = getattr(setting.type, "extra_json_schema", None) or {}
            assert title.get("title"), f"the setting “{setting.name}” has no title: Annotated[…, msgspec.Meta(title=…)]"
        kept = msgspec.json.encode(context.settings, enc_hook=_reveal)
        read_back = msgspec.json.decode(kept, type=declared.info.settings, dec_hook=_as_secret)
        assert read_back == context.settings, "the settings do not come back from JSON as they were"
        try:
            assert not list(secrets_in(declared.info.settings())), "a secret has a default: it would be everybody's"
        except TypeError:
            return  # a setting that must be entered

    @pytest.mark.asyncio
    async def test_is_made_at_once(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Making an object does no I/O; two tenants have two objects."""
        began = time.monotonic()
        first = await self.make(declared, context)
        assert time.monotonic() - began < MAKING_SECONDS, f"making an object takes more than {MAKING_SECONDS:g} s"
        assert not context.http.sent, "making an object sent a request"
        assert not context.report.changes, "making an object reported a change"
        assert await self.make(declared, context_of(declared.info, self.settings, tenant="another")) is not first, (
            "two tenants share an object"
        )

    @pytest.mark.asyncio
    @pytest.mark.parametrize("vendor", ["context", "cut_off"], ids=["vendor answers", "vendor is down"])
    async def test_check_says_how_it_stands(self, declared: Declared, vendor: str, request: pytest.FixtureRequest) -> None:
        """`check` has words for an admin, without secrets, also while the vendor is down."""
        context: FakeContext[Any] = request.getfixturevalue(vendor)
        made: TenantObject = await self.make(declared, context)
        answer = await self.ask(context, made.check(), Check, CHECK_SECONDS)
        if isinstance(answer, Check):
            assert answer.message.strip(), "Check.message is empty: an admin reads it"
            _no_secret_in(answer.message, context)
            if vendor == "cut_off" and context.http.sent:
                assert not answer.ok, "check is ok though nothing answered"

    @pytest.mark.asyncio
    @pytest.mark.parametrize("request_", HOSTILE_REQUESTS, ids=lambda one: f"{one.method} {one.path or '(empty)'}")
    async def test_strangers_from_outside(
        self, declared: Declared, context: FakeContext[Any], request_: IncomingRequest
    ) -> None:
        """A request that nobody signed is answered, is no news, and no fault."""
        made: TenantObject = await self.make(declared, context)
        answer = await self.ask(context, made.incoming(request_), IncomingAnswer, INCOMING_SECONDS)
        assert not context.report.changes, f"a stranger's request was reported as {context.report.changes}"
        if isinstance(answer, IncomingAnswer):
            assert 200 <= answer.status <= 599, f"{answer.status} is no status to answer"
            assert not 300 <= answer.status <= 399, "a request from outside is never answered by a redirect"
            assert len(answer.body) <= LARGEST_ANSWER, "the answer has more than 64 KiB"
            _no_secret_in(answer.body.decode(errors="replace"), context)

    def test_hears_what_happened(self, declared: Declared) -> None:
        """`caisey_event`, where there is one, takes any kind of event in its time."""
        for kind in ("session-started", "a-kind-that-does-not-exist-yet"):
            event = CoreEvent(kind=kind, tenant="t", stream="s", at=datetime(2026, 1, 5, tzinfo=UTC))
            began = time.monotonic()
            declared.hooks.caisey_event(event=event)
            assert time.monotonic() - began < HEARING_SECONDS, f"caisey_event takes more than {HEARING_SECONDS:g} s"


def _class_of(wanted: Any) -> type[Any]:
    """Return the class of a type that may have parameters, such as Page[Ticket]."""
    origin: type[Any] | None = get_origin(wanted)
    return origin if origin is not None else wanted


def _in_words(error: Unavailable | Rejected, context: FakeContext[Any]) -> Unavailable | Rejected:
    assert str(error), f"{type(error).__name__} has no words: an admin reads them"
    _no_secret_in(str(error), context)
    return error


def _no_secret_in(words: str, context: FakeContext[Any]) -> None:
    for secret in context.secrets:
        assert secret not in words, "a secret of the settings stands in words that people read"


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"a setting of the type {type(value).__name__} cannot be stored")


def _as_secret(wanted: type[Any], value: Any) -> Any:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise msgspec.ValidationError(f"Expected {wanted.__name__}")
