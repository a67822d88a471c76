"""Whole sessions, written as a server and a device would have written them, but at once: for tests and benchmarks of much.

The consents and receipts are signed by a device key of their own, so that the verdict on these records is the real one.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import Browser, Server, caisey
from msgspec.structs import replace

from caisey_agent.protocol import consent, receipt
from caisey_agent.protocol.receipt import NO_RECEIPT
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.domain import events as e
from caisey_core.domain.session import evolve
from caisey_core.record.keys import MasterKey
from caisey_core.record.stores import open_store
from caisey_core.record.writer import Entry, Record
from caisey_core.services.cards import row_of_card
from caisey_core.services.journal import OpenSession, words

START = 1_767_600_000_000_000  # 5 January 2026, 08:00 UTC
SECOND = 1_000_000
pack = msgspec.msgpack.encode


@dataclass
class Device:
    """A device that enrolled, with its key."""

    name: str = "HD-FRONTDESK"
    client: UUID = field(default_factory=uuid4)
    client_name: str = "Harbor Dental"
    id: UUID = field(default_factory=uuid4)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)


@dataclass
class Technician:
    id: UUID = field(default_factory=uuid4)
    name: str = "Tom Brandt"


class Writing:
    """One session as it grows."""

    def __init__(self, books: "Books", device: Device, technician: Technician, at: int) -> None:
        self._books, self.device, self.technician = books, device, technician
        self.opened = OpenSession(tenant=books.tenant, id=uuid4())
        self.at = self._began = at
        self._frame, self._previous = 0, NO_RECEIPT
        self._entries: list[Entry] = []
        self._person = e.Actor("member", str(technician.id), technician.name)
        self._itself = e.Actor("device", str(device.id), device.name)

    @property
    def id(self) -> UUID:
        """The session."""
        return self.opened.id

    def _add(self, event: e.SessionEvent, said: e.Content | None = None, disclosure: object = None) -> None:
        self.at += 1000
        event = replace(event, at=self.at, mono=(self.at - self._began) * 1000)
        if isinstance(event, e.FromDevice):
            self._frame += 1
            event = replace(event, frame=self._frame)
        position = self.opened.state.events
        self._entries.append(Entry(e.encode(event), disclosure))  # type: ignore[arg-type]
        self._books.journal_remember(self.opened, event, position, disclosure)
        state = self.opened.state
        if isinstance(event, e.OutputReceived):  # what `evolve` makes of it, quicker
            self.opened.state = replace(state, events=state.events + 1, frame=event.frame, mono=event.mono, last_at=event.at)
        else:
            self.opened.state = evolve(state, event)

    def ask(self, reason: str = "The printer does not print", scopes: tuple[str, ...] = ("run", "files")) -> None:
        """Ask for consent, and get it."""
        said = words(reason)
        d, t = self.device, self.technician
        self._add(
            e.SessionRequested(
                actor=self._person, at=0, session=self.id, device=d.id, device_name=d.name, client=d.client,
                client_name=d.client_name, technician=t.id, technician_name=t.name, assignment=None,
                reason=said.contents[0], scopes=scopes, duration_seconds=86_400, shell="bash",
            ),
            None, said.disclosure,
        )  # fmt: skip
        granted = tuple(consent.Scope(scope) for scope in scopes)
        asked = words(reason)
        request = pack(
            consent.ConsentRequest(
                session=self.id, tenant="MSP", technician=t.name, reason=consent.reason_hash(asked.seed, reason), scopes=granted, asked_at=self.at,
                duration_seconds=86_400, answer_within_seconds=600, nonce=self.id.bytes, server="caisey.local",
            )
        )  # fmt: skip
        expires_at = self.at + 600 * SECOND
        event = e.ConsentAsked(actor=e.SERVER, at=0, request=request, reason=asked.contents[0], expires_at=expires_at)
        self._add(event, None, asked.disclosure)
        self._add(e.PromptShown(actor=self._itself, at=0, frame=0, how="page", device_at=self.at))
        answer = pack(
            consent.ConsentAnswer(
                session=self.id, request=hashlib.sha256(request).digest(), decision="granted", scopes=granted,
                duration_seconds=86_400, who="anna", how="page", at=self.at + 1000, device=d.id,
            )
        )  # fmt: skip
        self._add(
            e.ConsentGranted(
                actor=self._itself, at=0, frame=0, answer=answer, signature=consent.sign(d.key, request, answer), who="anna",
                how="page", scopes=scopes, until=self.at + 1000 + 86_400 * SECOND, device_at=self.at + 1000, skew_us=0,
            )
        )  # fmt: skip

    def run(self, line: str, chunks: Sequence[bytes] = (), exit_code: int = 0) -> UUID:
        """Run a command whose output comes in these chunks."""
        command = uuid4()
        said = words(line)
        seed = said.seed
        self._add(e.CommandAccepted(actor=self._person, at=0, command=command, line=said.contents[0]), None, said.disclosure)
        self._add(e.CommandStarted(actor=self._itself, at=0, frame=0, command=command, device_at=self.at))
        for chunk in chunks:
            said = words(chunk)
            self._add(
                e.OutputReceived(actor=self._itself, at=0, frame=0, command=command, output=said.contents[0]),
                None,
                said.disclosure,
            )
        output = b"".join(chunks)
        data = pack(
            receipt.CommandReceipt(
                session=self.id, command=command, line=hashlib.sha256(seed + line.encode()).digest(), shell="bash", account="anna",
                started_at=self.at, duration_ns=3_000_000, exit_code=exit_code, output=hashlib.sha256(seed + output).digest(),
                output_size=len(output), previous=self._previous,
            )
        )  # fmt: skip
        self._previous = hashlib.sha256(data).digest()
        said = words("/home/anna")
        self._add(
            e.CommandFinished(
                actor=self._itself, at=0, frame=0, command=command, exit_code=exit_code, duration_ns=3_000_000,
                directory=said.contents[0], receipt=data, signature=receipt.sign(self.device.key, data),
            ),
            None, said.disclosure,
        )  # fmt: skip
        return command

    def resize(self, columns: int, rows: int) -> None:
        """The terminal gets another size."""
        self._add(e.TerminalResized(actor=self._person, at=0, columns=columns, rows=rows))

    def shows(self, *chunks: bytes) -> None:
        """The terminal puts out."""
        for chunk in chunks:
            said = words(chunk)
            self._add(
                e.OutputReceived(actor=self._itself, at=0, frame=0, command=None, output=said.contents[0]),
                None,
                said.disclosure,
            )

    def types(self, text: str, *, hidden: bool = False) -> None:
        """The technician types; hidden where the terminal does not echo."""
        said = words("" if hidden else text)
        typed = e.TerminalTyped(actor=self._person, at=0, typed=said.contents[0], count=len(text), hidden=hidden)
        self._add(typed, None, said.disclosure)

    def hand_over(self, to: Technician, reason: str = "Shift ends") -> None:
        """Another technician takes the session."""
        said = words(reason)
        handed = e.Reassigned(
            actor=self._person, at=0, from_technician=self.technician.id, from_name=self.technician.name, to_technician=to.id,
            to_name=to.name, reason=said.contents[0],
        )  # fmt: skip
        self._add(handed, None, said.disclosure)
        self.technician, self._person = to, e.Actor("member", str(to.id), to.name)

    def finish(self, notes: str = "Restarted the queue.", checked: str = "A test page came out.") -> None:
        """Complete and seal."""
        said = words(notes, checked)
        done = e.SessionCompleted(
            actor=self._person, at=0, resolution="fixed", notes=said.contents[0], checked=said.contents[1]
        )
        self._add(done, None, said.disclosure)
        self._add(e.Sealed(actor=e.SERVER, at=0, events=self.opened.state.events))

    async def write(self) -> UUID:
        """Make durable what was added since."""
        entries, self._entries = self._entries, []
        await self._books.write(self.opened, entries)
        return self.id


class Books:
    """Record and catalogue of a data folder that nobody serves now."""

    def __init__(self, record: Record, catalogue: Catalogue, tenant: UUID) -> None:
        self._record, self._catalogue, self.tenant = record, catalogue, tenant

    @staticmethod
    def journal_remember(opened: OpenSession, event: e.SessionEvent, position: int, disclosure: object) -> None:
        """Keep what a session's row shows."""
        if isinstance(event, e.SessionRequested) and disclosure is not None:
            opened.reason = disclosure.texts[0].decode()  # type: ignore[attr-defined]
        opened.commands += isinstance(event, e.CommandAccepted)

    async def enrol(self, *devices: Device) -> None:
        """Say in the audit log that these devices enrolled."""
        size = await self._record.open_stream(self.tenant, "audit")
        mono = 1 << 50  # later than whatever is there
        events = [
            e.DeviceEnrolled(
                actor=e.SERVER, at=START, mono=mono, device=d.id, name=d.name, client=d.client, installer=uuid4(),
                key=d.key.public_key().public_bytes_raw(), proof=b"", address="127.0.0.1",
            )
            for d in devices
        ]  # fmt: skip
        assert size >= 0
        await self._record.append(self.tenant, "audit", [Entry(e.encode(event)) for event in events]).durable

    def begin(self, device: Device, technician: Technician | None = None, at: int = START) -> Writing:
        """Begin a session."""
        return Writing(self, device, technician or Technician(), at)

    async def write(self, opened: OpenSession, entries: Sequence[Entry]) -> None:
        """Append to a session's stream, in groups as a busy server commits them, and write its row."""
        groups = [entries[at : at + 100] for at in range(0, len(entries), 100)]
        for number, group in enumerate(groups, 1):
            seal = opened.state.sealed and number == len(groups)
            await self._record.append(opened.tenant, opened.stream, group, seal=seal).durable
        await self._catalogue.sessions.upsert(opened.tenant, row_of_card(opened))


