"""A real agent process, and a server that says whatever a test wants."""

import asyncio
import contextlib
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from websockets.asyncio.server import Server, ServerConnection, serve

from caisey_agent.home import Config, Home
from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.consent import Scope
from caisey_core.record import checkpoint as notes
from caisey_core.record.merkle import consistency_proof, leaf_hash, root_of

F = TypeVar("F")
NAME = "caisey.test"
SEED = b"seed of the reason".ljust(32, b".")
ORIGIN = f"{NAME}/tenant"


@dataclass
class Log:
    """A tenant's log that a lying server keeps as it likes."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    leaves: list[bytes] = field(default_factory=lambda: [leaf_hash(bytes([i])) for i in range(7)])
    origin: str = ORIGIN

    @property
    def vkey(self) -> str:
        """Its public key, which the device pinned."""
        return notes.vkey(self.origin, self.key.public_key().public_bytes_raw())

    def grow(self, count: int = 1, mark: bytes = b"") -> None:
        """Write more."""
        self.leaves += [leaf_hash(mark + b"%d" % len(self.leaves)) for _ in range(count)]

    def fork(self, size: int, mark: bytes = b"fork") -> "Log":
        """Another history under the same key: the same up to a place."""
        other = Log(self.key, self.leaves[:size], self.origin)
        other.grow(3 + len(self.leaves) - size, mark)
        return other

    def note(self) -> str:
        """The newest checkpoint."""
        return notes.sign(notes.Checkpoint(self.origin, len(self.leaves), root_of(self.leaves)), self.key)

    def history(self, since: int) -> f.History:
        """What an honest server says."""
        proof = consistency_proof(self.leaves, since) if 0 < since <= len(self.leaves) else []
        return f.History(checkpoint=self.note(), since=since, proof=tuple(proof))


@dataclass
class Lying:
    """A server that holds nothing but the link: it may say whatever it likes."""

    home: Path
    public: bytes
    device: UUID
    said: list[f.ToServer] = field(default_factory=list)
    socket: ServerConnection | None = None
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    number: int = 0
    received: int = 0
    log: Path = Path()
    process: asyncio.subprocess.Process | None = None
    close_at_once: int = 0
    name: str = NAME
    record: Log = field(default_factory=Log)
    shows: Callable[[int], f.FromServer] | None = None  # instead of its record
    witnessed: list[int] = field(default_factory=list)
    doubts: list[f.Doubts] = field(default_factory=list)
    remembered: list[int | None] = field(default_factory=list)  # what the agent named at each connect

    async def serve(self, socket: ServerConnection) -> None:
        """Shake hands and listen."""
        nonce = secrets.token_bytes(32)
        await socket.send(f.encode(f.Challenge(nonce=nonce, server=self.name)))
        prove = f.decode_from_agent(await socket.recv(decode=False))
        assert isinstance(prove, f.Prove)

        Ed25519PublicKey.from_public_bytes(self.public).verify(prove.signature, f.proof_bytes(nonce, self.name, self.device))
        await socket.send(f.encode(f.Welcome(epoch=self.epoch, received=self.received, server_time=0)))
        if self.close_at_once:
            await socket.close(self.close_at_once)
            return
        assert prove.witnessed is not None
        async with self.news:
            self.remembered.append(prove.witnessed)
        await socket.send(f.encode((self.shows or self.record.history)(prove.witnessed)))
        said = f.decode_from_agent(await socket.recv(decode=False))
        async with self.news:
            self._judged(said)
            self.news.notify_all()
        if isinstance(said, f.Doubts):
            await socket.wait_closed()
            return
        async with self.news:
            self.socket = socket
            self.news.notify_all()
        async for data in socket:
            frame = f.decode_from_agent(data if isinstance(data, bytes) else data.encode())
            if isinstance(frame, f.NumberedToServer) and frame.number > self.received:
                self.received = frame.number
                await socket.send(f.encode(f.Ack(number=frame.number)))
                async with self.news:
                    self.said.append(frame.frame)
                    self.news.notify_all()
            elif isinstance(frame, f.Witnessed | f.Doubts):
                async with self.news:
                    self._judged(frame)
                    self.news.notify_all()

    def _judged(self, frame: f.FromAgent) -> None:
        if isinstance(frame, f.Witnessed):
            self.witnessed.append(frame.size)
        elif isinstance(frame, f.Doubts):
            self.doubts.append(frame)
            self.socket = None

    async def judged(self, found: Callable[[], object]) -> None:
        """Wait until the agent judged so."""
        async with asyncio.timeout(15), self.news:
            await self.news.wait_for(lambda: bool(found()))

    async def linked(self) -> ServerConnection:
        """Wait for the agent."""
        async with asyncio.timeout(15), self.news:
            await self.news.wait_for(lambda: self.socket is not None)
        assert self.socket is not None
        return self.socket

    async def say(self, frame: f.ToAgent) -> None:
        """Say something to the agent."""
        self.number += 1
        await (await self.linked()).send(f.encode(f.NumberedToAgent(number=self.number, frame=frame)))

    async def hear(self, kind: type[F], count: int = 1) -> F:
        """Wait until the agent said the n-th of a kind."""
        found: list[F] = []

        def enough() -> bool:
            found[:] = [frame for frame in self.said if isinstance(frame, kind)]
            return len(found) >= count

        async with asyncio.timeout(15), self.news:
            await self.news.wait_for(enough)
        return found[count - 1]

    def question(self, session: UUID, **changes: object) -> f.AskConsent:
        """Return a question."""
        reason = str(changes.pop("reason", "The printer does not print"))
        asked = consent.ConsentRequest(
            session=session,
            tenant="Brightwater IT",
            technician="Tom Brandt",
            reason=consent.reason_hash(SEED, reason),
            scopes=(Scope.RUN, Scope.FILES),
            asked_at=time.time_ns() // 1000,
            duration_seconds=3600,
            answer_within_seconds=600,
            nonce=secrets.token_bytes(16),
            server=NAME,
        )
        request = msgspec.msgpack.encode(msgspec.structs.replace(asked, **changes))
        return f.AskConsent(session=session, request=request, reason=reason, seed=SEED)

    async def agreed(self, **changes: object) -> UUID:
        """Ask, and let the person agree."""
        session = uuid4()
        before = sum(isinstance(frame, f.Answered) for frame in self.said)
        await self.say(self.question(session, **changes))
        await self.hear(f.PromptShown, before + 1)
        assert await self.answer(session) == 200
        await self.hear(f.Answered, before + 1)
        return session

    @property
    def page(self) -> str:
        """The person's page."""
        return (self.home / "consent_page").read_text()

    async def shown(self) -> str:
        """What the person sees."""
        async with httpx2.AsyncClient() as client:
            return (await client.get(self.page, timeout=10)).text

    async def answer(self, session: UUID, decision: str = "granted", minutes: int = 60, way: str = "answer") -> int:
        """Answer, or stop, as the person does."""
        origin = re.match(r"https?://[^/]+", self.page)
        assert origin is not None
        data = {"session": str(session), "decision": decision, "minutes": str(minutes)}
        async with httpx2.AsyncClient() as client:
            return (await client.post(self.page + way, data=data, headers={"origin": origin.group()}, timeout=10)).status_code

    async def start(self, **environment: str) -> None:
        """Start the agent."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "caisey_agent.cli", "run", "--home", str(self.home)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    async def kill(self) -> None:
        """kill -9 of the agent."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.socket = None

    def bits(self, frame: f.Finished) -> str:
        """Return what a command put out."""
        return b"".join(o.data for o in self.said if isinstance(o, f.Output) and o.command == frame.command).decode()


@contextlib.asynccontextmanager
async def lying_server(folder: Path) -> AsyncIterator[Lying]:
    """A lying server with an agent that was enrolled before it began to lie."""
    home = Home(folder / "home")
    home.create()
    key = home.new_key()
    public = key.public_key().public_bytes_raw()
    made = Lying(home.folder, public, uuid4(), log=folder / "agent.log")
    server: Server = await serve(made.serve, "127.0.0.1", 0, max_size=None, ping_interval=None)
    port = server.sockets[0].getsockname()[1]
    home.save_config(
        Config(
            device=made.device,
            name="PC",
            server=NAME,
            tenant="Brightwater IT",
            client="Harbor Dental",
            link=f"ws://127.0.0.1:{port}/agent/link",
            key=made.record.vkey,
            prompt="page",
        )
    )
    await made.start()
    try:
        await made.linked()
        yield made
    finally:
        await made.kill()
        server.close()
        await server.wait_closed()
