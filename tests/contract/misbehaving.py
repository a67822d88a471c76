"""Plugins that break one promise each. tests/contract/test_kit.py runs this file's suites: each must fail where it says.

Not collected with the others: its tests are meant to fail.
"""

import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct
from msgspec.structs import replace

import caisey_hookspecs.testing.shell
from caisey_core.new_plugin import TEMPLATES
from caisey_hookspecs import (
    Attempt,
    Change,
    Changes,
    Check,
    CommandEnd,
    CommandView,
    Conflict,
    Contact,
    Delivery,
    Entry,
    Field,
    HttpAnswer,
    Identified,
    Identity,
    IncomingAnswer,
    IncomingRequest,
    Launch,
    NewNote,
    NewStatus,
    Note,
    Notice,
    NotIdentified,
    Notifier,
    Page,
    PluginInfo,
    Rejected,
    Secret,
    Shell,
    ShellListener,
    SignInForm,
    SignInRedirect,
    Ticket,
    TicketSearch,
    hookimpl,
)
from caisey_hookspecs.testing import (
    EndpointShellConformance,
    FakeContext,
    IdentityConformance,
    NotifierConformance,
    ShellConformance,
    TicketingConformance,
)

sys.path += [str(TEMPLATES / "caisey-example-ticketing"), str(TEMPLATES / "caisey-example-shell")]
from caisey_example_shell.endpoint import KeptShell  # type: ignore[import-not-found]
from caisey_example_ticketing import HelpDesk  # type: ignore[import-not-found]

caisey_hookspecs.testing.shell.PATIENCE_SECONDS = 3.0  # what never comes need not take ten seconds here
ADDRESS = "https://hooks.vendor.example/x"
EXPECTED: dict[str, str] = {}  # suite → the test of it that has to fail


class Token(Struct, frozen=True):
    """Settings as they should be."""

    token: Annotated[Secret, Meta(title="Token")] = Secret("")


class Untitled(Struct, frozen=True):
    """Settings that an admin could not fill in."""

    colour: str = "red"


def _others(suite: type[Any], test: str, control: str) -> dict[str, None]:
    """Hide a suite's other tests: the one that has to fail and one that must not are enough. Who breaks nothing runs all."""
    return {name: None for name in dir(suite) if test and name.startswith("test_") and name not in (test, control)}


def broken(test: str, suite: type[Any], makes: Callable[[Any], Any], **info: Any) -> None:
    """Put a suite for one misbehaving plugin into this module, as pytest finds it."""
    name = getattr(makes, "__name__", "plugin").replace("_", "-").lower()
    kind = suite.kind

    @hookimpl
    def caisey_plugin() -> PluginInfo:
        given = {"name": name, "title": name, "version": "1.0", "kinds": (kind,), "hosts": ("hooks.vendor.example",), **info}
        return PluginInfo(**given)

    @hookimpl
    def caisey_one(context: Any) -> Any:
        return makes(context)

    def entry(self: object) -> EntryPoint:
        return EntryPoint(name, f"misbehaving:plugin_{makes.__name__}", "caisey.plugins")

    def prepare(self: object, context: FakeContext[Any]) -> None:
        context.http.answer_all(HttpAnswer(200, {}, b"{}"))

    plugin = SimpleNamespace(caisey_plugin=caisey_plugin)
    setattr(plugin, f"caisey_{kind}", caisey_one)
    setattr(sys.modules["misbehaving"], f"plugin_{makes.__name__}", plugin)
    title = f"Test{makes.__name__}"
    settings = Token(Secret("s3cr3t-token")) if info.get("settings") is Token else None
    own = {"plugin": name, "_entry": entry, "prepare": prepare, "settings": settings}
    made = type(title, (suite,), {**own, **_others(suite, test, "test_hears_what_happened")})
    globals()[title] = made
    EXPECTED[title] = test


sys.modules["misbehaving"] = sys.modules[__name__]  # pytest imports this file under another name


