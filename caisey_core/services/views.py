"""What the pages and the API show: plain values, made by services, rendered by doors. Times are UTC microseconds."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from caisey_agent.protocol.frames import Facts
from caisey_core.domain.events import Priority, Resolution
from caisey_core.domain.roles import Member, Role
from caisey_core.domain.session import State
from caisey_hookspecs import SignInForm

Pending = Literal["", "consent", "work", "interrupted"]
EntryGroup = Literal["commands", "terminal", "files", "consent", "people", "state"]
InstallerState = Literal["valid", "expired", "used up", "revoked"]


class View(Struct, frozen=True, kw_only=True):
    """Base of all views."""


class Choice(View, frozen=True):
    """One line of a select box."""

    id: UUID
    name: str


class AssignmentView(View, frozen=True):
    id: UUID
    device: UUID
    device_name: str
    client: UUID
    client_name: str
    technician: UUID
    technician_name: str
    priority: Priority
    reason: str
    due_at: int | None
    assigned_at: int
    assigned_by: str
    closed_at: int | None = None
    online: bool = False
    session: "SessionCard | None" = None  # the open session of this device


class SessionCard(View, frozen=True):
    """A session on the board, in a queue, on a device."""

    id: UUID
    device: UUID
    device_name: str
    client: UUID
    client_name: str
    technician: UUID
    technician_name: str
    state: State
    reason: str
    scopes: tuple[str, ...]
    requested_at: int
    shown_at: int | None = None  # since when the prompt is on the screen
    postponed_until: int | None = None
    expires_at: int | None = None  # no answer by then is a no
    granted_at: int | None = None
    who: str = ""  # who agreed at the device
    until: int | None = None
    consent_over: bool = False
    ended_at: int | None = None
    resolution: Resolution | None = None
    connected: bool = True
    running: int = 0  # commands now
    commands: int = 0
    sealed: bool = False


class DeviceRow(View, frozen=True):
    """A device in the list. `pending` says what waits for somebody: consent, assignment, interrupted, reboot; empty: nothing."""

    id: UUID
    name: str
    client: UUID
    client_name: str
    online: bool
    last_seen: int | None
    user: str
    system: str
    platform: str
    assignment: AssignmentView | None
    session: SessionCard | None
    pending: Pending


class Counts(View, frozen=True):
    devices: int
    online: int
    offline: int
    waiting_consent: int
    active: int
    interrupted: int
    assigned: int


class DeviceGroup(View, frozen=True):
    client: UUID
    client_name: str
    devices: int  # of this client that match, on all pages
    online: int
    rows: tuple[DeviceRow, ...]


class DeviceFilter(View, frozen=True):
    """Filters of the device list; they live in the address."""

    q: str = ""
    client: UUID | None = None
    status: Literal["", "online", "offline"] = ""
    pending: Pending = ""
    technician: UUID | None = None
    after: str = ""  # cursor of the next page


class DevicesPage(View, frozen=True):
    filter: DeviceFilter
    counts: Counts
    groups: tuple[DeviceGroup, ...]
    matches: int
    next: str  # cursor, empty on the last page
    clients: tuple[Choice, ...]
    technicians: tuple[Choice, ...]


class DevicePage(View, frozen=True):
    row: DeviceRow
    facts: Facts | None
    facts_at: int | None
    enrolled_at: int
    installer: str
    key: str  # fingerprint of the device's key
    assignments: tuple[AssignmentView, ...]
    sessions: tuple[SessionCard, ...]
    clients: tuple[Choice, ...]
    technicians: tuple[Choice, ...]


class SessionFilter(View, frozen=True):
    client: UUID | None = None
    technician: UUID | None = None
    q: str = ""


class Board(View, frozen=True):
    filter: SessionFilter
    pending: tuple[SessionCard, ...]  # requested and pending consent, longest waiting first
    active: tuple[SessionCard, ...]
    interrupted: tuple[SessionCard, ...]
    done: tuple[SessionCard, ...]  # ended, newest first, 50 at most
    clients: tuple[Choice, ...]
    technicians: tuple[Choice, ...]


class QueuePage(View, frozen=True):
    mine: tuple[AssignmentView, ...]
    sessions: tuple[SessionCard, ...]  # mine that are open


class CommandCard(View, frozen=True):
    id: UUID
    position: int
    line: str
    by: str
    at: int
    state: Literal["accepted", "running", "finished", "not run", "lost"]
    output: str = ""  # the first 64 KiB, decoded with replacement characters
    output_size: int = 0
    cut: int = 0  # bytes that were not kept
    exit_code: int | None = None
    duration_ns: int | None = None
    directory: str = ""
    reason: str = ""  # why it did not run
    receipt: bool = False  # the device signed a receipt


class TransferCard(View, frozen=True):
    id: UUID
    position: int
    direction: Literal["upload", "download"]
    path: str
    by: str
    at: int
    size: int
    content: str  # SHA-256, hexadecimal
    state: Literal["running", "finished", "failed", "cancelled"]
    done: int = 0  # bytes so far
    reason: str = ""


class SessionPage(View, frozen=True):
    """The technician's session."""

    card: SessionCard
    row: DeviceRow
    facts: Facts | None
    commands: tuple[CommandCard, ...]
    transfers: tuple[TransferCard, ...]
    people: tuple[str, ...]
    mine: bool  # this member may work in it
    why_not: str  # where not: the reason
    technicians: tuple[Choice, ...]
    largest_file: int


