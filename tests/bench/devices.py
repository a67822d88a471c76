"""Devices for benchmarks: enrolled at the real door, as real agents or as sockets that speak the agent's protocol."""

import base64
import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import Caisey, until
from raw_device import FACTS
from sockets import Socket

from caisey_agent.enrol import enrol
from caisey_agent.home import Config, Home
from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.enrolment import Enrol, Enrolled, enrolment_bytes


def installer(caisey: Caisey) -> str:
    """Return the token of an installer without a limit."""
    return str(caisey.people["admin"].post("/installers", {"expires_hours": 24})["token"])


@dataclass
class Spoken:
    """A device whose agent is this program: it holds the key and speaks the protocol over a socket."""

    key: Ed25519PrivateKey
    place: Enrolled
    socket: Socket | None = None
    number: int = 0

    def connect(self) -> None:
        """Prove the key and tell facts, as an agent does."""
        socket = self.socket = Socket(self.place.link)
        challenge = f.decode_from_server(socket.receive())  # type: ignore[arg-type]
        assert isinstance(challenge, f.Challenge)
        proof = self.key.sign(f.proof_bytes(challenge.nonce, self.place.server, self.place.device))
        socket.send(f.encode(f.Prove(device=self.place.device, signature=proof)))
        welcome = f.decode_from_server(socket.receive())  # type: ignore[arg-type]
        assert isinstance(welcome, f.Welcome)
        self.number = welcome.received
        socket.send(f.encode(FACTS))

    def say(self, frame: f.ToServer) -> None:
        """Say something that is kept."""
        assert self.socket is not None
        self.number += 1
        self.socket.send(f.encode(f.NumberedToServer(number=self.number, frame=frame)))

    def grant(self) -> UUID:
        """Wait for a question and agree to it; returns the session."""
        assert self.socket is not None
        while True:
            heard = f.decode_from_server(self.socket.receive())  # type: ignore[arg-type]
            if isinstance(heard, f.NumberedToAgent) and isinstance(heard.frame, f.AskConsent):
                break
        asked = consent.decode_request(heard.frame.request)
        self.say(f.PromptShown(session=asked.session, how="page", at=time.time_ns() // 1000))
        answer = msgspec.msgpack.encode(
            consent.ConsentAnswer(
                session=asked.session,
                request=hashlib.sha256(heard.frame.request).digest(),
                decision="granted",
                scopes=asked.scopes,
                duration_seconds=asked.duration_seconds,
                who="reception",
                how="page",
                at=time.time_ns() // 1000,
                device=self.place.device,
            )
        )
        signature = consent.sign(self.key, heard.frame.request, answer)
        self.say(f.Answered(session=asked.session, answer=answer, signature=signature))
        return asked.session


def spoken(caisey: Caisey, count: int) -> list[Spoken]:
    """Enrol devices whose agent is this program."""

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    token, made = installer(caisey), []
    with httpx2.Client(base_url=caisey.url) as client:
        for number in range(count):
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes_raw()
            proof = text(key.sign(enrolment_bytes(token, public)))
            asked = Enrol(token=token, public_key=text(public), proof=proof, name=f"PC-{number:04}")
            answer = client.post(
                "/agent/enrol", content=msgspec.json.encode(asked), headers={"content-type": "application/json"}
            )
            assert answer.status_code == 201, answer.text
            made.append(Spoken(key, msgspec.json.decode(answer.content, type=Enrolled)))
    return made


def homes(caisey: Caisey, folder: Path, count: int) -> list[Path]:
    """Enrol devices for real agents; returns their homes."""
    token, made = installer(caisey), []
    for number in range(count):
        home = Home(folder / f"agent-{number}")
        place = enrol(home, caisey.url, token, f"PC-{number:04}")
        home.save_config(
            Config(
                device=place.device,
                name=place.name,
                server=place.server,
                tenant=place.tenant,
                client=place.client,
                link=place.link,
                key=place.key,
                prompt="page",
            )
        )
        made.append(home.folder)
    return made


def start(home: Path) -> subprocess.Popen[bytes]:
    """Start a real agent."""
    command = [sys.executable, "-m", "caisey_agent.cli", "run", "--home", str(home)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def agents(homes: list[Path]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run real agents for a while."""
    started = [start(home) for home in homes]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def online(caisey: Caisey, count: int, patience: float = 60.0) -> None:
    """Wait until so many devices are connected."""
    person = caisey.people["dispatcher"]
    with httpx2.Client(base_url=person.base, headers={"authorization": f"Bearer {person.token}"}) as client:

        def look() -> bool:
            try:
                return bool(client.get("/devices?q=nothing-matches-this").json()["counts"]["online"] >= count)
            except httpx2.TransportError:
                return False

        until(look, f"{count} devices online", patience)


def live(caisey: Caisey, session: str, by: str = "tom", after: int = -1) -> Socket:
    """Open the session's socket as the browser does, and read its greeting."""
    person = caisey.people[by]
    url = f"{caisey.url.replace('http', 'ws', 1)}/t/brightwater-it/sessions/{session}/live?after={after}"
    socket = Socket(url, {"authorization": f"Bearer {person.token}"})
    while not isinstance(socket.receive(), str):
        pass
    return socket