class ImpatientConformance(NotifierConformance):
    """A hang need not take ten seconds here."""

    async def ask(self, context: FakeContext[Any], work: Any, expect: Any, seconds: float) -> Any:
        """Wait for a moment."""
        return await super().ask(context, work, expect, 0.2)


class Good(Notifier):
    """Keeps all promises; the others break one."""

    def __init__(self, context: Any) -> None:
        self.context = context

    async def deliver(self, notice: Notice) -> Delivery:
        """Post, with the key."""
        headers = {"idempotency-key": notice.key}
        answer = await self.context.http.request("POST", ADDRESS, headers=headers, body=msgspec.json.encode(notice))
        return Delivery(delivered=answer.status == 200, detail=f"{answer.status}")


class Raises(Good):
    """A fault."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Raise what no plugin may raise."""
        raise KeyError("inside")


class Answers42(Good):
    """A wrong answer."""

    async def deliver(self, notice: Notice) -> Any:
        """Return a number."""
        return 42


class WrongField(Good):
    """An answer with a field of the wrong type."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Return words in the place of a truth."""
        return Delivery(delivered="yes")  # type: ignore[arg-type]


class Hangs(Good):
    """No answer."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Wait for nothing."""
        await asyncio.Event().wait()
        return Delivery(delivered=True)


class Elsewhere(Good):
    """Another host."""

    async def check(self) -> Check:
        """Ask a host that was not declared."""
        await self.context.http.request("GET", "https://other.vendor.example/")
        return Check(True, "There.")


class Repeats(Good):
    """One key, twice."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Post without the key."""
        answer = await self.context.http.request("POST", ADDRESS, body=notice.title.encode())
        return Delivery(delivered=answer.status == 200)


class Believes(Good):
    """Delivered, whatever the vendor said."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Post and look away."""
        await self.context.http.request("POST", ADDRESS, headers={"idempotency-key": notice.key})
        return Delivery(delivered=True)


class Tells(Good):
    """The secret in words."""

    async def check(self) -> Check:
        """Say too much."""
        return Check(True, f"The token is {self.context.settings.token.reveal()}.")


class TellsInErrors(Good):
    """The secret in an error."""

    async def check(self) -> Check:
        """Say too much."""
        raise Rejected(f"The token {self.context.settings.token.reveal()} is wrong.")


class Gossips(Good):
    """A stranger's request is news."""

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Believe anybody."""
        await self.context.report(Change("ticket-changed", "1"))
        return IncomingAnswer()


class Redirects(Good):
    """A redirect to a request from outside."""

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Send them away."""
        return IncomingAnswer(status=302)


class Chokes(Good):
    """A fault on a body that is no JSON."""

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Decode without looking."""
        msgspec.json.decode(request.body)
        return IncomingAnswer()


_ONE = Good(None)


def shared(context: Any) -> Notifier:
    """Make one object for all tenants."""
    _ONE.context = context
    return _ONE


def another_kind(context: Any) -> Any:
    """Make what is no notifier."""
    return object()


NOTIFIERS: tuple[tuple[str, Callable[[Any], Any], dict[str, Any]], ...] = (
    ("test_delivers_once", Raises, {}),
    ("test_delivers_once", Answers42, {}),
    ("test_delivers_once", WrongField, {}),
    ("test_delivers_once", Hangs, {}),
    ("test_delivers_once", Repeats, {}),
    ("test_check_says_how_it_stands", Elsewhere, {}),
    ("test_check_says_how_it_stands", Tells, {"settings": Token}),
    ("test_check_says_how_it_stands", TellsInErrors, {"settings": Token}),
    ("test_a_vendor_who_refuses", Believes, {}),
    ("test_strangers_from_outside", Gossips, {}),
    ("test_strangers_from_outside", Redirects, {}),
    ("test_strangers_from_outside", Chokes, {}),
    ("test_is_made_at_once", shared, {}),
    ("test_is_made_at_once", another_kind, {}),
    ("test_settings_are_a_form", type("BareSettings", (Good,), {}), {"settings": Untitled}),
    ("test_is_found_by_its_entry_point", type("OtherName", (Good,), {}), {"name": "something-else"}),
    ("test_is_found_by_its_entry_point", type("OtherKind", (Good,), {}), {"kinds": ("identity",)}),
    ("", Good, {}),
)
for _test, _makes, _info in NOTIFIERS:
    broken(_test, ImpatientConformance if _makes is Hangs else NotifierConformance, _makes, **_info)


class Door(Identity):
    """Keeps all promises; the others break one."""

    def __init__(self, context: Any) -> None:
        self.context = context

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Ask."""
        return SignInForm(title="Sign in", fields=(Field(name="pin", label="PIN", kind="password"),))

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Refuse."""
        return NotIdentified(reason="Wrong.")


class OpenDoor(Door):
    """Everybody comes in."""

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Let them."""
        return Identified(subject="x")