@asynccontextmanager
async def books(data: Path, database: str = "") -> AsyncIterator[Books]:
    """Open the books of a data folder with one tenant."""
    catalogue = await Catalogue.open(database or data / "catalogue.db")
    record = Record(open_store(data, database), MasterKey.open(data / "keys" / "master.key"))
    await record.start()
    try:
        (tenant,) = await catalogue.tenants.all()
        yield Books(record, catalogue, tenant.id)
    finally:
        await record.close()
        await catalogue.close()


def busy(writing: Writing, commands: int, lines: Iterable[str] = ("ok",)) -> None:
    """Fill a session with commands, each with two chunks of output."""
    text = "".join(f"{line}\r\n" for line in lines)
    for number in range(commands):
        chunks = (f"output of {number}\r\n".encode(), text.encode())
        writing.run(f"echo {number}; systemctl status cups-{number % 97}", chunks, exit_code=int(number % 50 == 49))


@dataclass
class Archive:
    """A served installation whose records were written at once, and its admin's browser."""

    server: Server
    browser: Browser
    base: str
    sessions: dict[str, UUID] = field(default_factory=dict)

    def review(self, name: str) -> str:
        """Return the path of a session's review."""
        return f"{self.base}/sessions/{self.sessions[name]}/review"


Fill = Callable[[Books], Awaitable[dict[str, UUID]]]


@contextmanager
def archive(data: Path, fill: Fill, database: str = "") -> Iterator[Archive]:
    """Make an installation, fill its books, serve it and sign its admin in."""
    where = ("--database", database) if database else ()
    init = caisey("init", "--data", str(data), "--tenant", "Acme MSP", *where)
    link = re.search(r"/sign-in/\S+", init.stdout)
    assert link is not None, init.stderr

    async def written() -> dict[str, UUID]:
        async with books(data, database) as opened:
            return await fill(opened)

    sessions = asyncio.run(written())
    server = Server(data)
    server.start()
    try:
        browser = Browser(server.url)
        browser.get(link.group())
        browser.post(link.group())
        yield Archive(server, browser, "/t/acme-msp", sessions)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
