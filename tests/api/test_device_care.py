"""What an admin does to devices and installers: rename, move, remove; expiry, uses, rotation, revocation; who enrolled what."""

import threading
from typing import Any
from uuid import uuid4

import pytest
from companies import Companies, Company
from doors import agent, until
from raw_device import RawDevice

from caisey_agent.protocol import frames as f


@pytest.fixture
def acme(companies: Companies) -> Company:
    """The company."""
    return companies.acme


def _row(company: Company, device: object) -> Any:
    return company.people["admin"].get(f"/devices/{device}")["row"]


def test_rename(companies: Companies, acme: Company) -> None:
    """The new name is everywhere at once, spaces in order, and the log says what it was called before."""
    device = companies.raw_device(acme, "OLD-NAME", "Harbor")
    admin = acme.people["admin"]
    admin.post(f"/devices/{device.id}/rename", {"name": "  FRONT   DESK  "})
    assert _row(acme, device.id)["name"] == "FRONT DESK"
    assert admin.get("/devices?q=front+desk")["matches"] == 1
    assert admin.get("/devices?q=old-name")["matches"] in (0, 1)  # the host's own name is still found
    assert "Renamed the device OLD-NAME to FRONT DESK" in acme.browser("admin").get("/t/acme-msp/audit").text
    for name in ("", "   ", "x" * 101):
        refused = admin.call("POST", f"/devices/{device.id}/rename", json={"name": name})
        assert (refused.status_code, refused.json()["field"]) == (422, "name")
    assert _row(acme, device.id)["name"] == "FRONT DESK"


def test_move_takes_the_device_out_of_reach(companies: Companies, acme: Company) -> None:
    """A device goes to another client: who serves only one of them gains or loses it; its past sessions stay where they were."""
    device = companies.raw_device(acme, "MOVER", "Harbor")
    admin, narrow = acme.people["admin"], acme.people["narrow"]
    session = acme.active("MOVER")
    refused = admin.call("POST", f"/devices/{device.id}/move", json={"client": str(acme.clients["Northwind"])})
    assert refused.status_code == 409
    assert "session is open" in refused.json()["detail"]
    outcome = {"resolution": "no-fault", "notes": "Nothing was wrong."}
    acme.people["tom"].post(f"/sessions/{session}/complete", outcome)
    device.settled(device.say(f.SessionClosed(session=device.hear(f.EndSession).session)))
    until(lambda: acme.card(session)["sealed"], "the seal")
    assert narrow.call("GET", f"/devices/{device.id}").status_code == 404
    admin.post(f"/devices/{device.id}/move", {"client": str(acme.clients["Northwind"])})
    assert narrow.get(f"/devices/{device.id}")["row"]["client_name"] == "Northwind of Acme MSP"
    assert narrow.call("GET", f"/sessions/{session}/card").status_code == 404
    assert acme.card(session)["client_name"] == "Harbor of Acme MSP"
    assert device.socket is not None
    assert _row(acme, device.id)["online"], "its link is not touched"
    missing = admin.call("POST", f"/devices/{device.id}/move", json={"client": str(uuid4())})
    assert (missing.status_code, missing.json()["field"]) == (422, "client")
    admin.post(f"/devices/{device.id}/move", {"client": str(acme.clients["Harbor"])})
    assert narrow.call("GET", f"/devices/{device.id}").status_code == 404


def test_remove_a_real_device(companies: Companies, acme: Company) -> None:
    """Its key stops at once: the agent says so, destroys its key and ends with code 4; the id is of nothing, in lists and doors."""
    device = companies.start_device(acme, "GONE", "Harbor")
    process, home = companies.agents[-1], companies.server.data.with_name("acme-msp-GONE")
    admin = acme.people["admin"]
    order = {"devices": [device.id], "technicians": [str(acme.members["tom"])], "reason": "Look at it"}
    assignment = acme.people["dispatcher"].post("/assignments", order)[0]["id"]
    session = acme.active("GONE")
    refused = admin.call("POST", f"/devices/{device.id}/remove", json={})
    assert refused.status_code == 409
    acme.people["tom"].post(f"/sessions/{session}/complete", {"resolution": "escalated", "notes": "It is to be replaced."})
    until(lambda: acme.card(session)["sealed"], "the seal")
    key = home / "device.key"
    assert key.exists()
    admin.post(f"/devices/{device.id}/remove", {"reason": "sold"})
    assert process.wait(10) == 4
    said = home.with_suffix(".log").read_text()
    assert "was removed" in said
    assert not key.exists()
    assert "Traceback" not in said
    for path in (f"/devices/{device.id}", f"/devices/{device.id}/rename"):
        answer = admin.call("POST" if "rename" in path else "GET", path, json={"name": "x"} if "rename" in path else None)
        assert answer.status_code == 404
    asked = acme.people["tom"].call("POST", f"/devices/{device.id}/sessions", json={"reason": "x"})
    assert asked.status_code == 404
    assert admin.call("POST", f"/devices/{device.id}/remove", json={}).status_code == 404
    assert admin.call("POST", f"/assignments/{assignment}/reassign", json=order).status_code in (404, 422)
    assert acme.people["tom"].get("/queue")["mine"] == []
    assert admin.get("/devices?q=GONE")["matches"] == 0
    assert acme.card(session)["state"] == "completed", "its records stay"
    assert ": sold" in acme.browser("admin").get("/t/acme-msp/audit").text