class BelievesCallbacks(Door):
    """A callback of anybody is believed."""

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Let in who comes with a code."""
        code = dict(attempt.request.query).get("code") if attempt.request is not None else None
        return Identified(subject=code) if code else NotIdentified(reason="Wrong.")


class ShowsPassword(Door):
    """A password stands in the page."""

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Fill it in."""
        return SignInForm(title="Sign in", fields=(Field(name="pin", label="PIN", kind="password", value="1234"),))


class ForgetsTheHandle(Door):
    """The core could not know whose answer it is."""

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Go without it."""
        return SignInRedirect("https://id.vendor.example/authorize?client_id=1")


class WeakPasswords(Door):
    """Takes anything."""

    async def set_password(self, subject: str, password: str) -> None:
        """Be content."""


class AnyToken(Door):
    """Every token is somebody's."""

    async def bearer(self, token: str) -> Identified | None:
        """Believe it."""
        return Identified(subject=token)


for _test, _makes in (
    ("test_nobody_comes_in_by_a_form_of_rubbish", OpenDoor),
    ("test_nobody_comes_in_by_a_false_callback", BelievesCallbacks),
    ("test_begins", ShowsPassword),
    ("test_begins", ForgetsTheHandle),
    ("test_passwords", WeakPasswords),
    ("test_false_tokens_and_people_who_are_not_there", AnyToken),
    ("", Door),
):
    broken(_test, IdentityConformance, _makes)


class Hides(Shell):
    """Shows a command as it is, with what nobody sees."""

    def __init__(self, context: Any) -> None:
        self.context = context

    async def view(self, line: str) -> CommandView:
        """Pass it on."""
        return CommandView(canonical=line)


class LeavesOut(Hides):
    """Shows only what can be seen."""

    async def view(self, line: str) -> CommandView:
        """Drop the rest."""
        return CommandView(canonical="".join(char for char in line if char.isprintable() or char in "\n\t"))


class Remembers(Hides):
    """Does I/O for a look."""

    async def view(self, line: str) -> CommandView:
        """Keep it."""
        self.context.store.entries["seen"] = Entry(b"", 1)
        return CommandView(canonical="")


for _test, _makes in (("test_shows_everything", Hides), ("test_shows_everything", LeavesOut), ("test_does_no_io", Remembers)):
    broken(_test, ShellConformance, _makes)


class WritesTwice(HelpDesk):  # type: ignore[misc]
    """Forgets the key."""

    async def add_note(self, note: NewNote) -> Note:
        """Write under another."""
        page = await self.notes(note.ticket)
        return await super().add_note(replace(note, key=f"{note.key}-{len(page.items)}"))  # type: ignore[no-any-return]


class TellsClients(HelpDesk):  # type: ignore[misc]
    """What was internal is visible."""

    async def add_note(self, note: NewNote) -> Note:
        """Show it."""
        return await super().add_note(replace(note, visibility="customer"))  # type: ignore[no-any-return]