class Entry(View, frozen=True):
    """One line of the review's timeline. `title` is a sentence; `body` what was said or put out, `typed` the keys."""

    position: int
    at: int
    group: EntryGroup
    kind: str
    actor: str
    title: str
    body: str = ""
    body_size: int = 0
    typed: str = ""
    command: CommandCard | None = None
    transfer: TransferCard | None = None


class Proof(View, frozen=True):
    """The verdict on a session's record."""

    ok: bool
    sentence: str  # "Verified: 214 events, consent 10:42:07 before the first command 10:42:31, device co-signed"
    proved: tuple[str, ...]
    broken: str = ""  # where not: session, event and time
    at: int = 0  # when it was checked


class Participant(View, frozen=True):
    name: str
    role: str  # "technician", "end user", "dispatcher"
    first_at: int
    last_at: int


class ReviewPage(View, frozen=True):
    card: SessionCard
    notes: str
    checked: str
    duration_us: int | None  # from consent to the end
    participants: tuple[Participant, ...]
    entries: tuple[Entry, ...]
    commands: int
    files: int
    events: int
    proof: Proof


class EntryFilter(View, frozen=True):
    """Which entries of a timeline: the words that each must have, the groups (None: all), and where to begin.

    `start` counts the entries that fit; `at` (an event's position) or `time` (UTC microseconds) choose the part that holds it.
    """

    q: str = ""
    groups: tuple[EntryGroup, ...] | None = None
    start: int = 0
    at: int | None = None
    time: int | None = None


class EntryPart(View, frozen=True):
    """A part of a timeline, without outputs."""

    entries: tuple[Entry, ...]
    start: int  # of the first, among those that fit
    matches: int  # how many fit
    total: int
    at: int | None = None  # the position of the entry that was asked for


class EntryDetail(View, frozen=True):
    """One entry with its texts. `changed`: the database does not hold what the timeline was made from."""

    entry: Entry
    changed: bool


class ReviewScreen(View, frozen=True):
    """The first screen of a review, and what the rest is fetched with."""

    card: SessionCard
    notes: str
    checked: str
    duration_us: int | None  # from consent to the end
    participants: tuple[Participant, ...]
    first_at: int
    last_at: int
    marks: tuple[float, ...]  # where commands lie between first and last, in percent, each place once
    part: EntryPart
    first: EntryDetail | None  # the entry that is shown at first
    commands: int
    files: int
    events: int
    terminal: bool  # there is something to replay
    proof: Proof | None  # None: it is still being checked


class InstallerView(View, frozen=True):
    id: UUID
    client: UUID | None
    client_name: str  # "All clients" for the tenant
    device_name: str
    created_at: int
    created_by: str
    expires_at: int | None
    uses_left: int | None
    state: InstallerState
    enrolled: tuple[Choice, ...]  # devices


class ClientView(View, frozen=True):
    id: UUID
    name: str
    devices: int
    online: int


