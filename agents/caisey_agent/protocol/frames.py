"""Frames of the agent link: one binary WebSocket message is one msgpack-encoded tagged Struct.

A connection begins with a handshake: the server sends `Challenge`, the agent `Prove`, the server `Welcome` or `Refuse`.
An agent that is a witness (`Prove.witnessed` is not None) then gets `History` and answers `Witnessed`, or `Doubts` and leaves:
it takes nothing from a server whose log does not continue what it remembers. An older agent names none and goes on at once.
Afterwards each side wraps what must not be lost in `Numbered` (numbers rise, gaps are allowed) and confirms with `Ack`
what it has made durable; after a broken link both sides send again what the other had not confirmed, in order. A frame
whose number was seen before is dropped. `Welcome.epoch` names the life of the server's numbering: when it differs from the
last one, the agent forgets which numbers it saw. The agent's own numbers rise over its whole life (they survive restarts).

Rule of change: tags and fields are for ever; new fields have defaults; unknown frames of a newer version end the link with
close code 4406 and words.
"""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from caisey_agent.protocol.decoding import decoded

PROTOCOL_VERSION = 1
LONGEST_FRAME = 1 << 20  # bytes; a longer one ends the link with 1009 (RFC 6455: message too big)
LONGEST_LINE = 64 * 1024  # bytes of a command
CHUNK = 32 * 1024  # bytes of output or file in one frame
LARGEST_FILE = 256 << 20  # bytes of a transfer

# WebSocket close codes of the link
CLOSE_BAD_FRAME = 4400
CLOSE_NOT_YOU = 4401  # wrong key, unknown device
CLOSE_REMOVED = 4403  # the device was removed: the agent says so and ends
CLOSE_OLD_VERSION = 4406
CLOSE_REPLACED = 4409  # a second agent connected with the same key
CLOSE_HISTORY = 4410  # from the agent: the server's log does not continue what this device remembers


class Frame(Struct, frozen=True, kw_only=True, tag_field="t"):
    """Base of every frame."""


# --- handshake -------------------------------------------------------------------------------------------------------


class Challenge(Frame, frozen=True, tag="challenge"):
    """Server: prove that you hold the device's key."""

    nonce: bytes  # 32 bytes
    server: str  # the server's name; the agent refuses one that is not its own
    version: int = PROTOCOL_VERSION


class Prove(Frame, frozen=True, tag="prove"):
    """Agent: the signature is over `proof_bytes(nonce, server, device)`."""

    device: UUID
    signature: bytes
    version: int = PROTOCOL_VERSION
    agent_version: str = ""
    epoch: str = ""  # of the last welcome
    received: int = 0  # highest number received in that epoch
    witnessed: int | None = None  # leaves under the checkpoint that the device remembers; 0: none yet; None: no witness


class Welcome(Frame, frozen=True, tag="welcome"):
    """Server: you are in. `received` is the agent's highest number that is durable here."""

    epoch: str
    received: int
    server_time: int  # UTC microseconds
    heartbeat_seconds: float = 15.0


class Refuse(Frame, frozen=True, tag="refuse"):
    """Server: not now, or never. The connection closes after it."""

    reason: str
    what_to_do: str = ""
    final: bool = False  # True: do not come back
    retry_after_seconds: float | None = None


class History(Frame, frozen=True, tag="history"):
    """Server: the newest checkpoint of the tenant's log, and the proof that it continues the one of `since` leaves."""

    checkpoint: str  # signed note
    since: int
    proof: tuple[bytes, ...] = ()  # RFC 6962 section 2.1.2; empty where since is 0 or the checkpoint's own size


def proof_bytes(nonce: bytes, server: str, device: UUID) -> bytes:
    """Return what the agent signs at each connect: bound to this server's name and this device."""
    return b"caisey link v1\n" + nonce + device.bytes + server.encode()


# --- numbering -------------------------------------------------------------------------------------------------------


class Ack(Frame, frozen=True, tag="ack"):
    """Everything up to this number is safe on the sender's side."""

    number: int


# --- server to agent, numbered ---------------------------------------------------------------------------------------


class AskConsent(Frame, frozen=True, tag="ask"):
    """Show the prompt. `request` is a ConsentRequest's exact bytes; a second one for a session asks for more.

    The request has the hash of `reason` under `seed`.
    """

    session: UUID
    request: bytes
    reason: str
    seed: bytes


class Nudge(Frame, frozen=True, tag="nudge"):
    """Show the prompt again, with a message from the dispatcher."""

    session: UUID
    message: str


