"""A real agent with its real bash whose server is a plain loop in this program: the agent's link without a server's work."""

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import msgspec
from devices import start
from doors import until
from lying import NAME, key_text
from sockets import Accepted

from caisey_agent.home import Config, Home
from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.consent import Scope


class Linked:
    """The agent's other end, with a session that was agreed to."""

    def __init__(self, socket: Accepted, page: Path) -> None:
        self._socket, self._sent, self._received = socket, 0, 0
        socket.send(f.encode(f.Challenge(nonce=secrets.token_bytes(32), server=NAME)))
        assert isinstance(self._frame(), f.Prove)
        socket.send(f.encode(f.Welcome(epoch="bench", received=0, server_time=0)))
        self.session = uuid4()
        self._say(_question(self.session))
        self._hear(f.PromptShown)
        address = page.read_text()
        origin = "/".join(address.split("/")[:3])
        fields = {"session": str(self.session), "decision": "granted", "minutes": "60"}
        assert httpx2.post(f"{address}answer", data=fields, headers={"origin": origin}).status_code == 200
        self._hear(f.Answered)

    def _frame(self) -> f.FromAgent:
        data = self._socket.receive()
        assert isinstance(data, bytes)
        frame = f.decode_from_agent(data)
        if isinstance(frame, f.NumberedToServer):
            self._received = frame.number
        return frame

    def _hear(self, kind: type[f.ToServer]) -> f.ToServer:
        while True:
            frame = self._frame()
            if isinstance(frame, f.NumberedToServer) and isinstance(frame.frame, kind):
                return frame.frame

    def _say(self, frame: f.ToAgent) -> None:
        self._sent += 1
        self._socket.send(f.encode(f.NumberedToAgent(number=self._sent, frame=frame)))

    def line(self, line: bytes, answer: bytes) -> None:
        """Type a line and wait for its answer; confirm what came, as a server does."""
        self._socket.send(f.encode(f.Ack(number=self._received)))
        self._say(f.Keys(session=self.session, data=line))
        seen = b""
        while answer not in seen:
            frame = self._hear(f.Output)
            assert isinstance(frame, f.Output)
            seen += frame.data


def _question(session: UUID) -> f.AskConsent:
    reason, seed = "The printer does not print", secrets.token_bytes(32)
    request = consent.ConsentRequest(
        session=session,
        tenant="Brightwater IT",
        technician="Tom Brandt",
        reason=consent.reason_hash(seed, reason),
        scopes=(Scope.RUN,),
        asked_at=time.time_ns() // 1000,
        duration_seconds=3600,
        answer_within_seconds=600,
        nonce=secrets.token_bytes(16),
        server=NAME,
    )
    return f.AskConsent(session=session, request=msgspec.msgpack.encode(request), reason=reason, seed=seed)


@contextlib.contextmanager
def linked(folder: Path) -> Iterator[Linked]:
    """Run the agent for a while."""
    home = Home(folder)
    home.create()
    public = home.new_key().public_key().public_bytes_raw()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = f"ws://127.0.0.1:{listening.getsockname()[1]}/agent/link"
        home.save_config(
            Config(
                device=uuid4(),
                name="PC",
                server=NAME,
                tenant="Brightwater IT",
                client="Harbor Dental",
                link=link,
                key=key_text(public),
                prompt="page",
            )
        )
        agent = start(folder)
        try:
            accepted = Accepted(listening)
            page = folder / "consent_page"
            until(page.exists, "the consent page")
            yield Linked(accepted, page)
            accepted.close()
        finally:
            agent.terminate()
            agent.wait()
