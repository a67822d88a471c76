"""The server and its witnesses: what it hands out while they are connected, older agents, and devices that lie about what they saw."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import Browser, Caisey, running, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from caisey_agent.home import Config, Home
from caisey_agent.protocol import frames as f
from caisey_agent.protocol import history

TENANT = "/t/brightwater-it"


@pytest.fixture(scope="module")
def often(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caisey]:
    """A demonstration whose devices get a checkpoint each second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAISEY_WITNESS_SECONDS", "1")
        with running(tmp_path_factory.mktemp("often") / "data") as demo:
            yield demo


def home_of(demo: Caisey, name: str) -> Home:
    """A device's folder: its key is what a test needs to speak as this device."""
    return Home(demo.data / "agents" / name)


def admin(demo: Caisey) -> Browser:
    """The admin's browser; each sign-in is an event."""
    browser = Browser(demo.url)
    browser.get(demo.people["admin"].sign_in.removeprefix(demo.url))
    return browser


@asynccontextmanager
async def as_device(demo: Caisey, name: str, **prove: Any) -> AsyncIterator[tuple[ClientConnection, Config, Ed25519PrivateKey]]:
    """Connect by hand with a device's key, up to the welcome. Its own agent is sent away."""
    home = home_of(demo, name)
    config, key = home.config(), home.key()
    async with connect(config.link, compression=None, proxy=None) as socket:
        challenge = f.decode_from_server(await socket.recv(decode=False))
        assert isinstance(challenge, f.Challenge)
        signature = key.sign(f.proof_bytes(challenge.nonce, config.server, config.device))
        said = {"t": "prove", "device": config.device, "signature": signature, "version": 1, **prove}
        await socket.send(msgspec.msgpack.encode(said))
        assert isinstance(f.decode_from_server(await socket.recv(decode=False)), f.Welcome)
        yield socket, config, key


async def hear(socket: ClientConnection) -> f.FromServer:
    """Return the next frame."""
    async with asyncio.timeout(10):
        return f.decode_from_server(await socket.recv(decode=False))


async def test_checkpoints_come_while_connected(often: Caisey) -> None:
    """Without a session and without a new connection: what was recorded meanwhile is on each device's disk, and the page says so."""
    kept = [home_of(often, name).folder / "checkpoint" for name in ("HD-FRONTDESK", "NW-WAREHOUSE-1", "PP-OFFICE")]
    before = [int(path.read_text().split("\n")[1]) for path in kept]
    browser = admin(often)
    until(lambda: all(int(p.read_text().split("\n")[1]) > b for p, b in zip(kept, before, strict=True)), "checkpoints")
    until(lambda: ">behind<" not in browser.get(f"{TENANT}/keys").text, "the page")
    page = browser.get(f"{TENANT}/keys").text
    assert "none refuses" in page
    assert page.count("current") >= len(kept)


async def test_only_those_who_may_see_the_audit_log_see_who_saw_what(often: Caisey) -> None:
    """A technician sees the checkpoint, and no list of devices."""
    browser = Browser(often.url)
    browser.get(often.people["tom"].sign_in.removeprefix(often.url))
    page = browser.get(f"{TENANT}/keys").text
    assert "Newest checkpoint" in page
    assert "HD-FRONTDESK" not in page


async def test_an_older_agent_still_works(often: Caisey) -> None:
    """It names no checkpoint: it is welcome, gets no frame that it does not know, and is no witness."""
    async with as_device(often, "HD-XRAY") as (socket, _, _):
        await socket.send(f.encode(f.Heartbeat(at=time.time_ns() // 1000)))
        asked = often.people["tom"].post(
            f"/devices/{often.devices['HD-XRAY'].id}/sessions", {"reason": "Look", "scopes": ["run"], "duration_minutes": 5}
        )["id"]
        for _ in range(3):
            browser = admin(often)
        seen = [await hear(socket)]
        until(lambda: browser.get(f"{TENANT}/keys").text.count("current") >= 3, "checkpoints of the others")
        often.people["tom"].post(f"/sessions/{asked}/cancel", {"reason": "enough"})
        seen.append(await hear(socket))
        assert all(isinstance(frame, f.NumberedToAgent) for frame in seen), seen


async def test_a_device_that_lies_about_what_it_saw(often: Caisey) -> None:
    """A size that it was never shown counts for nothing; a doubt of another device, or under another key, ends the link."""
    async with as_device(often, "HD-XRAY", witnessed=0) as (socket, _, _):
        assert isinstance(await hear(socket), f.History)
        await socket.send(f.encode(f.Witnessed(size=1 << 62)))
        page = admin(often).get(f"{TENANT}/keys").text
        assert str(1 << 62) not in page
    other = home_of(often, "PP-OFFICE").config().device

    def doubt(config: Config, key: Ed25519PrivateKey, lie: str) -> f.FromAgent:
        device = other if lie == "another device" else config.device
        data = msgspec.msgpack.encode(history.Doubt(device=device, remembered="", shown="", reason="fork", at=0))
        if lie == "rubbish":
            data = b"\xc1" * 40
        if lie == "too long":
            data = msgspec.msgpack.encode(history.Doubt(device=device, remembered="x" * 100_000, shown="", reason="fork", at=0))
        signer = Ed25519PrivateKey.generate() if lie == "another key" else key
        return f.Doubts(doubt=data, signature=history.sign(signer, data))

    for lie in ("another device", "another key", "rubbish", "too long"):
        async with as_device(often, "HD-XRAY", witnessed=5) as (socket, config, key):
            shown = await hear(socket)
            assert isinstance(shown, f.History)
            assert shown.since == 5
            await socket.send(f.encode(doubt(config, key, lie)))
            with pytest.raises(ConnectionClosed) as closed:
                await hear(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == f.CLOSE_BAD_FRAME, lie
    assert "witness-refused" not in admin(often).get(f"{TENANT}/audit").text


async def test_no_session_goes_on_with_a_device_that_refuses(often: Caisey) -> None:
    """While it judges and after it refused it is not connected: nothing of its sessions moves, however often it tries."""
    async with as_device(often, "HD-XRAY", witnessed=3) as (socket, config, key):
        assert isinstance(await hear(socket), f.History)
        rows = often.people["admin"].get("/devices")["counts"]["online"]
        assert rows == 3
    for _ in range(3):
        async with as_device(often, "HD-XRAY", witnessed=3) as (socket, config, key):
            await hear(socket)
            data = msgspec.msgpack.encode(
                history.Doubt(device=config.device, remembered="", shown="", reason="signature", at=1)
            )
            await socket.send(f.encode(f.Doubts(doubt=data, signature=history.sign(key, data))))
            with pytest.raises(ConnectionClosed) as closed:
                await hear(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == f.CLOSE_HISTORY
    page = admin(often).get(f"{TENANT}/audit").text
    assert page.count('title="witness-refused"') == 1
    browser = admin(often)
    said = "HD-XRAY refuses this server’s record"
    until(lambda: said in browser.get(f"{TENANT}/notices").text, "the notice")
    assert browser.get(f"{TENANT}/notices").text.count(f">{said}</a>") == 1


def test_the_folder_is_left_in_order(often: Caisey) -> None:
    """After all that the record holds."""
    assert often.verify().returncode == 0
