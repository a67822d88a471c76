"""Every event of a session and of the audit log: the vocabulary of the product.

An event is encoded once (`encode`); those exact bytes are stored, hashed and exported. These kinds and fields are on disk
for ever: add, never rename; new fields have defaults. Tags are written out, so that renaming a class changes nothing.
Text that may have to be withheld or erased is not in an event: a `Content` stands for it, and the text lies beside the event.
"""

from typing import Any, Literal, TypeGuard, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

SCHEMA_VERSION = 1


class Content(Struct, frozen=True):
    """Stands for text: RFC 6962 root over its salted lines, how many lines, how many bytes."""

    root: bytes
    lines: int
    size: int


NOTHING = Content(root=b"", lines=0, size=0)  # for a text that was never given; has no disclosure


class Actor(Struct, frozen=True):
    """Who did it, named as they were named then."""

    kind: Literal["member", "device", "server", "operator", "stranger", "service"]
    id: str = ""
    name: str = ""


SERVER = Actor("server", "", "Caisey")


class Event(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What all events have. `mono` counts nanoseconds since the stream's first event and never goes back."""

    v: int = SCHEMA_VERSION
    actor: Actor
    at: int  # the server's clock, UTC microseconds
    mono: int = 0
    cause: str = ""  # the event that led to this one, as "stream#position", where there is one


# --- a session: asking and consent -----------------------------------------------------------------------------------


class SessionRequested(Event, frozen=True, tag="session-requested"):
    """A technician asks for a session on a device."""

    session: UUID
    device: UUID
    device_name: str
    client: UUID
    client_name: str
    technician: UUID
    technician_name: str
    assignment: UUID | None
    reason: Content
    scopes: tuple[str, ...]
    duration_seconds: int
    shell: str


class ConsentAsked(Event, frozen=True, tag="consent-asked"):
    """The exact bytes that the device signs (caisey_agent.protocol.consent.ConsentRequest), and the reason that it shows."""

    request: bytes
    reason: Content
    expires_at: int  # server's clock, UTC microseconds: no answer by then is a no


class FromDevice(Event, frozen=True):
    """Base of what the device tells; `frame` is its number on the link, so that a repetition is known after a restart."""

    frame: int


class PromptShown(FromDevice, frozen=True, tag="prompt-shown"):
    how: str
    device_at: int  # device's clock, UTC microseconds


class Nudged(Event, frozen=True, tag="nudged"):
    """A dispatcher asked the device to show the prompt again."""

    message: Content


class ConsentGranted(FromDevice, frozen=True, tag="consent-granted"):
    """The person agreed. The signature covers the request's and the answer's exact bytes."""

    answer: bytes
    signature: bytes
    who: str
    how: str
    scopes: tuple[str, ...]
    until: int  # server's clock, UTC microseconds
    device_at: int
    skew_us: int  # device's clock minus server's, microseconds


class ConsentDenied(FromDevice, frozen=True, tag="consent-denied"):
    answer: bytes
    signature: bytes
    who: str
    how: str
    device_at: int


class ConsentPostponed(FromDevice, frozen=True, tag="consent-postponed"):
    answer: bytes
    signature: bytes
    who: str
    how: str
    device_at: int
    again_at: int  # server's clock: the prompt shows again
    expires_at: int


class RequestExpired(Event, frozen=True, tag="request-expired"):
    """Nobody answered in time; that is a no."""


class RequestCancelled(Event, frozen=True, tag="request-cancelled"):
    reason: Content


class ConsentWithdrawn(FromDevice, frozen=True, tag="consent-withdrawn"):
    """Said by the person at the device, signed; stops what runs and ends the session."""

    withdrawal: bytes
    signature: bytes
    who: str
    how: str
    device_at: int


class ConsentEnded(Event, frozen=True, tag="consent-ended"):
    """The agreed time is over. The session waits for another consent, or for its completion."""


# --- a session: work -------------------------------------------------------------------------------------------------


class ShellStarted(FromDevice, frozen=True, tag="shell-started"):
    shell: str
    account: str
    salt: bytes = b""


class ShellEnded(FromDevice, frozen=True, tag="shell-ended"):
    reason: Content


class CommandAccepted(Event, frozen=True, tag="command-accepted"):
    """Durable before it is sent to the device."""

    command: UUID
    line: Content


class CommandStarted(FromDevice, frozen=True, tag="command-started"):
    command: UUID
    device_at: int


class OutputReceived(FromDevice, frozen=True, tag="output-received"):
    """Bytes of a command, or of the terminal (command None)."""

    command: UUID | None
    output: Content


class OutputCut(FromDevice, frozen=True, tag="output-cut"):
    """More output than is kept: how many bytes, and their SHA-256."""

    command: UUID
    size: int
    content: bytes


class CommandFinished(FromDevice, frozen=True, tag="command-finished"):
    """A command ended, with the device's signed receipt (caisey_agent.protocol.receipt.CommandReceipt)."""

    command: UUID
    exit_code: int | None
    duration_ns: int
    directory: Content
    receipt: bytes
    signature: bytes


class CommandInterrupted(Event, frozen=True, tag="command-interrupted"):
    """A member asked to end the command (None: whatever runs)."""

    command: UUID | None


class NotRun(FromDevice, frozen=True, tag="not-run"):
    """The device did not do it and says why; `lost`: it had begun, its end is not known."""

    subject: UUID | None
    reason: Content
    lost: bool


class TerminalTyped(Event, frozen=True, tag="terminal-typed"):
    """Keys, durable before they are sent. While the terminal does not echo, only their number is recorded."""

    typed: Content
    count: int  # bytes
    hidden: bool


class TerminalResized(Event, frozen=True, tag="terminal-resized"):
    columns: int
    rows: int


# --- a session: files ------------------------------------------------------------------------------------------------


class TransferAccepted(Event, frozen=True, tag="transfer-accepted"):
    transfer: UUID
    direction: Literal["upload", "download"]
    path: Content
    size: int  # bytes; of an upload
    content: bytes  # SHA-256; of an upload
    replace: bool


class TransferFinished(FromDevice, frozen=True, tag="transfer-finished"):
    transfer: UUID
    size: int
    content: bytes
    receipt: bytes
    signature: bytes


class TransferFailed(FromDevice, frozen=True, tag="transfer-failed"):
    transfer: UUID
    reason: Content


class TransferCancelled(Event, frozen=True, tag="transfer-cancelled"):
    transfer: UUID
    reason: str
    salt: bytes = b""


# --- a session: people and its end -----------------------------------------------------------------------------------


class Reassigned(Event, frozen=True, tag="reassigned"):
    """The same session in other hands; shell and history stay."""

    from_technician: UUID
    from_name: str
    to_technician: UUID
    to_name: str
    reason: Content
    salt: bytes = b""


class SessionInterrupted(Event, frozen=True, tag="session-interrupted"):
    """The device or the server was gone; nothing is lost."""

    reason: str
    salt: bytes = b""


class SessionResumed(Event, frozen=True, tag="session-resumed"):
    reason: str
    salt: bytes = b""


Resolution = Literal["fixed", "workaround", "escalated", "not-reproducible", "no-fault"]


class SessionCompleted(Event, frozen=True, tag="session-completed"):
    resolution: Resolution
    notes: Content
    checked: Content  # what was checked to know that it works


class Sealed(Event, frozen=True, tag="sealed"):
    """The last event: `events` came before it. The store refuses any later one."""

    events: int


SessionEvent = (
    SessionRequested
    | ConsentAsked
    | PromptShown
    | Nudged
    | ConsentGranted
    | ConsentDenied
    | ConsentPostponed
    | RequestExpired
    | RequestCancelled
    | ConsentWithdrawn
    | ConsentEnded
    | ShellStarted
    | ShellEnded
    | CommandAccepted
    | CommandStarted
    | OutputReceived
    | OutputCut
    | CommandFinished
    | CommandInterrupted
    | NotRun
    | TerminalTyped
    | TerminalResized
    | TransferAccepted
    | TransferFinished
    | TransferFailed
    | TransferCancelled
    | Reassigned
    | SessionInterrupted
    | SessionResumed
    | SessionCompleted
    | Sealed
)


# --- the audit log of a tenant ---------------------------------------------------------------------------------------


class TenantCreated(Event, frozen=True, tag="tenant-created"):
    tenant: UUID
    name: str
    key: str  # C2SP vkey of the tenant's record key


class ClientCreated(Event, frozen=True, tag="client-created"):
    client: UUID
    name: str


class ClientRenamed(Event, frozen=True, tag="client-renamed"):
    client: UUID
    name: str
    before: str


class TenantSuspended(Event, frozen=True, tag="tenant-suspended"):
    """The operator closed the company's doors; its data stays."""

    reason: str


class TenantResumed(Event, frozen=True, tag="tenant-resumed"):
    """The company's doors are open again."""


class MemberCreated(Event, frozen=True, tag="member-created"):
    member: UUID
    name: str
    email: str
    role: str
    clients: tuple[UUID, ...] | None = None  # that the member serves; None: all
    by_plugin: str = ""  # the identity plugin at which they signed in for the first time; empty: the actor made them


class MemberChanged(Event, frozen=True, tag="member-changed"):
    """A member got another role, or serves other clients."""

    member: UUID
    role: str
    role_before: str
    clients: tuple[UUID, ...] | None  # None: all
    clients_before: tuple[UUID, ...] | None
    by_plugin: str = ""  # the identity plugin that decided it at a sign-in; empty: the actor did


class MemberDeactivated(Event, frozen=True, tag="member-deactivated"):
    """A member cannot come in any more; browser sessions, API tokens and sign-in links ended at once."""

    member: UUID
    by_plugin: str = ""  # the identity plugin that told it; empty: the actor did


class MemberReactivated(Event, frozen=True, tag="member-reactivated"):
    member: UUID


class SignInLinkCreated(Event, frozen=True, tag="sign-in-link-created"):
    member: UUID
    expires_at: int
    reusable: bool


class ApiTokenCreated(Event, frozen=True, tag="api-token-created"):
    """A token for programs: of a member, or of a service, which is an actor of its own."""

    token: UUID
    member: UUID  # of a service: the token's own id
    label: str
    service: bool = False
    scopes: tuple[str, ...] = ()
    clients: tuple[UUID, ...] = ()  # none: not narrowed
    expires_at: int | None = None  # server's clock, UTC microseconds


class SignedIn(Event, frozen=True, tag="signed-in"):
    member: UUID
    way: str  # plugin name, or "link"
    address: str


class SignInFailed(Event, frozen=True, tag="sign-in-failed"):
    way: str
    address: str


class SignedOut(Event, frozen=True, tag="signed-out"):
    member: UUID
    by_plugin: str = ""  # the identity plugin that told that the sign-in ended; empty: the member signed out


class MemberLinked(Event, frozen=True, tag="member-linked"):
    """A member signed in a further way for the first time; the provider vouched for their address."""

    member: UUID
    way: str  # plugin name


class PasswordSet(Event, frozen=True, tag="password-set"):
    """A member set a password; the identity plugin keeps it."""

    member: UUID


class InstallerCreated(Event, frozen=True, tag="installer-created"):
    installer: UUID
    client: UUID | None  # None: for the tenant
    device_name: str  # empty: not for one named device
    expires_at: int | None
    uses: int | None  # None: unlimited


class InstallerRotated(Event, frozen=True, tag="installer-rotated"):
    installer: UUID


class InstallerRevoked(Event, frozen=True, tag="installer-revoked"):
    installer: UUID


class DeviceEnrolled(Event, frozen=True, tag="device-enrolled"):
    """The device's public key, with its proof; consents and receipts of this device verify under it."""

    device: UUID
    name: str
    client: UUID
    installer: UUID
    key: bytes  # 32 bytes, Ed25519
    proof: bytes
    address: str


class DeviceRenamed(Event, frozen=True, tag="device-renamed"):
    device: UUID
    name: str
    before: str


class DeviceMoved(Event, frozen=True, tag="device-moved"):
    device: UUID
    client: UUID
    before: UUID


class DeviceRemoved(Event, frozen=True, tag="device-removed"):
    device: UUID
    reason: str


Priority = Literal["normal", "high", "urgent"]


class DeviceAssigned(Event, frozen=True, tag="device-assigned"):
    assignment: UUID
    device: UUID
    technician: UUID
    priority: Priority
    reason: Content
    due_at: int | None  # server's clock, UTC microseconds


class AssignmentMoved(Event, frozen=True, tag="assignment-moved"):
    assignment: UUID
    device: UUID
    from_technician: UUID
    to_technician: UUID
    reason: Content


class AssignmentClosed(Event, frozen=True, tag="assignment-closed"):
    assignment: UUID
    device: UUID
    reason: str


class SessionOpened(Event, frozen=True, tag="session-opened"):
    """A session's stream began; its own events are in it."""

    session: UUID
    device: UUID
    technician: UUID


class ReviewOpened(Event, frozen=True, tag="review-opened"):
    session: UUID


class AuditExported(Event, frozen=True, tag="audit-exported"):
    """Entries of this log left the house as a file."""

    form: str  # ocsf or csv


class ContentErased(Event, frozen=True, tag="content-erased"):
    """The texts of a session are destroyed for ever; its events and their proofs stay."""

    session: UUID
    rule: Literal["request", "retention"]
    reason: str


class RetentionSet(Event, frozen=True, tag="retention-set"):
    """How long texts are kept after a session's end."""

    client: UUID | None  # None: for all clients without a rule of their own
    days: int | None  # None: no rule of its own; 0: for ever


class SessionExported(Event, frozen=True, tag="session-exported"):
    """A bundle of a session was made; `files` stands for its files for reading (record/bundle.py: listing)."""

    session: UUID
    events: int
    files: bytes
    everything: bool  # False: a reviewer withheld lines


class TranscriptCreated(Event, frozen=True, tag="transcript-created"):
    """Somebody began to review a frozen copy of a session's first `events` events."""

    transcript: UUID
    session: UUID
    events: int
    lines: int


class TranscriptChanged(Event, frozen=True, tag="transcript-changed"):
    """A reviewer's decisions were saved; what they withheld is not said here."""

    transcript: UUID
    session: UUID
    version: int
    withheld: int  # lines
    hidden: int  # events withheld as a whole


class TranscriptPublished(Event, frozen=True, tag="transcript-published"):
    """The reviewer has looked at all lines; whoever has the link can read what stays."""

    transcript: UUID
    session: UUID
    share: UUID
    lines: int  # that were looked at
    withheld: int
    hidden: int
    passcode: bool
    expires_at: int | None  # server's clock, UTC microseconds


class ShareOpened(Event, frozen=True, tag="share-opened"):
    """Somebody read a share: its page, or a file of it."""

    share: UUID
    transcript: UUID
    session: UUID
    what: str  # page, bundle, terminal
    address: str


class SharePasscodeRefused(Event, frozen=True, tag="share-passcode-refused"):
    share: UUID
    transcript: UUID
    session: UUID
    address: str


class ShareRefreshed(Event, frozen=True, tag="share-refreshed"):
    """A share got a new link; the old one stopped at once."""

    share: UUID
    transcript: UUID
    session: UUID
    passcode: bool
    expires_at: int | None  # server's clock, UTC microseconds


class ShareRevoked(Event, frozen=True, tag="share-revoked"):
    share: UUID
    transcript: UUID
    session: UUID
    reason: Literal["revoked", "erased"]


class PluginEnabled(Event, frozen=True, tag="plugin-enabled"):
    plugin: str


class PluginDisabled(Event, frozen=True, tag="plugin-disabled"):
    plugin: str


class PluginChanged(Event, frozen=True, tag="plugin-changed"):
    """An admin changed a plugin's settings: which of them, never to what."""

    plugin: str
    settings: tuple[str, ...]
    allow_private: bool  # the plugin may reach private addresses from now on
    proven: bool  # the plugin tried these settings before they were stored, and they worked


class PluginDefaultSet(Event, frozen=True, tag="plugin-default-set"):
    """A plugin comes first among those of a kind."""

    of: str
    plugin: str


class KeysRotated(Event, frozen=True, tag="keys-rotated"):
    """The tenant's secrets were sealed under a new key."""

    secrets: int  # how many
    master: bool  # the installation has a new master key too


class WitnessRefused(Event, frozen=True, tag="witness-refused"):
    """A device refuses this server's record: it does not continue what the device remembers. The device's key signed the doubt."""

    device: UUID
    doubt: bytes  # exact bytes (caisey_agent.protocol.history.Doubt)
    signature: bytes
    reason: str  # "signature", "shorter" or "fork"
    remembered: int  # leaves under the checkpoint that the device remembers; 0: none
    genuine: bool  # what the device remembers is signed by the key of this tenant
    shown: int  # leaves under the checkpoint that this server had then


class FactorAdded(Event, frozen=True, tag="factor-added"):
    """A member signs in with something besides the password from now on."""

    member: UUID
    factor: str  # authenticator or passkey
    title: str


class FactorRemoved(Event, frozen=True, tag="factor-removed"):
    member: UUID
    factor: str
    title: str


class RecoveryCodesMade(Event, frozen=True, tag="recovery-codes-made"):
    """The ones before are good for nothing now."""

    member: UUID


class WitnessSatisfied(Event, frozen=True, tag="witness-satisfied"):
    """A device that refused this server's record takes it again."""

    device: UUID
    size: int  # leaves under the checkpoint that it remembers now


class ApiTokenRevoked(Event, frozen=True, tag="api-token-revoked"):
    token: UUID
    member: UUID  # of a service: the token's own id
    label: str


AuditEvent = (
    TenantCreated
    | ClientCreated
    | ClientRenamed
    | TenantSuspended
    | TenantResumed
    | MemberCreated
    | MemberChanged
    | MemberDeactivated
    | MemberReactivated
    | SignInLinkCreated
    | ApiTokenCreated
    | SignedIn
    | SignInFailed
    | SignedOut
    | MemberLinked
    | PasswordSet
    | InstallerCreated
    | InstallerRotated
    | InstallerRevoked
    | DeviceEnrolled
    | DeviceRenamed
    | DeviceMoved
    | DeviceRemoved
    | DeviceAssigned
    | AssignmentMoved
    | AssignmentClosed
    | SessionOpened
    | ReviewOpened
    | AuditExported
    | ContentErased
    | RetentionSet
    | SessionExported
    | TranscriptCreated
    | TranscriptChanged
    | TranscriptPublished
    | ShareOpened
    | SharePasscodeRefused
    | ShareRefreshed
    | ShareRevoked
    | PluginEnabled
    | PluginDisabled
    | PluginChanged
    | PluginDefaultSet
    | KeysRotated
    | WitnessRefused
    | WitnessSatisfied
    | ApiTokenRevoked
    | FactorAdded
    | FactorRemoved
    | RecoveryCodesMade
)

AnyEvent = SessionEvent | AuditEvent

# Kinds with words in the clear and nothing else that cannot be guessed: `salt` (16 random bytes) keeps somebody who is only
# shown the event's leaf hash from trying words until they fit.
Salted = ShellStarted | TransferCancelled | Reassigned | SessionInterrupted | SessionResumed

encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[AnyEvent] = msgspec.msgpack.Decoder(AnyEvent)


class Unknown(Struct, frozen=True, kw_only=True):
    """An event of a kind that this version does not know: kept, verified, shown as unknown."""

    kind: str
    at: int
    actor: Actor
    v: int = 0
    mono: int = 0
    cause: str = ""


class _Kind(Struct, frozen=True):
    kind: str


_kinds = frozenset(kind.__struct_config__.tag for kind in get_args(AnyEvent))
_kind_decoder = msgspec.msgpack.Decoder(_Kind)
_unknown_decoder = msgspec.msgpack.Decoder(Unknown)


def decode(data: bytes) -> AnyEvent | Unknown:
    """Decode an event's bytes. Raises msgspec.ValidationError or msgspec.DecodeError for what is no event."""
    try:
        return _decode(data)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets them out
        raise msgspec.DecodeError(str(error)) from error


def _decode(data: bytes) -> AnyEvent | Unknown:
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        if _kind_decoder.decode(data).kind in _kinds:
            raise
        return _unknown_decoder.decode(data)


_session_kinds = frozenset(get_args(SessionEvent))


def of_session(event: AnyEvent | Unknown) -> TypeGuard[SessionEvent]:
    """Say whether this is an event of a session; isinstance would try one kind after the other."""
    return type(event) in _session_kinds


_content_fields: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in msgspec.structs.fields(kind) if field.type is Content) for kind in get_args(AnyEvent)
}


def contents(event: AnyEvent | Unknown) -> tuple[Content, ...]:
    """Return an event's contents in field order, as its disclosure lists their texts. NOTHING is left out."""
    found: tuple[Content, ...] = ()
    for name in _content_fields.get(type(event), ()):
        content: Content = getattr(event, name)
        if content.root:
            found = (*found, content)
    return found


_map_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def read(data: bytes) -> tuple[AnyEvent | Unknown, tuple[Content, ...]]:
    """Decode an event's bytes and return its contents with it, also of a kind that this version does not know.

    Those are told by their shape. Raises msgspec.ValidationError or msgspec.DecodeError for what is no event.
    """
    event = decode(data)
    if type(event) in _content_fields:
        return event, contents(event)
    shape = set(Content.__struct_fields__)
    maps = (value for value in _map_decoder.decode(data).values() if isinstance(value, dict) and value.keys() == shape)
    found = (msgspec.convert(value, Content) for value in maps)
    return event, tuple(value for value in found if value.root)