def test_the_key_of_a_removed_device(companies: Companies, acme: Company) -> None:
    """Who still has the key is told that the device was removed, with words for the agent; a new enrolment is a new device."""
    device = companies.raw_device(acme, "BACK", "Harbor")
    acme.people["admin"].post(f"/devices/{device.id}/remove", {})
    assert device.hear(f.Removed).reason == "removed by an admin"
    assert device.closed() == f.CLOSE_REMOVED
    answer = device.prove()
    assert isinstance(answer, f.Refuse)
    assert answer.final
    assert "removed" in answer.reason
    assert device.closed() == f.CLOSE_REMOVED
    again = RawDevice(companies.url, "BACK")
    assert again.enrol(acme.installers["Harbor"]).status_code == 201
    assert again.id != device.id


# --- installers --------------------------------------------------------------------------------------------------------


def _new(company: Company, **limits: object) -> Any:
    return company.people["admin"].post("/installers", limits)


def _listed(company: Company, installer: str) -> Any:
    return next(one for one in company.people["admin"].get("/installers")["items"] if one["id"] == installer)


def _enrol(companies: Companies, token: str, name: str = "PC") -> tuple[int, Any]:
    answer = RawDevice(companies.url, name).enrol(token)
    return answer.status_code, answer.json()


def test_an_installer_for_one_client(companies: Companies, acme: Company) -> None:
    """Devices land there, under the name that they give; the list says who enrolled what."""
    made = _new(acme, client=str(acme.clients["Northwind"]))
    places = [_enrol(companies, made["token"], name) for name in ("ONE", "  TWO  \n", "x" * 300, "")]
    assert [status for status, _ in places] == [201] * 4
    assert {place["client"] for _, place in places} == {"Northwind of Acme MSP"}
    assert [place["name"] for _, place in places] == ["ONE", "TWO", "x" * 100, "unnamed device"]
    listed = _listed(acme, made["view"]["id"])
    assert {one["name"] for one in listed["enrolled"]} == {"ONE", "TWO", "x" * 100, "unnamed device"}
    assert {one["id"] for one in listed["enrolled"]} == {place["device"] for _, place in places}
    assert listed["created_by"] == "Admin of Acme MSP"
    assert made["token"] not in str(acme.people["admin"].get("/installers"))


def test_an_installer_for_one_named_device(companies: Companies, acme: Company) -> None:
    """It works once, gives the name that was chosen, and needs a client."""
    admin = acme.people["admin"]
    refused = admin.call("POST", "/installers", json={"device_name": "KIOSK"})
    assert (refused.status_code, refused.json()["field"]) == (422, "client")
    made = _new(acme, client=str(acme.clients["Harbor"]), device_name="The kiosk's PC", uses=50)
    assert made["command"].endswith(""" --name 'The kiosk'"'"'s PC'""")
    assert _enrol(companies, made["token"], "ANOTHER")[1]["name"] == "The kiosk's PC"
    status, problem = _enrol(companies, made["token"])
    assert (status, problem["status"]) == (403, 403)
    assert "used up" in problem["detail"]
    assert _listed(acme, made["view"]["id"])["state"] == "used up"


def test_an_installer_for_the_tenant(companies: Companies, acme: Company) -> None:
    """Without a client the device lands at one of the company's clients, never at another company's."""
    made = _new(acme, expires_hours=None)
    assert made["view"]["expires_at"] is None
    assert made["view"]["client_name"] == "All clients"
    status, place = _enrol(companies, made["token"], "SOMEWHERE")
    assert status == 201
    assert place["tenant"] == "Acme MSP"
    assert place["client"].endswith("of Acme MSP")
    assert companies.bolt.people["admin"].call("GET", f"/devices/{place['device']}").status_code == 404


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"uses": 0}, "uses"),
        ({"uses": -1}, "uses"),
        ({"uses": 100_001}, "uses"),
        ({"expires_hours": 0}, "expires_hours"),
        ({"expires_hours": 24 * 365 + 1}, "expires_hours"),
        ({"device_name": "x" * 101}, "device_name"),
        ({"client": str(uuid4())}, "client"),
    ],
)
def test_limits_that_are_none(acme: Company, limits: dict[str, object], field: str) -> None:
    """They are refused, naming the field."""
    refused = acme.people["admin"].call("POST", "/installers", json=limits)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_uses_are_counted_even_in_a_rush(companies: Companies, acme: Company) -> None:
    """Three uses, twelve devices at once: three are in, nine are not."""
    made = _new(acme, client=str(acme.clients["Harbor"]), uses=3)
    said: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: said.append(_enrol(companies, made["token"], f"RUSH-{i}")[0])) for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [201] * 3 + [403] * 9
    listed = _listed(acme, made["view"]["id"])
    assert (listed["uses_left"], listed["state"], len(listed["enrolled"])) == (0, "used up", 3)


