"""Companies that the operator begins, suspends and resumes while the server runs."""

import re
from collections.abc import Callable, Iterator
from uuid import UUID

import databases
import httpx2
import pytest
from companies import Companies, two_companies
from doors import TLS, Browser, caisey, until
from raw_device import RawDevice
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from caisey_agent.protocol import frames as f

pytestmark = [databases.both]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Companies]:
    """Two companies on files, and on PostgreSQL."""
    with two_companies(tmp_path_factory.mktemp("served") / "data", database=new_database()) as made:
        yield made


def operator(served: Companies, *arguments: str) -> str:
    """Run one of the operator's commands beside the running server; returns what it printed."""
    act, *rest = arguments
    done = caisey("tenant", act, "--data", str(served.server.data), *rest)
    assert done.returncode == 0, done.stderr
    return done.stdout


def signed_in(served: Companies, link: str) -> Browser:
    """Return a browser that used this link."""
    browser = Browser(served.url)
    path = "/sign-in/" + link.strip().rpartition("/")[2]
    browser.get(path)
    assert browser.post(path).url.path.endswith("/account")
    return browser


def _closed(socket: ClientConnection) -> int:
    """Wait until the server closes a socket; returns the code."""
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


def test_a_company_begins_while_the_server_runs(served: Companies) -> None:
    """Its admin signs in at once, makes a client and an installer, and a device enrols, connects and sees the record."""
    said = operator(served, "create", "Cedar IT", "--admin-name", "Cora", "--admin-email", "cora@cedar.example")
    link = re.search(r"http\S+/sign-in/\S+", said)
    assert link is not None
    cora = signed_in(served, link.group())
    assert "Cedar IT" in cora.get("/t/cedar-it/members").text
    assert cora.post("/t/cedar-it/clients", name="Pier").status_code == 200
    made = cora.post("/t/cedar-it/enrolment", client="", device_name="", expires_hours="1", uses="")
    token = re.search(r"--token (\S+?)[\s<]", made.text)
    assert token is not None
    device = RawDevice(served.url, "CEDAR-1")
    assert device.enrol(token.group(1)).status_code == 201
    device.connect()
    until(lambda: "CEDAR-1" in cora.get("/t/cedar-it/").text, "the device on the page")
    log = cora.get("/t/cedar-it/audit").text
    assert "The company Cedar IT began" in log
    assert "Acme" not in log
    assert "cedar-it" in operator(served, "list")
    device.close()
    assert cora.get("/t/cedar-it/audit/proof").status_code == 200


def test_names_that_are_taken_or_wrong(served: Companies) -> None:
    """A taken address is refused in words where it was chosen, and another one is made where it was not."""
    assert "/t/acme-msp-2/" in operator(served, "create", "Acme MSP", "--admin-email", "a@b.example")
    for wrong, words in (("acme-msp", "Another company has the address"), ("Not/one", "small letters")):
        refused = caisey("tenant", "create", "Other", "--slug", wrong, "--data", str(served.server.data))
        assert refused.returncode == 1
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
    unknown = caisey("tenant", "suspend", "nobody", "--reason", "x", "--data", str(served.server.data))
    assert unknown.returncode == 1
    assert "no company with the address nobody" in unknown.stderr