class MemberView(View, frozen=True):
    id: UUID
    name: str
    email: str
    role: Role
    active: bool
    clients: tuple[Choice, ...] | None  # None: all; said to those who may change it only
    managed_by: str  # title of the identity plugin that decides role and clients at each sign-in; empty: admins do
    open_assignments: int
    open_sessions: int


class NoticeView(View, frozen=True):
    id: UUID
    title: str
    text: str
    link: str
    urgency: Literal["normal", "high", "urgent"]
    at: int
    read: bool


class PluginTrouble(View, frozen=True):
    """One failure of a plugin, in words for an admin."""

    at: int
    words: str


class PluginView(View, frozen=True):
    """A plugin and how it does for the tenant. "off": it is enabled, but what is stored for it cannot be read any more.

    `default_of` are the kinds for which it comes first. Durations are of the last calls that were answered.
    """

    name: str
    title: str
    version: str
    kinds: tuple[str, ...]
    enabled: bool
    state: Literal["ok", "failing", "broken", "off", "missing"]
    detail: str
    distribution: str = ""
    documentation: str = ""
    has_settings: bool = False
    default_of: tuple[str, ...] = ()
    one_of_several: tuple[str, ...] = ()  # the kinds of which others are enabled as well
    calls: int = 0
    failures: int = 0
    hangs: int = 0  # how often the plugin's thread was replaced, for whichever company
    median_seconds: float | None = None
    slowest_seconds: float | None = None
    troubles: tuple[PluginTrouble, ...] = ()  # the newest first


class PluginDetail(View, frozen=True):
    """A plugin with what is stored for it: the secrets are not in it, but the places where they are kept."""

    plugin: PluginView
    settings: dict[str, Any]
    settings_schema: dict[str, Any]  # JSON Schema
    allow_private: bool  # it may reach private addresses, and over plain HTTP
    version: int  # of the stored choice: to be sent back with a change


class PluginTest(View, frozen=True):
    """What came of trying settings."""

    ok: bool
    message: str


class AuditEntry(View, frozen=True):
    position: int
    at: int
    actor: str
    kind: str
    sentence: str
    session: UUID | None = None  # whose record has the rest


class KeepView(View, frozen=True):
    """How long a client's contents are kept; days None: as for all others, 0: for ever."""

    client: UUID | None
    name: str
    days: int | None


class RetentionPage(View, frozen=True):
    rules: tuple[KeepView, ...]  # the first one is for all clients without a rule of their own


AuditGroup = Literal["", "sign-in", "devices", "work", "records", "shares", "settings"]


class AuditFilter(View, frozen=True):
    """Which entries; days are UTC, both ends included."""

    q: str = ""
    who: UUID | None = None
    what: AuditGroup = ""
    since: date | None = None
    until: date | None = None


class AuditPage(View, frozen=True):
    filter: AuditFilter
    entries: tuple[AuditEntry, ...]
    next: int | None
    members: tuple[Choice, ...]


class Hit(View, frozen=True):
    """One result of the search box."""

    kind: Literal["device", "client", "session", "member", "page"]
    title: str
    detail: str
    link: str


Outcome = Literal[
    "", "fixed", "workaround", "escalated", "not-reproducible", "no-fault", "denied", "expired", "cancelled", "revoked", "open"
]


class RecordFilter(View, frozen=True):
    """What is looked for in the records; it lives in the address. Days are those of UTC, both included."""

    q: str = ""
    device: UUID | None = None
    client: UUID | None = None
    technician: UUID | None = None
    since: date | None = None
    until: date | None = None
    outcome: Outcome = ""
    before: int | None = None  # cursor of the next page


class FoundLine(View, frozen=True):
    """A line in which the words are, cut to what stands around them: pieces in turn not marked and marked."""

    position: int
    kind: Literal["command", "output", "terminal", "file", "reason", "note"]
    pieces: tuple[str, ...]


class FoundSession(View, frozen=True):
    """A session with its first lines that fit."""

    session: UUID
    device: UUID
    device_name: str
    client_name: str
    technician_name: str
    requested_at: int
    outcome: Outcome
    reason: str
    lines: tuple[FoundLine, ...]
    more: bool