class Overwrites(HelpDesk):  # type: ignore[misc]
    """Does not look at what was seen."""

    async def set_status(self, status: NewStatus) -> Ticket | Conflict:
        """Take today's version for the one that was seen."""
        now = await self.ticket(status.ticket)
        return await super().set_status(replace(status, seen=now.version if now else ""))  # type: ignore[no-any-return]


class MissesChanges(HelpDesk):  # type: ignore[misc]
    """Hands over a mark that is ahead."""

    async def changes(self, mark: str) -> Changes:
        """Skip the next one."""
        found: Changes = await super().changes(mark)
        return replace(found, mark=str(int(found.mark) + 5))


class MixesCompanies(HelpDesk):  # type: ignore[misc]
    """Hands over another client's people."""

    async def contacts(self, company: str, text: str = "", cursor: str = "") -> Page[Contact]:
        """Take those of the one that there is."""
        return await super().contacts("harbor", text, cursor)  # type: ignore[no-any-return]


class IgnoresSearch(HelpDesk):  # type: ignore[misc]
    """Finds everything."""

    async def tickets(self, search: TicketSearch, cursor: str = "") -> Page[Ticket]:
        """Look for nothing."""
        return await super().tickets(TicketSearch(), cursor)  # type: ignore[no-any-return]


class InCircles(HelpDesk):  # type: ignore[misc]
    """Pages without an end."""

    async def tickets(self, search: TicketSearch, cursor: str = "") -> Page[Ticket]:
        """Begin again."""
        return replace(await super().tickets(search, ""), next="again")


for _test, _makes in (
    ("test_notes_once", WritesTwice),
    ("test_notes_once", TellsClients),
    ("test_status_with_care", Overwrites),
    ("test_changes_are_not_missed", MissesChanges),
    ("test_a_company_keeps_its_own", MixesCompanies),
    ("test_searches_by_each_field", IgnoresSearch),
    ("test_tickets_are_read", InCircles),
):
    broken(_test, TicketingConformance, _makes)


class AlwaysZero(KeptShell):  # type: ignore[misc]
    """Every command went well."""

    def __init__(self, launch: Launch, listener: ShellListener) -> None:
        finished = listener.finished

        def told(end: CommandEnd) -> None:
            finished(replace(end, exit_code=0))

        listener.finished = told  # type: ignore[method-assign]
        super().__init__(launch, listener)


class DoesNotListen(KeptShell):  # type: ignore[misc]
    """Nothing can be interrupted."""

    async def interrupt(self) -> None:
        """Look away for a while."""
        await asyncio.sleep(2)
        await self.close()


class Forgets(KeptShell):  # type: ignore[misc]
    """A command that was cut off has no end."""

    def _finish(self, running: Any, code: int | None, directory: str) -> None:
        if code is not None:
            super()._finish(running, code, directory)


for _test, _shell in (
    ("test_commands_in_order", AlwaysZero),
    ("test_interrupt", DoesNotListen),
    ("test_close_while_a_command_runs", Forgets),
):
    _title = f"Test{_shell.__name__}"
    _own = {"plugin": _title, "made_by": _shell, **_others(EndpointShellConformance, _test, "test_the_terminal")}
    globals()[_title] = type(_title, (EndpointShellConformance,), _own)
    EXPECTED[_title] = _test


@pytest.fixture(autouse=True)
def expected(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """The report says which test of this suite has to fail."""
    record_property("expected", EXPECTED[request.cls.__name__])


@pytest.fixture(autouse=True)
def endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device finds the misbehaving shells."""
    makes = getattr(request.cls, "made_by", None)
    if makes is not None:
        entry = SimpleNamespace(load=lambda: SimpleNamespace(caisey_endpoint_shell=makes))
        monkeypatch.setattr("caisey_hookspecs.testing.shell.entry_points", lambda **_: [entry])
