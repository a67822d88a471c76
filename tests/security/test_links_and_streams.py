"""What stays open: browsers' sockets and event streams, and the devices' links. None of them reaches over the wall."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from companies import NARROW, Companies, Company
from doors import until
from stage import FILE, Stage, set_stage, unknown
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from caisey_agent.protocol import frames as f


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """One company."""
    return set_stage(companies, companies.acme)


@pytest.fixture(scope="module")
def bolt(companies: Companies) -> Stage:
    """The other one."""
    return set_stage(companies, companies.bolt)


# --- browsers' sockets -------------------------------------------------------------------------------------------------


def _socket(companies: Companies, slug: str, session: str, **headers: str) -> Any:
    address = companies.url.replace("http", "ws", 1) + f"/t/{slug}/sessions/{session}/live"
    return connect(address, additional_headers=headers, proxy=None)


def _end(socket: Any) -> tuple[int, str]:
    """Wait until a socket is closed; returns code and reason."""
    try:
        while True:
            socket.recv(timeout=40)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")


def _refused(companies: Companies, slug: str, session: str, **headers: str) -> tuple[int, str]:
    """Open a socket and wait until it is closed; fails if it says anything first."""
    with _socket(companies, slug, session, **headers) as socket, pytest.raises(ConnectionClosed) as closed:
        raise AssertionError(socket.recv(timeout=10))
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def _cookie(company: Company, who: str) -> str:
    return f"caisey.{company.slug}={company.browser(who).client.cookies[f'caisey.{company.slug}']}"


def test_the_live_view_of_another_company(companies: Companies, acme: Stage, bolt: Stage) -> None:
    """Their session at one's own address, their address with one's own token, a session of nobody: the same refusal."""
    for who in ("admin", "tom", "senior", NARROW):
        token = {"authorization": f"Bearer {bolt.company.people[who].token}"}
        said = {
            _refused(companies, "bolt-msp", acme.ids["session"], **token),
            _refused(companies, "acme-msp", acme.ids["session"], **token),
            _refused(companies, "bolt-msp", unknown(""), **token),
            _refused(companies, "no-such-msp", unknown(""), **token),
        }
        assert said == {(4404, "There is nothing at this address.")}
    narrow = {"authorization": f"Bearer {acme.company.people[NARROW].token}"}
    assert _refused(companies, "acme-msp", acme.ids["session"], **narrow)[0] == 4404


@pytest.mark.parametrize(
    "origin", [None, "null", "", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://[", "file://"]
)
def test_a_foreign_page_opens_no_socket(companies: Companies, acme: Stage, origin: str | None) -> None:
    """A browser sends its cookie along with a foreign page's socket: the Origin decides, and a broken one is foreign."""
    headers = {"cookie": _cookie(acme.company, "tom")} | ({} if origin is None else {"origin": origin})
    assert _refused(companies, "acme-msp", acme.ids["session"], **headers)[0] == 4404
    headers["origin"] = companies.url
    with _socket(companies, "acme-msp", acme.ids["session"], **headers) as socket:
        assert "DESK" in _hello(socket)["card"]["device_name"]


def _trouble(companies: Companies) -> list[str]:
    """Return what broke in the server; a browser's broken UTF-8 is only noted by the library that reads it."""
    lines = [line for line in companies.server.log().splitlines() if '"level": "error"' in line]
    return [line for line in lines if "UnicodeDecodeError" not in line]


def _hello(socket: Any) -> Any:
    while True:
        said = socket.recv(timeout=10)
        if isinstance(said, str):
            return json.loads(said)