class RecordsPage(View, frozen=True):
    """Sessions, newest first. `to`: where looking ended for now. `left`: sessions that are not yet indexed."""

    filter: RecordFilter
    found: tuple[FoundSession, ...]
    next: int | None
    to: int | None
    left: int
    nothing_asked: bool
    device_name: str  # of the filter
    clients: tuple[Choice, ...]
    technicians: tuple[Choice, ...]


TokenState = Literal["valid", "expired", "revoked"]


class ScopeChoice(View, frozen=True):
    """What a token may be used for. `dangerous`: what a browser is asked to sign in again for."""

    name: str
    dangerous: bool


class TokenView(View, frozen=True):
    """An API token; the token itself is never shown again. `clients`: those that it is narrowed to, none: not narrowed."""

    id: UUID
    label: str
    service: bool
    owner: str  # empty: a service
    scopes: tuple[str, ...]
    clients: tuple[Choice, ...]
    created_at: int
    created_by: str
    expires_at: int | None
    last_used_at: int | None
    last_used_from: str
    state: TokenState


class TokensPage(View, frozen=True):
    mine: tuple[TokenView, ...]
    others: tuple[TokenView, ...]  # for who may make service tokens
    scopes: tuple[ScopeChoice, ...]  # that one's own token can have
    service_scopes: tuple[ScopeChoice, ...]
    may_make_services: bool


class NewApiToken(View, frozen=True):
    """A token just made: shown once."""

    view: TokenView
    token: str


class MemberPage(View, frozen=True):
    """One member, and the clients that there are to choose from. `oneself`: nobody changes their own rights."""

    view: MemberView
    clients: tuple[Choice, ...]
    oneself: bool


class NewMember(View, frozen=True):
    """A member just made, and the link for the first sign-in: shown once."""

    view: MemberView
    link: str


class NewInstaller(View, frozen=True):
    """An installer just made: token and command are shown once."""

    view: InstallerView
    token: str
    command: str
    start: str  # the command that starts the agent afterwards
    service: str  # the command that lets systemd keep it running instead


class Way(View, frozen=True):
    """One way to sign in, with its form, or a link to a provider."""

    plugin: str
    title: str
    form: SignInForm | None
    redirect: str = ""  # our own address that sends the browser to the provider
    trouble: str = ""  # why it cannot be used now


class SignInPage(View, frozen=True):
    """A tenant's ways to sign in; `again` names who is signed in already and is to prove it."""

    tenant_slug: str
    tenant_name: str
    ways: tuple[Way, ...]
    again: str = ""


class SignedIn(View, frozen=True):
    """A browser is signed in: the token goes into its cookie."""

    token: str
    member: Member
    going: str = ""  # the page that the person wanted before they were sent to a provider


class SentAway(View, frozen=True):
    """A browser goes to a provider; `browser` is the token for its cookie, by which it is known when it comes back."""

    url: str
    browser: str


class FactorView(View, frozen=True):
    """Something by which a member signs in besides the password. Times are UTC microseconds."""

    id: str
    kind: str
    title: str
    added_at: int
    last_used_at: int | None


class AccountPage(View, frozen=True):
    """A member's own account. `by_link`: this browser was signed in by a link; `kinds`: what can be added to the password."""

    name: str
    email: str
    way: str
    by_link: bool
    kinds: tuple[str, ...] = ()
    factors: tuple[FactorView, ...] = ()
    recovery_codes: int = 0


class KeysPage(View, frozen=True):
    """What an outsider needs to check this tenant's records."""

    vkey: str
    checkpoint: str
    size: int  # leaves under it
    witnesses: "WitnessesView | None" = None  # for those who may read the audit log


class WitnessView(View, frozen=True):
    """A device with the newest checkpoint that it has on its own disk."""

    device: UUID
    name: str
    client_name: str
    online: bool
    size: int
    seen_at: int
    refused_at: int | None
    reason: str
    remembered: int


class WitnessesView(View, frozen=True):
    devices: int
    newest: int  # leaves under the newest checkpoint that any device has which does not refuse
    behind: int
    refusing: int
    shown: tuple[WitnessView, ...]