class CancelAsk(Frame, frozen=True, tag="cancel-ask"):
    """The prompt is no longer needed."""

    session: UUID
    reason: str


class Run(Frame, frozen=True, tag="run"):
    """Run a recorded command; at most once in the life of the device."""

    session: UUID
    command: UUID
    line: bytes
    technician: str = ""
    seed: bytes = b""  # of the salts of its text: goes into the receipt's hashes, so that they cannot be guessed without it


class Keys(Frame, frozen=True, tag="keys"):
    """Typed into the terminal. The first one opens the terminal."""

    session: UUID
    data: bytes
    columns: int = 80
    rows: int = 24


class Resize(Frame, frozen=True, tag="resize"):
    """The terminal's size; also opens the terminal."""

    session: UUID
    columns: int
    rows: int


class Interrupt(Frame, frozen=True, tag="interrupt"):
    """End this command, or with None whatever runs."""

    session: UUID
    command: UUID | None = None


class PutFile(Frame, frozen=True, tag="put"):
    """Write a file: chunks follow. An existing file is replaced only when `replace`."""

    session: UUID
    transfer: UUID
    path: str
    size: int
    content: bytes  # SHA-256
    replace: bool = False
    seed: bytes = b""  # as in Run


class GetFile(Frame, frozen=True, tag="get"):
    """Read a file: chunks come back."""

    session: UUID
    transfer: UUID
    path: str
    largest: int = LARGEST_FILE
    seed: bytes = b""  # as in Run


class CancelTransfer(Frame, frozen=True, tag="cancel-transfer"):
    """Stop a transfer and remove its partial file."""

    session: UUID
    transfer: UUID


class StillThere(Frame, frozen=True, tag="still-there"):
    """Is this transfer still under way? An agent that was restarted and knows nothing of it answers TransferFailed."""

    session: UUID
    transfer: UUID


class NewTechnician(Frame, frozen=True, tag="new-technician"):
    """The session is in other hands now; shown to the person."""

    session: UUID
    technician: str


class EndSession(Frame, frozen=True, tag="end"):
    """Close the shell, send what is left, answer with SessionClosed. `outcome` is the state in which the session ended."""

    session: UUID
    outcome: str


class Removed(Frame, frozen=True, tag="removed"):
    """The device was removed: say so, destroy the key, end."""

    reason: str


# --- both ways, numbered ---------------------------------------------------------------------------------------------


class FileChunk(Frame, frozen=True, tag="chunk"):
    """A piece of a file."""

    session: UUID
    transfer: UUID
    offset: int
    data: bytes


# --- agent to server, numbered ---------------------------------------------------------------------------------------


class PromptShown(Frame, frozen=True, tag="shown"):
    """The prompt is where a person can see it."""

    session: UUID
    how: str
    at: int  # device's clock, UTC microseconds


class Answered(Frame, frozen=True, tag="answered"):
    """The person answered: a ConsentAnswer's exact bytes."""

    session: UUID
    answer: bytes
    signature: bytes


class Withdrew(Frame, frozen=True, tag="withdrew"):
    """The person stopped the session: a ConsentWithdrawal's exact bytes. What ran is ended already."""

    session: UUID
    withdrawal: bytes
    signature: bytes


class ConsentEnded(Frame, frozen=True, tag="consent-ended"):
    """The time that was agreed to is over on the device's clock; what ran is ended."""

    session: UUID


class ShellStarted(Frame, frozen=True, tag="shell-started"):
    session: UUID
    shell: str
    account: str


class ShellEnded(Frame, frozen=True, tag="shell-ended"):
    """Variables and directory are lost; the next command starts a new shell."""

    session: UUID
    reason: str


class Started(Frame, frozen=True, tag="started"):
    session: UUID
    command: UUID
    at: int  # device's clock, UTC microseconds


class Output(Frame, frozen=True, tag="output"):
    """Bytes of a recorded command, or of the terminal (command None)."""

    session: UUID
    command: UUID | None
    data: bytes


class OutputCut(Frame, frozen=True, tag="output-cut"):
    """More output of this command is not sent: how much, and its SHA-256."""

    session: UUID
    command: UUID
    size: int
    content: bytes


class Finished(Frame, frozen=True, tag="finished"):
    """A command ended: a CommandReceipt's exact bytes, and where the shell stands now."""

    session: UUID
    command: UUID
    receipt: bytes
    signature: bytes
    directory: str


