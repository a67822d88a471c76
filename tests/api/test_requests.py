"""Asking the person at a device: nudging, denying, later, more time, a wider scope, taking back, no answer, the end of the time."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from companies import Companies, Company, two_companies
from doors import Device, until

from caisey_agent.protocol import frames as f

ANSWER_WITHIN = 30  # seconds: the shortest that an installation may set
MINUTE_US = 60 * 1_000_000


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """An installation that waits for answers no longer than it must; one request is left without an answer at once."""
    with two_companies(tmp_path_factory.mktemp("asked") / "data", answer_within_seconds=ANSWER_WITHIN) as made:
        made.raw_device(made.acme, "SILENT", "Harbor")
        made.acme.ask("SILENT", reason="Nobody is there")
        yield made


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """The company."""
    return companies.acme


@pytest.fixture(scope="module")
def agent(companies: Companies, acme: Company) -> Device:
    """A real agent."""
    return companies.start_device(acme, "PC", "Harbor")


@pytest.fixture
def pc(acme: Company, agent: Device) -> Iterator[Device]:
    """The device with the real agent; whatever a test began there is over afterwards."""
    yield agent
    row = acme.people["admin"].get(f"/devices/{agent.id}")["row"]
    if row["session"] is None:
        return
    if row["session"]["granted_at"] is None:
        acme.people["dispatcher"].post(f"/sessions/{row['session']['id']}/cancel", {})
    else:
        _over(acme, row["session"]["id"])


def _run(company: Company, session: str, who: str = "tom") -> Any:
    return company.people[who].call("POST", f"/sessions/{session}/commands", json={"line": "true"})


def _over(company: Company, session: str) -> None:
    company.people["tom"].post(f"/sessions/{session}/complete", {"resolution": "no-fault", "notes": "A test."})
    until(lambda: company.card(session)["sealed"], "the seal")


def test_nudging(acme: Company, pc: Device) -> None:
    """The prompt shows the message, as long as it may be; too long is refused, and whoever may not, may not."""
    session = acme.ask("PC")
    assert pc.asked() == session
    dispatcher = acme.people["dispatcher"]
    path = f"/sessions/{session}/nudge"
    for message, status in (("", 200), ("x" * 500, 200), ("x" * 501, 422), ("Please   look\nat the screen", 200)):
        answer = dispatcher.call("POST", path, json={"message": message})
        assert answer.status_code == status, answer.text
        assert answer.json().get("field") == ("message" if status == 422 else None)
    until(lambda: "Please look at the screen" in pc.page(), "the message on the screen")
    assert acme.people["auditor"].call("POST", path, json={}).status_code == 403
    acme.people["tom"].post(f"/sessions/{session}/cancel", {"reason": "Solved by phone"})
    after = dispatcher.call("POST", path, json={})
    assert after.status_code in (404, 409)


def test_taken_back(acme: Company, pc: Device) -> None:
    """The prompt is gone; an answer comes too late; nothing may run. Only whose request it is, or a dispatcher, takes it back."""
    session = acme.ask("PC")
    assert pc.asked() == session
    path = f"/sessions/{session}/cancel"
    for who in ("mia", "senior", "auditor"):
        assert acme.people[who].call("POST", path, json={}).status_code == 403, who
    acme.people["dispatcher"].post(path, {"reason": "Wrong device"})
    acme.state(session, "cancelled")
    until(lambda: f'value="{session}"' not in pc.page(), "the prompt to go")
    assert pc.answer(session) == 409
    assert _run(acme, session).status_code in (404, 409)
    assert acme.people["dispatcher"].call("POST", path, json={}).status_code in (404, 409)
    assert "Wrong device" in str(acme.entries(session))


def test_denied(acme: Company, pc: Device) -> None:
    """A no ends it; asking anew is a session of its own."""
    session = acme.ask("PC")
    pc.asked()
    assert pc.answer(session, "denied") == 200
    card = acme.state(session, "denied")
    assert card["granted_at"] is None
    assert _run(acme, session).status_code in (404, 409)
    again = acme.ask("PC")
    assert again != session
    assert pc.asked() == again


def test_later(acme: Company, pc: Device) -> None:
    """Later is no answer: the prompt goes, everybody sees until when, a nudge brings it back, and then it may be granted."""
    session = acme.ask("PC")
    pc.asked()
    assert pc.answer(session, "later") == 200
    card = until(lambda: (c := acme.card(session)) and c["postponed_until"] and c, "the postponement")
    assert card["state"] == "pending consent"
    assert 500 * 1_000_000 < card["postponed_until"] - time.time_ns() // 1000 < 700 * 1_000_000
    patience = card["expires_at"] - card["postponed_until"]
    assert abs(patience - ANSWER_WITHIN * 1_000_000) < 1000, "the whole time to answer, once more"
    assert 'action="answer"' not in pc.page()
    assert _run(acme, session).status_code == 409
    acme.people["dispatcher"].post(f"/sessions/{session}/nudge", {"message": "It is urgent now"})
    assert pc.asked() == session
    assert "It is urgent now" in pc.page()
    assert pc.answer(session) == 200
    acme.state(session, "active")


def test_a_shorter_time(acme: Company, pc: Device) -> None:
    """The person chooses less than was asked: that is what holds, and a longer choice than asked is cut."""
    session = acme.ask("PC", duration_minutes=60)
    pc.asked()
    assert pc.answer(session, minutes=15) == 200
    card = acme.state(session, "active")
    assert card["until"] - card["granted_at"] == 15 * MINUTE_US
    _over(acme, session)
    session = acme.ask("PC", duration_minutes=30)
    pc.asked()
    assert pc.answer(session, minutes=480) == 200
    card = acme.state(session, "active")
    assert card["until"] - card["granted_at"] == 30 * MINUTE_US


def test_a_wider_scope(acme: Company, pc: Device) -> None:
    """Files were not agreed to: refused in words, asked for, denied (what was agreed holds), asked again, agreed."""
    tom = acme.people["tom"]
    session = acme.active("PC", scopes=["run"])
    download = f"/sessions/{session}/files/download"
    refused = tom.call("POST", download, json={"path": "/etc/hostname"})
    assert refused.status_code == 403
    assert "transfer files" in refused.json()["detail"]
    more = {"reason": "I need the log file", "scopes": ["run", "files"], "duration_minutes": 60}
    tom.post(f"/sessions/{session}/ask", more)
    twice = tom.call("POST", f"/sessions/{session}/ask", json=more)
    assert twice.status_code == 409
    assert "being asked already" in twice.json()["detail"]
    assert pc.asked() == session
    assert "I need the log file" in pc.page()
    assert _run(acme, session).status_code == 202, "what was agreed holds meanwhile"
    assert pc.answer(session, "denied") == 200
    until(lambda: acme.card(session)["expires_at"] is None, "the answer")
    assert acme.card(session)["state"] == "active"
    assert tom.call("POST", download, json={"path": "/etc/hostname"}).status_code == 403
    tom.post(f"/sessions/{session}/ask", more)
    pc.asked()
    assert pc.answer(session) == 200
    until(lambda: "files" in acme.card(session)["scopes"], "the wider consent")
    transfer = tom.post(download, {"path": "/etc/hostname"})["id"]
    acme.transfer(session, transfer, "finished")


def test_more_time(acme: Company, pc: Device) -> None:
    """From the new answer on, the new time counts."""
    session = acme.active("PC", duration_minutes=10)
    before = acme.card(session)
    assert before["until"] - before["granted_at"] == 10 * MINUTE_US
    more = {"reason": "It takes longer", "scopes": ["run", "files"], "duration_minutes": 120}
    for who in ("mia", "dispatcher"):
        assert acme.people[who].call("POST", f"/sessions/{session}/ask", json=more).status_code == 403
    acme.people["tom"].post(f"/sessions/{session}/ask", more)
    pc.asked()
    assert pc.answer(session, minutes=120) == 200
    until(lambda: acme.card(session)["until"] > before["until"], "the new time")
    assert acme.card(session)["until"] - time.time_ns() // 1000 > 119 * MINUTE_US


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "x", "scopes": []}, "scopes"),
        ({"reason": "x", "scopes": ["everything"]}, "scopes"),
        ({"reason": "x", "scopes": ["admin"]}, "scopes"),
        ({"reason": "x", "duration_minutes": 0}, "duration_minutes"),
        ({"reason": "x", "duration_minutes": -5}, "duration_minutes"),
        ({"reason": "x", "duration_minutes": 8 * 60 + 1}, "duration_minutes"),
    ],
)
def test_what_cannot_be_asked(acme: Company, pc: Device, asked: dict[str, Any], field: str) -> None:
    """Nobody at a device is bothered with it; the field is named."""
    refused = acme.people["tom"].call("POST", f"/devices/{pc.id}/sessions", json=asked)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert 'action="answer"' not in pc.page()


def test_one_session_for_a_device(acme: Company, pc: Device) -> None:
    """Who asks while another asks, or works, is told whose it is."""
    acme.ask("PC")
    refused = acme.people["mia"].call("POST", f"/devices/{pc.id}/sessions", json={"reason": "x"})
    assert refused.status_code == 409
    assert "Tom of Acme MSP has an open session on PC" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("outcome", "field"),
    [
        ({"resolution": "fixed", "notes": ""}, "notes"),
        ({"resolution": "fixed", "notes": " \n "}, "notes"),
        ({"resolution": "fixed", "notes": "x"}, "checked"),
        ({"resolution": "fixed", "notes": "x", "checked": "  "}, "checked"),
        ({"resolution": "fixed", "notes": "x" * 20_001, "checked": "x"}, "notes"),
        ({"resolution": "no-fault", "notes": "x", "checked": "x" * 20_001}, "checked"),
        ({"resolution": "done", "notes": "x"}, ""),
        ({"notes": "x"}, ""),
    ],
)
def test_outcomes_that_are_none(companies: Companies, acme: Company, outcome: dict[str, str], field: str) -> None:
    """A fix needs a word on how that is known; each needs notes; the session goes on meanwhile."""
    if "ENDING" not in acme.raw:
        companies.raw_device(acme, "ENDING", "Harbor")
        acme.active("ENDING")
    session = acme.people["admin"].get(f"/devices/{acme.raw['ENDING'].id}")["row"]["session"]["id"]
    refused = acme.people["tom"].call("POST", f"/sessions/{session}/complete", json=outcome)
    assert refused.status_code == 422, refused.text
    assert refused.json().get("field", "") == field
    assert acme.card(session)["state"] == "active"


@pytest.mark.parametrize("resolution", ["fixed", "workaround", "escalated", "not-reproducible", "no-fault"])
def test_each_outcome(acme: Company, pc: Device, resolution: str) -> None:
    """It ends the session for good, with its words in the review; only one can be given."""
    session = acme.active("PC")
    outcome = {"resolution": resolution, "notes": "Found it.", "checked": "A page came out." if resolution == "fixed" else ""}
    assert acme.people["mia"].call("POST", f"/sessions/{session}/complete", json=outcome).status_code == 403
    card = acme.people["tom"].post(f"/sessions/{session}/complete", outcome)
    assert (card["state"], card["resolution"]) == ("completed", resolution)
    again = acme.people["tom"].call("POST", f"/sessions/{session}/complete", json=outcome)
    assert again.status_code in (404, 409)
    assert _run(acme, session).status_code in (404, 409)
    review = acme.people["auditor"].get(f"/sessions/{session}")
    assert (review["notes"], review["checked"]) == ("Found it.", outcome["checked"])
    until(lambda: acme.card(session)["sealed"], "the seal")


def test_before_anybody_agreed_there_is_nothing_to_finish(acme: Company, pc: Device) -> None:
    """A request is taken back, not finished."""
    session = acme.ask("PC")
    pc.asked()
    outcome = {"resolution": "no-fault", "notes": "x"}
    refused = acme.people["tom"].call("POST", f"/sessions/{session}/complete", json=outcome)
    assert refused.status_code == 409
    assert refused.json()["what_to_do"] == "Cancel the request instead."


def test_the_end_of_the_time(companies: Companies, acme: Company) -> None:
    """When the agreed time is over nothing more may begin, everybody sees it, and a new answer makes it go on."""
    device = companies.raw_device(acme, "BRIEF", "Harbor")
    session = acme.ask("BRIEF")
    device.answer(seconds=1)
    card = acme.state(session, "interrupted")
    assert card["consent_over"]
    refused = _run(acme, session)
    assert refused.status_code == 409
    assert "agreed time is over" in refused.json()["detail"]
    more = {"reason": "Not done yet", "scopes": ["run"], "duration_minutes": 30}
    acme.people["tom"].post(f"/sessions/{session}/ask", more)
    device.answer()
    acme.state(session, "active")
    accepted = _run(acme, session)
    assert accepted.status_code == 202
    assert str(device.hear(f.Run).command) == accepted.json()["id"]


def test_no_answer_is_a_no(companies: Companies, acme: Company) -> None:
    """After the time to answer the request is over; the device is told to put the prompt away; the record says why."""
    session = acme.sessions[0]
    device = acme.raw["SILENT"]
    card = acme.state(session, "expired", ANSWER_WITHIN + 10)
    assert card["ended_at"] >= card["requested_at"] + ANSWER_WITHIN * 1_000_000
    assert str(device.hear(f.CancelAsk).session) == session
    assert "Nobody answered in time" in str(acme.entries(session))
    assert _run(acme, session).status_code in (404, 409)
    number = device.number
    device.answer()  # too late
    assert device.number > number
    assert acme.card(session)["state"] == "expired"
    proof = acme.people["auditor"].get(f"/sessions/{session}/proof")
    assert proof["ok"], proof
    assert re.search(r"\d+ events", proof["sentence"])