def test_suspended_and_resumed(served: Companies) -> None:
    """Nobody comes in, what ran is ended in its record, the device is sent away in words; then all of it is there again."""
    bolt, acme = served.bolt, served.acme
    device = served.raw_device(bolt, "DESK", "Harbor")
    spare = served.raw_device(bolt, "SPARE", "Harbor")
    session, asked = bolt.active("DESK"), bolt.ask("SPARE")
    browser, tom = bolt.browser("tom"), bolt.people["tom"]
    address = f"{served.url.replace('http', 'ws', 1)}/t/bolt-msp/sessions/{session}/live"
    headers = {"authorization": f"Bearer {tom.token}"}
    with connect(address, additional_headers=headers) as watching, browser.client.stream("GET", "/t/bolt-msp/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 500"
        operator(served, "suspend", "bolt-msp", "--reason", "The invoice of March")
        list(lines)  # it ends by itself
        assert _closed(watching) == 4404
    refused = tom.call("GET", "/devices")
    assert refused.status_code == 403
    assert "suspended" in refused.json()["detail"]
    shown = browser.get("/t/bolt-msp/queue")
    assert shown.url.path == "/t/bolt-msp/sign-in"
    assert "suspended" in shown.text
    link = bolt.people["mia"].sign_in.rpartition("/")[2]
    stranger = Browser(served.url)
    stranger.get(f"/sign-in/{link}")
    assert "suspended" in stranger.post(f"/sign-in/{link}").text
    assert acme.people["tom"].get("/devices") is not None  # another company notices nothing
    assert str(device.hear(f.EndSession).session) == session
    device.settled(device.say(f.SessionClosed(session=UUID(session))))
    assert (device.closed(), spare.closed()) == (1013, 1013)  # once their sessions are sealed
    refusal = spare.prove()
    assert isinstance(refusal, f.Refuse)
    assert "suspended" in refusal.reason
    assert not refusal.final
    assert "The invoice of March" in operator(served, "list")
    operator(served, "resume", "bolt-msp")

    def card() -> dict[str, str] | None:
        answer = tom.call("GET", f"/sessions/{session}/card")
        return dict(answer.json()) if answer.status_code == 200 else None

    assert until(card, "the company to be open")["state"] == "completed"
    assert bolt.card(asked)["state"] == "cancelled"
    entries = str(tom.get(f"/sessions/{session}"))
    assert "The company was suspended" in entries
    assert stranger.post(f"/sign-in/{link}").url.path == "/t/bolt-msp/account"  # the link was not used up
    until(lambda: isinstance(spare.prove(), f.Welcome), "the device to be let in")
    spare.connect()
    assert caisey("verify", "--data", str(served.server.data)).returncode == 0
    audit = bolt.browser("admin").get("/t/bolt-msp/audit").text
    assert "Suspended the company: The invoice of March" in audit
    assert "Ended the company’s suspension" in audit


def test_one_browser_in_two_companies(served: Companies) -> None:
    """A person who belongs to several signs in to each once and switches; signing out of one leaves the other."""
    made = operator(served, "create", "Delta IT", "--admin-name", "Dana", "--admin-email", "admin@acme-msp.example")
    link = re.search(r"/sign-in/\S+", made)
    assert link is not None
    browser = served.acme.browser("admin")
    token = next(c.value for c in browser.client.cookies.jar if c.name == "caisey.acme-msp")
    browser.get(link.group())
    browser.post(link.group())
    start = browser.get("/").text
    assert "Acme MSP" in start
    assert "Delta IT" in start
    assert "Bolt MSP" not in start
    assert browser.get("/t/acme-msp/members").status_code == 200
    assert browser.get("/t/delta-it/members").status_code == 200
    planted = {"cookie": f"caisey.delta-it={token}", "accept": "text/html"}
    assert httpx2.get(served.url + "/t/delta-it/members", headers=planted, verify=TLS).status_code == 303
    assert httpx2.get(served.url + "/", headers=planted, verify=TLS).status_code == 200
    browser.post("/t/delta-it/sign-out")
    assert browser.get("/t/delta-it/members").url.path == "/t/delta-it/sign-in"
    assert browser.get("/t/acme-msp/members").url.path == "/t/acme-msp/members"


def test_the_start_page_names_nobody(served: Companies) -> None:
    """A stranger types their company's address and comes to its sign-in page; no company is listed."""
    stranger = Browser(served.url)
    start = stranger.get("/")
    assert "Your company" in start.text
    assert "Acme" not in start.text
    found = stranger.get("/company?name=https://caisey.example/t/acme-msp")
    assert found.url.path == "/t/acme-msp/sign-in"
    assert "Acme MSP" in found.text
    missing = stranger.get("/company?name=nobody")
    assert missing.status_code == 404
    assert "no company with the address" in missing.text