class NotRun(Frame, frozen=True, tag="not-run"):
    """The device did not do it: consent does not cover it, it was seen before, or it was lost with the agent."""

    session: UUID
    subject: UUID | None  # command or transfer; None: terminal input
    reason: str
    lost: bool = False  # it had begun, its end is not known


class TransferEnded(Frame, frozen=True, tag="transfer-ended"):
    """A transfer is complete: a TransferReceipt's exact bytes."""

    session: UUID
    transfer: UUID
    receipt: bytes
    signature: bytes


class TransferFailed(Frame, frozen=True, tag="transfer-failed"):
    session: UUID
    transfer: UUID
    reason: str


class SessionClosed(Frame, frozen=True, tag="closed"):
    """Nothing more of this session will come."""

    session: UUID


# --- agent to server, not numbered: only the newest counts -----------------------------------------------------------


LONGEST_FACT = 255  # characters; the agent cuts, the server takes no longer one
Fact = Annotated[str, Meta(max_length=LONGEST_FACT)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 62)]


class Facts(Frame, frozen=True, tag="facts"):
    """What the device is like now."""

    host_name: Fact
    system: Fact  # "Debian GNU/Linux 12"
    platform: Literal["linux", "macos", "windows", "other"]
    architecture: Fact
    user: Fact  # at the keyboard; empty: nobody
    uptime_seconds: Annotated[float, Meta(ge=0, le=1e12)]  # the limits also keep out what is no number
    disk_total_bytes: Bytes
    disk_free_bytes: Bytes
    memory_total_bytes: Bytes
    memory_available_bytes: Bytes
    pending_reboot: bool
    addresses: Annotated[tuple[Fact, ...], Meta(max_length=32)] = ()
    consent_page: Fact = ""  # only in demonstrations: where the prompt can be reached
    scopes: Annotated[tuple[Fact, ...], Meta(max_length=32)] = ()  # the most that this device accepts
    attended: bool = True
    shell: Fact = ""  # the plugin whose endpoint half runs here


class Heartbeat(Frame, frozen=True, tag="heartbeat"):
    """I am here."""

    at: int  # device's clock, UTC microseconds


class Echo(Frame, frozen=True, tag="echo"):
    """The terminal stopped or resumed echoing; while it does not, what is typed is not recorded as text."""

    session: UUID
    visible: bool


class Receiving(Frame, frozen=True, tag="receiving"):
    """Progress of an upload: bytes written so far. The server sends no more than a window ahead of it."""

    session: UUID
    transfer: UUID
    size: int


class Witnessed(Frame, frozen=True, tag="witnessed"):
    """The device has this checkpoint on its disk now."""

    size: int


class Doubts(Frame, frozen=True, tag="doubts"):
    """The device refuses what it was shown: a Doubt's exact bytes (protocol/history.py). It closes the link after this."""

    doubt: bytes
    signature: bytes


ToAgent = (
    AskConsent
    | Nudge
    | CancelAsk
    | Run
    | Keys
    | Resize
    | Interrupt
    | PutFile
    | GetFile
    | CancelTransfer
    | StillThere
    | NewTechnician
    | EndSession
    | Removed
    | FileChunk
)
ToServer = (
    PromptShown
    | Answered
    | Withdrew
    | ConsentEnded
    | ShellStarted
    | ShellEnded
    | Started
    | Output
    | OutputCut
    | Finished
    | NotRun
    | TransferEnded
    | TransferFailed
    | SessionClosed
    | FileChunk
)
Latest = Facts | Heartbeat | Echo | Receiving | Witnessed | Doubts


class NumberedToAgent(Frame, frozen=True, tag="n"):
    number: int
    frame: ToAgent


class NumberedToServer(Frame, frozen=True, tag="n"):
    number: int
    frame: ToServer


FromServer = Challenge | Welcome | Refuse | History | Ack | NumberedToAgent
FromAgent = Prove | Ack | NumberedToServer | Latest

encode = msgspec.msgpack.Encoder().encode
_from_server: msgspec.msgpack.Decoder[FromServer] = msgspec.msgpack.Decoder(FromServer)
_from_agent: msgspec.msgpack.Decoder[FromAgent] = msgspec.msgpack.Decoder(FromAgent)


def decode_from_server(data: bytes) -> FromServer:
    """Decode what the server sent. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decoded(_from_server, data)


def decode_from_agent(data: bytes) -> FromAgent:
    """Decode what the agent sent. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return decoded(_from_agent, data)