@pytest.mark.parametrize("who", ["mia", "dispatcher", "admin", "auditor"])
def test_who_only_watches_cannot_type(companies: Companies, acme: Stage, who: str) -> None:
    """Keys, sizes, commands and stops of those whose session it is not are declined, and nothing of them is recorded."""
    before = acme.company.card(acme.ids["session"])["commands"]
    events = len(acme.company.entries(acme.ids["session"]))
    token = {"authorization": f"Bearer {acme.company.people[who].token}"}
    with _socket(companies, "acme-msp", acme.ids["session"], **token) as socket:
        hello = _hello(socket)
        assert hello["mine"] is False
        assert hello["why_not"]
        for message in (
            {"type": "type", "data": "reboot\r"},
            {"type": "resize", "columns": 80, "rows": 24},
            {"type": "run", "line": "reboot", "ref": "1"},
            {"type": "interrupt"},
        ):
            socket.send(json.dumps(message))
            declined = _hello(socket)
            assert declined["type"] == "refused", declined
            assert declined["reason"]
    assert acme.company.card(acme.ids["session"])["commands"] == before
    assert len(acme.company.entries(acme.ids["session"])) == events


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        '{"type":"none"}',
        '{"type":"type"}',
        '{"type":"type","data":1}',
        '{"type":"run","line":"x","more":1}',
        "\ud800",
    ],
)
def test_a_message_that_makes_no_sense(companies: Companies, acme: Stage, message: str) -> None:
    """It ends the socket with a code of its own; the server goes on."""
    token = {"authorization": f"Bearer {acme.company.people['tom'].token}"}
    with _socket(companies, "acme-msp", acme.ids["session"], **token) as socket:
        _hello(socket)
        socket.send(message.encode(errors="surrogatepass"), text=True)
        assert _end(socket)[0] in (4400, 1007)
    assert _trouble(companies) == []


@pytest.mark.parametrize("after", ["-5", "99999999999999999999999", "x", "0", "4294967296"])
def test_absurd_positions(companies: Companies, acme: Stage, after: str) -> None:
    """A browser that claims to have seen what does not exist gets a greeting or a refusal, never a broken server."""
    address = companies.url.replace("http", "ws", 1) + f"/t/acme-msp/sessions/{acme.ids['session']}/live?after={after}"
    token = {"authorization": f"Bearer {acme.company.people['tom'].token}"}
    if after == "x":
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, additional_headers=token, proxy=None, legacy=True)
    else:
        with connect(address, additional_headers=token, proxy=None) as socket:
            assert _hello(socket)["type"] == "hello"
    assert _trouble(companies) == []


# --- event streams -----------------------------------------------------------------------------------------------------


@contextmanager
def _listening(company: Company, who: str, page: str) -> Iterator[list[str]]:
    """Collect what a page's event stream says."""
    said: list[str] = []
    opened, done = threading.Event(), threading.Event()
    browser = company.browser(who)

    def listen() -> None:
        with browser.client.stream("GET", f"/t/{company.slug}/events?page={page}") as stream:
            for text in stream.iter_text():
                said.append(text)
                opened.set()
                if done.is_set():
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert opened.wait(10)
    yield said
    done.set()
    company.people["admin"].post(f"/devices/{company.raw['SPARE'].id}/rename", {"name": "SPARE"})  # wakes the stream
    company.people["admin"].post(f"/devices/{company.raw['SPARE'].id}/rename", {"name": "SPARE"})
    thread.join(10)


@pytest.mark.parametrize("page", ["devices", "sessions", "queue", "other", "device:FOREIGN", "session:FOREIGN", "nonsense:x"])
def test_news_stays_at_home(acme: Stage, bolt: Stage, page: str) -> None:
    """While one company works, the other's pages hear nothing of it, even when they ask for its device by id."""
    with _listening(bolt.company, "tom", page.replace("FOREIGN", acme.ids["device"])) as said:
        acme.id("assignment")
        acme.company.people["admin"].post(f"/devices/{acme.ids['device']}/rename", {"name": "DESK"})
        acme.company.people["tom"].post(f"/sessions/{acme.ids['session']}/commands", {"line": "true"})
        bolt.id("assignment")  # to tom: his notice reaches each of his pages
        until(lambda: "SPARE" in "".join(said), "the company's own news")
    text = "".join(said)
    for name, identity in acme.ids.items():
        assert identity not in text, name
    assert str(acme.company.raw["SPARE"].id) not in text
    assert "cme" not in text


def test_news_of_clients_that_one_does_not_serve(acme: Stage) -> None:
    """A technician for other clients hears that a device is not there, never what it is called or how it does."""
    with _listening(acme.company, NARROW, "devices") as said:
        acme.company.people["admin"].post(f"/devices/{acme.ids['device']}/rename", {"name": "DESK-SECRET"})
        until(lambda: acme.ids["device"] in "".join(said) or "counts" in "".join(said), "the news")
    acme.company.people["admin"].post(f"/devices/{acme.ids['device']}/rename", {"name": "DESK"})
    assert "DESK" not in "".join(said)


