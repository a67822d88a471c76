"""A device without an agent: a key of its own and the link's frames, so that a test can say whatever it likes to a real server."""

import base64
import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import TLS
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from caisey_agent.protocol import consent, receipt
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.enrolment import enrolment_bytes

F = TypeVar("F")
PATIENCE = 15.0
NOBODY = UUID(int=0)
FACTS = f.Facts(
    host_name="PC-0001",
    system="Test OS 1",
    platform="linux",
    architecture="x86_64",
    user="somebody",
    uptime_seconds=60.0,
    disk_total_bytes=1 << 40,
    disk_free_bytes=1 << 39,
    memory_total_bytes=1 << 33,
    memory_available_bytes=1 << 32,
    pending_reboot=False,
    scopes=("look", "run", "files"),
)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class RawDevice:
    """One enrolled key, and at most one link."""

    url: str
    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    id: UUID = NOBODY
    server: str = ""
    links: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    socket: ClientConnection | None = None
    number: int = 0
    previous: dict[UUID, bytes] = field(default_factory=dict)  # hash of each session's last receipt
    heard: list[f.FromServer] = field(default_factory=list)

    def enrol(self, token: str, signed_for: str = "") -> httpx2.Response:
        """Enrol with an installer's token; `signed_for` is another one that the proof names."""
        public = self.key.public_key().public_bytes_raw()
        asked = {
            "token": token,
            "public_key": _text(public),
            "proof": _text(self.key.sign(enrolment_bytes(signed_for or token, public))),
            "name": self.name,
            "system": "Test OS 1",
        }
        answer = httpx2.post(self.url + "/agent/enrol", json=asked, timeout=10, verify=TLS)
        if answer.status_code == 201:
            place = answer.json()
            self.id, self.server = UUID(place["device"]), place["server"]
        return answer

    def prove(self, device: UUID | None = None) -> f.FromServer:
        """Connect and prove the key, for this device or for another; returns the server's answer."""
        self.close()
        address = self.url.replace("http", "ws", 1) + "/agent/link"
        self.socket = self.links.enter_context(connect(address, max_size=None, proxy=None, compression=None))
        challenge = self._receive()
        assert isinstance(challenge, f.Challenge)
        device = device or self.id
        proof = self.key.sign(f.proof_bytes(challenge.nonce, challenge.server, device))
        self._send(f.Prove(device=device, signature=proof))
        return self._receive()

    def connect(self, **facts: object) -> None:
        """Come online with these facts."""
        welcome = self.prove()
        assert isinstance(welcome, f.Welcome), welcome
        self.number = max(self.number, welcome.received)
        self._send(msgspec.structs.replace(FACTS, **{"host_name": self.name, **facts}))

    def say(self, frame: f.ToServer) -> int:
        """Send a numbered frame; returns its number."""
        self.number += 1
        self._send(f.NumberedToServer(number=self.number, frame=frame))
        return self.number

    def say_latest(self, frame: f.Latest) -> None:
        """Send a frame of which only the newest counts."""
        self._send(frame)

    def settled(self, number: int) -> None:
        """Wait until the server confirmed a frame: what it did because of it is done."""
        while not any(isinstance(one, f.Ack) and one.number >= number for one in self.heard):
            self.heard.append(self._receive())

    def hear(self, kind: type[F]) -> F:
        """Return the newest frame of a kind, waiting for the first; each is returned once."""
        while True:
            for one in self.heard:
                if isinstance(one, f.NumberedToAgent) and isinstance(one.frame, kind):
                    self.heard.remove(one)
                    return one.frame
            self.heard.append(self._receive())

    def closed(self) -> int:
        """Wait until the server ends the link; returns the close code."""
        try:
            while True:
                self._receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006

    def close(self) -> None:
        """End the link."""
        self.links.close()
        self.socket = None

    def answer(self, decision: consent.Decision = "granted", seconds: int | None = None, who: str = "somebody") -> UUID:
        """Wait until somebody asks, show it, and answer; `seconds` shortens what is granted."""
        asked = self.hear(f.AskConsent)
        request = consent.decode_request(asked.request)
        self.say(f.PromptShown(session=asked.session, how="page", at=_now()))
        statement = msgspec.msgpack.encode(
            consent.ConsentAnswer(
                session=asked.session,
                request=hashlib.sha256(asked.request).digest(),
                decision=decision,
                scopes=request.scopes if decision == "granted" else (),
                duration_seconds=(seconds or request.duration_seconds) if decision == "granted" else 0,
                who=who,
                how="page",
                at=_now(),
                device=self.id,
            )
        )
        signature = consent.sign(self.key, asked.request, statement)
        self.settled(self.say(f.Answered(session=asked.session, answer=statement, signature=signature)))
        return asked.session

    def transferred(self, session: UUID, transfer: UUID, path: str, content: bytes, seed: bytes = b"") -> f.TransferEnded:
        """Return the frame that says that this device sent a file, signed by it."""
        said = msgspec.msgpack.encode(
            receipt.TransferReceipt(
                session=session,
                transfer=transfer,
                direction="download",
                path=hashlib.sha256(seed + path.encode()).digest(),
                content=hashlib.sha256(content).digest(),
                size=len(content),
                ended_at=_now(),
                previous=self.previous.get(session, receipt.NO_RECEIPT),
            )
        )
        self.previous[session] = hashlib.sha256(said).digest()
        return f.TransferEnded(session=session, transfer=transfer, receipt=said, signature=receipt.sign(self.key, said))

    def ran(self, run: f.Run, output: bytes = b"", code: int = 0, directory: str = "/") -> None:
        """Tell that a command ran."""
        self.say(f.Started(session=run.session, command=run.command, at=_now()))
        if output:
            self.say(f.Output(session=run.session, command=run.command, data=output))
        said = msgspec.msgpack.encode(
            receipt.CommandReceipt(
                session=run.session,
                command=run.command,
                line=hashlib.sha256(run.seed + run.line).digest(),
                shell="bash",
                account="somebody",
                started_at=_now(),
                duration_ns=1000,
                exit_code=code,
                output=hashlib.sha256(run.seed + output).digest(),
                output_size=len(output),
                previous=self.previous.get(run.session, receipt.NO_RECEIPT),
            )
        )
        self.previous[run.session] = hashlib.sha256(said).digest()
        signature = receipt.sign(self.key, said)
        finished = f.Finished(session=run.session, command=run.command, receipt=said, signature=signature, directory=directory)
        self.settled(self.say(finished))

    def _send(self, frame: object) -> None:
        assert self.socket is not None
        self.socket.send(msgspec.msgpack.encode(frame))

    def _receive(self) -> f.FromServer:
        assert self.socket is not None
        data = self.socket.recv(timeout=PATIENCE)
        return f.decode_from_server(data if isinstance(data, bytes) else data.encode())


def _now() -> int:
    return time.time_ns() // 1000
