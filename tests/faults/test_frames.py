"""Whatever comes in at the agents' door: what is not right is closed with its code and words, and harms nobody else."""

import base64
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import Caisey
from endpoints import installer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from caisey_agent.protocol import frames as f
from caisey_agent.protocol.enrolment import enrolment_bytes

SERVER = "demo.caisey.local"
NOBODY = UUID(int=0)  # the same in each process that collects the tests


def text_of(data: bytes) -> str:
    """Return bytes as enrolment wants them."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Key:
    """A device that is nothing but its key."""

    caisey: Caisey
    id: UUID
    private: Ed25519PrivateKey

    @contextlib.contextmanager
    def dialled(self) -> Iterator[tuple[ClientConnection, f.Challenge]]:
        """Connect and read the challenge."""
        with connect(f"{self.caisey.url.replace('http', 'ws', 1)}/agent/link", max_size=None) as socket:
            challenge = f.decode_from_server(socket.recv(10))  # type: ignore[arg-type]
            assert isinstance(challenge, f.Challenge)
            yield socket, challenge

    def proof(self, challenge: f.Challenge, server: str = SERVER, device: UUID | None = None) -> f.Prove:
        """Prove the key."""
        signature = self.private.sign(f.proof_bytes(challenge.nonce, server, device or self.id))
        return f.Prove(device=device or self.id, signature=signature)

    @contextlib.contextmanager
    def linked(self) -> Iterator[ClientConnection]:
        """Connect and prove."""
        with self.dialled() as (socket, challenge):
            socket.send(f.encode(self.proof(challenge)))
            assert isinstance(f.decode_from_server(socket.recv(10)), f.Welcome)  # type: ignore[arg-type]
            yield socket


@pytest.fixture(scope="module")
def key(caisey: Caisey) -> Key:
    """An enrolled device."""
    private, token = Ed25519PrivateKey.generate(), installer(caisey, device_name="HD-KEY")["token"]
    public = private.public_key().public_bytes_raw()
    asked = {
        "token": token,
        "public_key": text_of(public),
        "proof": text_of(private.sign(enrolment_bytes(token, public))),
        "name": "HD-KEY",
    }
    answer = httpx2.post(caisey.url + "/agent/enrol", json=asked, timeout=10)
    assert answer.status_code == 201, answer.text
    return Key(caisey, UUID(answer.json()["device"]), private)


@pytest.fixture(scope="module")
def session(caisey: Caisey) -> str:
    """A session of another device, to see that nothing happens to it."""
    return caisey.active()


def closed(socket: ClientConnection) -> tuple[int, str, list[f.FromServer]]:
    """Wait for the close; returns code, words and what was said before."""
    said: list[f.FromServer] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            data = socket.recv(20)
            assert isinstance(data, bytes)
            said.append(f.decode_from_server(data))
    assert socket.close_code is not None, "closed without a code"
    return socket.close_code, socket.close_reason or "", said


def lives(caisey: Caisey, session: str) -> None:
    """The server and the other device go on, and nothing was said that nobody understood."""
    assert caisey.run(session, "echo fine")["output"] == "fine\r\n"
    assert "Traceback" not in caisey.log()


def facts(**changes: object) -> bytes:
    """Return facts that a device would not send."""
    good = f.Facts(
        host_name="h",
        system="s",
        platform="linux",
        architecture="a",
        user="u",
        uptime_seconds=1.0,
        disk_total_bytes=1,
        disk_free_bytes=1,
        memory_total_bytes=1,
        memory_available_bytes=1,
        pending_reboot=False,
    )
    return f.encode(msgspec.structs.replace(good, **changes))


GOOD = f.encode(f.NumberedToServer(number=1, frame=f.SessionClosed(session=NOBODY)))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\xa1t\xa6unseen", GOOD, f.encode(f.Ack(number=1)), "text", GOOD[:-1]])
def test_before_the_proof(caisey: Caisey, key: Key, session: str, data: bytes | str) -> None:
    """Anything but a proof ends the handshake."""
    with key.dialled() as (socket, _):
        socket.send(data)
        code, words, _ = closed(socket)
        assert code == f.CLOSE_BAD_FRAME
        assert "handshake" in words
    lives(caisey, session)


@pytest.mark.parametrize("lie", ["signature", "server", "nonce", "another device", "unknown device", "no signature"])
def test_a_proof_that_does_not_hold(caisey: Caisey, key: Key, session: str, lie: str) -> None:
    """A wrong signature, one for another server or another connection, one for another device: refused for good, in words."""
    other = UUID(caisey.devices["HD-FRONTDESK"].id)
    with key.dialled() as (socket, challenge):
        old = f.Challenge(nonce=secrets.token_bytes(32), server=SERVER)
        proof = {
            "signature": f.Prove(device=key.id, signature=bytes(64)),
            "no signature": f.Prove(device=key.id, signature=b""),
            "server": key.proof(challenge, server="evil.example"),
            "nonce": key.proof(old),
            "another device": key.proof(challenge, device=other),
            "unknown device": key.proof(challenge, device=uuid4()),
        }[lie]
        socket.send(f.encode(proof))
        code, words, said = closed(socket)
        assert code == f.CLOSE_NOT_YOU
        assert words.endswith(".")
        (refusal,) = said
        assert isinstance(refusal, f.Refuse)
        assert refusal.final
        assert refusal.what_to_do
    lives(caisey, session)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81\xa1t\xa6unseen",
        "text",
        GOOD[:-1],
        GOOD + b"\0",
        f.encode(f.Welcome(epoch="x", received=0, server_time=0)),
        f.encode(f.NumberedToAgent(number=1, frame=f.Run(session=NOBODY, command=NOBODY, line=b"id"))),
        f.encode(f.NumberedToServer(number=1, frame=f.ShellEnded(session=NOBODY, reason="text"))).replace(b"text", b"\xfftxt"),
        b"\x83\xa1t\xa9heartbeat\xa2at\x01\xa1x" + b"\x91" * 100_000 + b"\x01",
        facts(uptime_seconds=float("nan")),
        facts(uptime_seconds=float("inf")),
        facts(disk_total_bytes=-1),
        facts(user="x" * 300),
        facts(addresses=("x",) * 1000),
    ],
)
def test_after_the_proof(caisey: Caisey, key: Key, session: str, data: bytes | str) -> None:
    """What does not decode, a text, a frame of the other direction, facts that cannot be."""
    with key.linked() as socket:
        socket.send(data)
        code, words, _ = closed(socket)
        assert code == f.CLOSE_BAD_FRAME
        assert words
    lives(caisey, session)


def test_a_second_proof_and_one_that_is_too_large(caisey: Caisey, key: Key, session: str) -> None:
    """A proof belongs to the handshake; a message over the limit ends the link."""
    with key.linked() as socket:
        socket.send(f.encode(f.Prove(device=key.id, signature=bytes(64))))
        assert closed(socket)[:2] == (f.CLOSE_BAD_FRAME, "A second proof does not belong here.")
    with key.linked() as socket:
        socket.send(bytes(f.LONGEST_FRAME + 1))
        assert closed(socket)[0] == 1009
    lives(caisey, session)


def test_one_key_speaks_for_one_device(caisey: Caisey, key: Key, session: str) -> None:
    """Frames about another device's session are taken for nothing; numbers out of order and repeated do no harm."""
    tom = caisey.people["tom"]
    command = tom.post(f"/sessions/{session}/commands", {"line": "read -r _ < /dev/null; sleep 0.2"})["id"]
    caisey.ended(session, command)
    events = tom.get(f"/sessions/{session}")["events"]
    other = UUID(session)
    frames: list[f.ToServer] = [
        f.Output(session=other, command=None, data=b"forged"),
        f.NotRun(session=other, subject=UUID(command), reason="forged", lost=True),
        f.ShellEnded(session=other, reason="forged"),
        f.SessionClosed(session=other),
        f.Withdrew(session=other, withdrawal=b"x", signature=b"x"),
        f.Finished(session=other, command=UUID(command), receipt=b"x", signature=b"x", directory="/"),
        f.FileChunk(session=other, transfer=uuid4(), offset=0, data=b"x"),
    ]
    with key.linked() as socket:
        for number, frame in zip((1, 2, 4, 3, 4, 9, 8), frames, strict=True):
            socket.send(f.encode(f.NumberedToServer(number=number, frame=frame)))
        socket.send(f.encode(f.Echo(session=other, visible=False)))
        socket.send(f.encode(f.Ack(number=2**62)))
        acked = 0
        while acked < 9:
            said = f.decode_from_server(socket.recv(10))  # type: ignore[arg-type]
            assert isinstance(said, f.Ack), said
            acked = said.number
    review = tom.get(f"/sessions/{session}")
    assert review["events"] == events
    assert review["card"]["state"] == "active"
    lives(caisey, session)


