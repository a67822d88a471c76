"""The link to the server: dials out, proves the key, checks that the server's record goes on from what this device remembers,
sends what the server lacks, and comes back after every loss."""

import asyncio
import contextlib
import random
import sys
import time
from collections import deque
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from caisey_agent import __version__, facts
from caisey_agent.home import Config
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.history import Reason
from caisey_agent.spool import Spool
from caisey_agent.witness import WORDS, Witness

FIRST_PAUSE = 0.2  # seconds before the first try after a loss; doubled after each further one
LONGEST_PAUSE = 30.0  # seconds between two tries
FIRST_DOUBT = 1.0  # seconds before the first try after this device refused the server's record; doubled after each further one
LONGEST_DOUBT = 600.0
HISTORY_SECONDS = 60.0  # that a server may need for its proof
FACTS_SECONDS = 60.0
FINAL = {
    f.CLOSE_NOT_YOU: (3, "The server does not know this device. Enrol it again."),
    f.CLOSE_REMOVED: (4, "This device was removed from Caisey; its key is destroyed."),
    f.CLOSE_OLD_VERSION: (3, "The server needs another version of the agent. Update it."),
    f.CLOSE_REPLACED: (3, "Another agent connected with this device's key; this one ends."),
}


class Ended(Exception):
    """The agent is not to come back: exit code and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def say(words: str) -> None:
    """Log one line for the operator of this device."""
    with contextlib.suppress(OSError):  # a log on a full disk ends no work
        print(time.strftime("%Y-%m-%d %H:%M:%S"), words, file=sys.stderr, flush=True)


class Link:
    """One device's link. `take` gets each new numbered frame of the server exactly once, in order."""

    def __init__(
        self,
        config: Config,
        key: Ed25519PrivateKey,
        spool: Spool,
        witness: Witness,
        take: Callable[[f.ToAgent], None],
        page: Callable[[], str],
    ) -> None:
        self._config, self._key, self._spool, self._take, self._page = config, key, spool, take, page
        self._witness, self._doubts = witness, 0
        self._epoch, self._received = "", 0
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._online = self._welcomed = self._known = False
        self._acked = 0
        self.on_room: Callable[[bool], None] = lambda _full: None
        self.on_connected: Callable[[], None] = lambda: None
        self.on_doubt: Callable[[Reason | None], None] = lambda _reason: None

    def send(self, frame: f.ToServer) -> None:
        """Keep a frame and send it now or later."""
        data = self._spool.put(frame)
        if self._online:
            self._outgoing.append(data)
            self._wake.set()
        if self._spool.full:
            self.on_room(True)

    def send_latest(self, frame: f.Latest) -> None:
        """Send a frame if there is a link; it is not kept."""
        if self._online:
            self._outgoing.append(f.encode(frame))
            self._wake.set()

    async def run(self) -> None:
        """Stay connected for ever. Raises Ended."""
        pause = 0.0
        while True:
            wish = None
            self._welcomed = False
            try:
                wish = await self._connect()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else 1006
                if code in FINAL:
                    raise Ended(*FINAL[code]) from None
                say(f"link lost ({code})")
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
                say(f"no link: {type(error).__name__}")
            finally:
                self._online = False
                self._outgoing.clear()
            if self._welcomed:
                pause = 0.0
            pause = min(LONGEST_PAUSE, pause * 2 if pause else FIRST_PAUSE)
            await asyncio.sleep((wish or pause) * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, no secret

    async def _connect(self) -> float | None:
        async with connect(
            self._config.link,
            compression=None,
            max_size=f.LONGEST_FRAME,
            open_timeout=10,
            ping_interval=60,
            ping_timeout=30,
            close_timeout=2,
            proxy=None,
            user_agent_header=f"caisey-agent/{__version__}",
        ) as socket:
            challenge = await self._receive(socket)
            if not isinstance(challenge, f.Challenge) or challenge.server != self._config.server:
                raise Ended(3, f"This is not {self._config.server}: another server answers at {self._config.link}.")
            if damaged := self._witness.load():
                say(damaged)
            proof = self._key.sign(f.proof_bytes(challenge.nonce, self._config.server, self._config.device))
            await socket.send(
                f.encode(
                    f.Prove(
                        device=self._config.device,
                        signature=proof,
                        agent_version=__version__,
                        epoch=self._epoch,
                        received=self._received,
                        witnessed=self._witness.seen.size if self._witness.seen is not None else 0,
                    )
                )
            )
            answer = await self._receive(socket)
            if isinstance(answer, f.Refuse):
                if answer.final:
                    code = 4 if "removed" in answer.reason else 3
                    raise Ended(code, f"{answer.reason} {answer.what_to_do}".strip())
                say(f"the server refuses for now: {answer.reason}")
                return answer.retry_after_seconds
            if not isinstance(answer, f.Welcome):
                raise Ended(3, "The server's greeting was not understood. Update the agent.")
            shown = await self._receive(socket, HISTORY_SECONDS)
            if not isinstance(shown, f.History):
                shown = f.History(checkpoint="", since=0)
            if (reason := self._witness.judge(shown)) is not None:
                return await self._refuse(socket, reason, shown)
            await socket.send(f.encode(self._fits()))
            return await self._serve(socket, answer)

    def _fits(self) -> f.Witnessed:
        self._doubts = 0
        self.on_doubt(None)
        assert self._witness.seen is not None
        return f.Witnessed(size=self._witness.seen.size)

    async def _refuse(self, socket: ClientConnection, reason: Reason, shown: f.History) -> float:
        """Tell everyone that this server's record does not fit, and go; returns how long to stay away."""
        say(f"this server is refused: {WORDS[reason]}. Nothing is taken from it until that is so no longer")
        self.on_doubt(reason)
        await socket.send(f.encode(self._witness.doubt(reason, shown.checkpoint)))
        await socket.close(f.CLOSE_HISTORY, "The record does not continue what this device remembers.")
        self._doubts += 1
        return min(LONGEST_DOUBT, FIRST_DOUBT * (1 << min(self._doubts - 1, 10)))

    async def _receive(self, socket: ClientConnection, patience: float = 10.0) -> f.FromServer:
        async with asyncio.timeout(patience):
            data = await socket.recv()
        try:
            return f.decode_from_server(data if isinstance(data, bytes) else data.encode())
        except msgspec.DecodeError:
            await socket.close(f.CLOSE_BAD_FRAME, "not understood")
            raise OSError("the server's frame was not understood") from None

    async def _serve(self, socket: ClientConnection, welcome: f.Welcome) -> float | None:
        """Work until the link ends; returns how long to stay away if that is not for the link to say."""
        if welcome.epoch != self._epoch:
            self._epoch, self._received = welcome.epoch, 0
        if not self._known:
            self._known = True
            self._spool.rise_above(welcome.received)
        self._confirmed(welcome.received)
        self._outgoing = deque(self._spool.waiting())
        self._online = self._welcomed = True
        self._wake.set()
        say("connected")
        self.send_latest(facts.gather(self._config, self._page()))
        self.on_connected()
        writer = asyncio.create_task(self._write(socket))
        beat = asyncio.create_task(self._beat(welcome.heartbeat_seconds))
        try:
            async for data in socket:
                try:
                    frame = f.decode_from_server(data if isinstance(data, bytes) else data.encode())
                except msgspec.DecodeError:
                    await socket.close(f.CLOSE_BAD_FRAME, "not understood")
                    return None
                if isinstance(frame, f.NumberedToAgent):
                    self._number(frame)
                elif isinstance(frame, f.History):
                    if (reason := self._witness.judge(frame)) is not None:
                        return await self._refuse(socket, reason, frame)
                    self.send_latest(self._fits())
                elif isinstance(frame, f.Ack):
                    self._confirmed(frame.number)
            if socket.close_code in FINAL:
                raise Ended(*FINAL[socket.close_code])
        finally:
            self._online = False
            for task in (writer, beat):
                task.cancel()
            await asyncio.gather(writer, beat, return_exceptions=True)
        return None

    def _number(self, numbered: f.NumberedToAgent) -> None:
        if numbered.number <= self._received:
            return
        self._received = numbered.number
        if isinstance(numbered.frame, f.Removed):
            raise Ended(4, f"This device was removed from Caisey ({numbered.frame.reason}); its key is destroyed.")
        self._take(numbered.frame)
        self._wake.set()

    def _confirmed(self, number: int) -> None:
        self._spool.confirmed(number)
        if not self._spool.full:
            self.on_room(False)

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            while self._outgoing:
                await socket.send(self._outgoing.popleft())
            if self._acked != self._received:
                self._acked = self._received
                await socket.send(f.encode(f.Ack(number=self._received)))
            self._wake.clear()
            if not self._outgoing and self._acked == self._received:
                await self._wake.wait()

    async def _beat(self, seconds: float) -> None:
        told = time.monotonic()
        while True:
            await asyncio.sleep(seconds)
            if time.monotonic() - told >= FACTS_SECONDS:
                told = time.monotonic()
                self.send_latest(facts.gather(self._config, self._page()))
            else:
                self.send_latest(f.Heartbeat(at=time.time_ns() // 1000))