def test_rotation(companies: Companies, acme: Company) -> None:
    """The old token stops at once, the new one has what was left of the limits, and what was enrolled stays."""
    made = _new(acme, client=str(acme.clients["Harbor"]), uses=5)
    old = made["view"]["id"]
    assert _enrol(companies, made["token"], "BEFORE")[0] == 201
    rotated = acme.people["admin"].post(f"/installers/{old}/rotate")
    assert rotated["token"] != made["token"]
    assert (rotated["view"]["uses_left"], rotated["view"]["client"]) == (4, str(acme.clients["Harbor"]))
    assert rotated["view"]["expires_at"] == made["view"]["expires_at"]
    assert _enrol(companies, made["token"])[0] == 403
    assert _enrol(companies, rotated["token"], "AFTER")[0] == 201
    assert _listed(acme, old)["state"] == "revoked"
    assert [one["name"] for one in _listed(acme, old)["enrolled"]] == ["BEFORE"]
    assert [one["name"] for one in _listed(acme, rotated["view"]["id"])["enrolled"]] == ["AFTER"]
    again = acme.people["admin"].call("POST", f"/installers/{old}/rotate")
    assert again.status_code == 409


def test_revocation(companies: Companies, acme: Company) -> None:
    """Nothing enrols any more; devices that are there stay; revoking again, or what is not there, finds nothing."""
    made = _new(acme, client=str(acme.clients["Harbor"]))
    device = RawDevice(companies.url, "STAYS")
    assert device.enrol(made["token"]).status_code == 201
    path = f"/installers/{made['view']['id']}/revoke"
    acme.people["admin"].post(path)
    assert _enrol(companies, made["token"])[0] == 403
    assert _listed(acme, made["view"]["id"])["state"] == "revoked"
    device.connect()
    until(lambda: _row(acme, device.id)["online"], "the device")
    device.close()
    assert acme.people["admin"].call("POST", path).status_code in (404, 409)
    assert acme.people["admin"].call("POST", f"/installers/{uuid4()}/revoke").status_code == 404


def test_words_for_the_person_who_enrols(companies: Companies, acme: Company, tmp_path: Any) -> None:
    """A wrong token, a token twice in one folder, and an address over an open network: code and sentence each."""
    wrong = agent("enrol", companies.url, "--token", "cai_wrong", "--home", str(tmp_path / "a"))
    assert wrong.returncode == 3
    assert "not valid" in wrong.stderr
    good = agent("enrol", companies.url, "--token", acme.installers["Harbor"], "--home", str(tmp_path / "b"), "--name", "B")
    assert good.returncode == 0
    twice = agent("enrol", companies.url, "--token", acme.installers["Harbor"], "--home", str(tmp_path / "b"))
    assert twice.returncode == 2
    assert "holds an enrolled agent already" in twice.stderr
    far = agent("enrol", "http://caisey.example", "--token", "x", "--home", str(tmp_path / "c"))
    assert far.returncode == 3
    assert "https://" in far.stderr
    for said in (wrong, good, twice, far):
        assert "Traceback" not in said.stderr


def test_a_key_enrols_once(companies: Companies, acme: Company) -> None:
    """The same key again is refused and takes no use."""
    made = _new(acme, client=str(acme.clients["Harbor"]), uses=5)
    device = RawDevice(companies.url, "TWIN")
    assert device.enrol(made["token"]).status_code == 201
    again = device.enrol(made["token"])
    assert again.status_code == 409
    assert _listed(acme, made["view"]["id"])["uses_left"] == 4


def test_a_proof_for_another_token(companies: Companies, acme: Company) -> None:
    """What a device signed for one installer opens no other: the signature names the token."""
    device = RawDevice(companies.url, "REPLAY")
    answer = device.enrol(acme.installers["Northwind"], signed_for=acme.installers["Harbor"])
    assert (answer.status_code, answer.json()["field"]) == (422, "proof")