def _damaged() -> st.SearchStrategy[bytes]:
    """Valid frames with some bytes changed, cut or added."""
    session, subject = uuid4(), uuid4()
    frames: list[f.Frame] = [
        f.NumberedToServer(number=1, frame=f.Output(session=session, command=subject, data=b"some output")),
        f.NumberedToServer(number=2, frame=f.NotRun(session=session, subject=None, reason="no", lost=True)),
        f.NumberedToServer(number=3, frame=f.Answered(session=session, answer=b"a" * 40, signature=b"s" * 64)),
        f.NumberedToServer(number=4, frame=f.FileChunk(session=session, transfer=subject, offset=1, data=b"x" * 40)),
        f.Ack(number=7),
        f.Heartbeat(at=1),
        f.Echo(session=session, visible=True),
        f.Receiving(session=session, transfer=subject, size=10),
    ]

    @st.composite
    def damage(draw: st.DrawFn) -> bytes:
        data = bytearray(f.encode(draw(st.sampled_from(frames))))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(data) - 1))
            data[at] = draw(st.integers(0, 255))
        end = draw(st.integers(1, len(data)))
        return bytes(data[:end]) + draw(st.binary(max_size=8))

    return damage()


@settings(
    max_examples=150,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(messages=st.lists(st.one_of(st.binary(max_size=200), _damaged()), min_size=1, max_size=4), proved=st.booleans())
def test_any_bytes(caisey: Caisey, key: Key, messages: list[bytes], proved: bool) -> None:
    """Random bytes and damaged frames, before and after the proof: taken, or closed with 4400 and words; never a fault of ours."""
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(key.linked()) if proved else stack.enter_context(key.dialled())[0]
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                socket.send(message)
        if not proved:
            assert closed(socket)[0] in (f.CLOSE_BAD_FRAME, f.CLOSE_NOT_YOU)
            return
        with contextlib.suppress(ConnectionClosed):
            socket.send(f.encode(f.Prove(device=key.id, signature=b"")))  # the fence: it ends a link that is still there
        assert closed(socket)[0] == f.CLOSE_BAD_FRAME


def test_after_all_of_it(caisey: Caisey, session: str) -> None:
    """The server lives, no traceback was written, the record holds."""
    lives(caisey, session)
    caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_a_handshake_that_does_not_come(caisey: Caisey, key: Key) -> None:
    """Whoever says nothing is sent away after the time for it."""
    with key.dialled() as (socket, _):
        assert closed(socket)[0] == f.CLOSE_BAD_FRAME