def test_signing_out_ends_what_is_open(companies: Companies, acme: Stage) -> None:
    """A stream and a socket of a browser that signed out end by themselves."""
    browser = acme.company.browser("dispatcher")
    headers = {"cookie": _cookie(acme.company, "dispatcher"), "origin": companies.url}
    ended = threading.Event()

    def listen() -> None:
        with browser.client.stream("GET", "/t/acme-msp/events?page=other", timeout=60) as stream:
            for _ in stream.iter_text():
                pass
        ended.set()

    with _socket(companies, "acme-msp", acme.ids["session"], **headers) as socket:
        _hello(socket)
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        browser.post("/t/acme-msp/sign-out")
        assert _end(socket) == (4404, "You are not signed in any more.")
        assert ended.wait(40)
    assert _refused(companies, "acme-msp", acme.ids["session"], **headers)[0] == 4404


# --- devices' links ----------------------------------------------------------------------------------------------------


def test_a_device_cannot_be_another(companies: Companies, acme: Stage, bolt: Stage) -> None:
    """With the key of one and the id of another, or of nobody, the answer is the same: not known here."""
    thief = companies.raw_device(bolt.company, "THIEF", "Harbor")
    said = []
    for device in (UUID(acme.ids["device"]), UUID(bolt.ids["device"]), uuid4()):
        answer = thief.prove(device)
        said.append((answer, thief.closed()))
    assert said[0] == said[1] == said[2]
    assert isinstance(said[0][0], f.Refuse)
    assert said[0][0].final
    assert said[0][1] == f.CLOSE_NOT_YOU
    assert acme.company.people["admin"].get(f"/devices/{acme.ids['device']}")["row"]["online"]


def test_a_device_speaks_for_itself_only(companies: Companies, acme: Stage, bolt: Stage) -> None:
    """Frames about another device's session change nothing there: not its state, its output, nor its files."""
    thief = companies.raw_device(bolt.company, "THIEF-2", "Harbor")
    mine = UUID(bolt.company.active("THIEF-2"))
    theirs = UUID(acme.ids["session"])
    tom = acme.company.people["tom"]
    moving = UUID(tom.post(f"/sessions/{theirs}/files/download", {"path": "/etc/passwd"})["id"])
    asked = acme.company.raw["DESK"].hear(f.GetFile)
    before = [entry for entry in acme.company.entries(str(theirs)) if entry["kind"] != "review-opened"]
    command = UUID(acme.ids["command"])
    for session in (theirs, mine):
        thief.say(f.FileChunk(session=theirs, transfer=moving, offset=0, data=b"forged"))
        thief.say(thief.transferred(session, moving, "/etc/passwd", b"forged"))
        thief.say(f.TransferFailed(session=session, transfer=moving, reason="forged"))
        thief.say(f.NotRun(session=session, subject=moving, reason="forged"))
        thief.say(f.Output(session=session, command=command, data=b"forged"))
        thief.say_latest(f.Receiving(session=session, transfer=moving, size=1 << 40))
    thief.say(f.ShellEnded(session=theirs, reason="forged"))
    thief.say_latest(f.Echo(session=theirs, visible=False))
    thief.settled(thief.say(f.SessionClosed(session=theirs)))
    assert acme.company.entries(str(theirs)) == before
    assert acme.company.card(str(theirs))["state"] == "active"
    device = acme.company.raw["DESK"]
    device.say(f.FileChunk(session=asked.session, transfer=moving, offset=0, data=FILE))
    device.settled(device.say(device.transferred(asked.session, moving, asked.path, FILE, asked.seed)))
    acme.company.transfer(str(theirs), str(moving), "finished")
    assert tom.call("GET", f"/sessions/{theirs}/files/{moving}").content == FILE


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 100, b"\x81\xa1t\xa4none", f.encode(f.Heartbeat(at=0)), b"\xdd\xff\xff\xff\xff", b"\x91" * 5000]
)
def test_a_handshake_that_is_none(companies: Companies, data: bytes) -> None:
    """It is closed with words; the server goes on."""

    with connect(companies.url.replace("http", "ws", 1) + "/agent/link", proxy=None) as socket:
        socket.recv(timeout=10)
        socket.send(data)
        assert _end(socket)[0] == f.CLOSE_BAD_FRAME
    assert _trouble(companies) == []


def test_a_device_that_talks_nonsense_is_cut_off(companies: Companies, bolt: Stage) -> None:
    """After a good handshake too; others keep their links."""
    fool = companies.raw_device(bolt.company, "FOOL", "Harbor")
    assert fool.socket is not None
    fool.socket.send(b"\xc1")
    assert fool.closed() == f.CLOSE_BAD_FRAME
    assert bolt.company.people["admin"].get(f"/devices/{bolt.ids['device']}")["row"]["online"]
