"""The main job through the API, with real agents and real bash."""

import hashlib
import time

from databases import both
from doors import Caisey, until

pytestmark = both


def test_the_whole_job(caisey: Caisey) -> None:
    """A dispatcher assigns, the person agrees, a technician works and hands over, the other finishes, the record proves it."""
    dana, tom = caisey.people["dispatcher"], caisey.people["tom"]
    device = caisey.devices["HD-FRONTDESK"]
    technicians = {choice["name"]: choice["id"] for choice in dana.get("/devices")["technicians"]}
    order = {"devices": [device.id], "technicians": [technicians["Tom Brandt"]], "reason": "Printer", "priority": "urgent"}
    dana.post("/assignments", order)
    assert [one["device_name"] for one in tom.get("/queue")["mine"]] == ["HD-FRONTDESK"]
    session = caisey.active()
    assert caisey.run(session, "cd /var/log && pwd")["output"] == "/var/log\r\n"
    card = caisey.run(session, "pwd; (exit 3)")
    assert (card["output"], card["exit_code"], card["directory"], card["receipt"]) == ("/var/log\r\n", 3, "/var/log", True)
    dana.post(f"/sessions/{session}/reassign", {"technician": technicians["Mia Torres"], "reason": "Tom goes home"})
    refused = tom.call("POST", f"/sessions/{session}/commands", json={"line": "id"})
    assert refused.status_code == 403
    assert "Mia Torres" in refused.json()["detail"]
    assert caisey.run(session, "pwd", "mia")["output"] == "/var/log\r\n"
    caisey.finish(session, "mia")
    review = dana.get(f"/sessions/{session}")
    assert review["proof"]["ok"], review["proof"]
    assert review["proof"]["sentence"].startswith("Verified: ")
    assert review["notes"] == "Restarted the queue."
    assert review["commands"] == 3
    assert {"Tom Brandt", "Mia Torres", "Dana Okafor"} <= {one["name"] for one in review["participants"]}
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
    assert f"session/{session}" in verdict.stdout


def test_files_go_both_ways_with_their_hash(caisey: Caisey, tmp_path: "object") -> None:
    """An upload lands with its content, a download comes back the same, and both have receipts."""
    tom = caisey.people["tom"]
    session = caisey.active("HD-XRAY")
    content = bytes(range(256)) * 8000
    path = f"{tmp_path}/up.bin"
    sent = tom.call("POST", f"/sessions/{session}/files", params={"path": path}, content=content)
    assert sent.status_code == 202, sent.text

    def transfers() -> dict[str, dict[str, object]]:
        entries = tom.get(f"/sessions/{session}")["entries"]
        return {entry["transfer"]["id"]: entry["transfer"] for entry in entries if entry["transfer"] is not None}

    until(lambda: transfers()[sent.json()["id"]]["state"] == "finished", "the upload")
    got = tom.post(f"/sessions/{session}/files/download", {"path": path})
    until(lambda: transfers()[got["id"]]["state"] == "finished", "the download")
    assert transfers()[got["id"]]["content"] == hashlib.sha256(content).hexdigest()
    assert tom.call("GET", f"/sessions/{session}/files/{got['id']}").content == content
    again = tom.call("POST", f"/sessions/{session}/files", params={"path": path}, content=b"x")
    until(lambda: transfers()[again.json()["id"]]["state"] == "failed", "the refusal")
    assert "exists" in str(transfers()[again.json()["id"]]["reason"])
    caisey.finish(session)
    assert caisey.verify().returncode == 0


def test_stop_ends_the_running_command_within_a_second(caisey: Caisey) -> None:
    """The person presses Stop: the command is gone, the session is revoked, nothing more may run."""
    tom, device = caisey.people["tom"], caisey.devices["PP-OFFICE"]
    session = caisey.active("PP-OFFICE")
    tom.post(f"/sessions/{session}/commands", {"line": "sleep 600"})
    until(lambda: "sleep 600" in device.page(), "the command on the person's page")
    began = time.monotonic()
    assert device.stop(session) == 200
    assert time.monotonic() - began < 1
    caisey.state(session, "revoked")
    assert tom.call("POST", f"/sessions/{session}/commands", json={"line": "id"}).status_code in (404, 409)
    assert caisey.verify().returncode == 0


def test_a_no_is_a_no(caisey: Caisey) -> None:
    """After a denial nothing runs, and the session is over."""
    tom, device = caisey.people["tom"], caisey.devices["NW-WAREHOUSE-1"]
    session = tom.post(f"/devices/{device.id}/sessions", {"reason": "Look"})["id"]
    assert device.asked() == session
    early = tom.call("POST", f"/sessions/{session}/commands", json={"line": "id"})
    assert early.status_code == 409
    assert "agreed" in early.json()["detail"]
    assert device.answer(session, "denied") == 200
    caisey.state(session, "denied")
    assert device.answer(session) == 409


def test_the_verdict_holds_while_people_work(caisey: Caisey) -> None:
    """Output that is recorded meanwhile is never taken for damage, neither by the review page nor by `caisey verify`."""
    tom = caisey.people["tom"]
    session = caisey.active("HD-XRAY")
    command = tom.post(f"/sessions/{session}/commands", {"line": "while echo more; do sleep 0.002; done"})["id"]
    until(lambda: b"more" in tom.call("GET", f"/sessions/{session}/commands/{command}/output").content, "output")
    for _ in range(10):
        proof = tom.get(f"/sessions/{session}/proof")
        assert proof["ok"], proof["broken"]
    said = caisey.verify()
    assert said.returncode == 0, said.stderr
    tom.post(f"/sessions/{session}/interrupt", {"command": command})
    caisey.ended(session, command)
    caisey.finish(session)


def test_strangers_see_nothing(caisey: Caisey) -> None:
    """Without a token there is no answer, with one there is only one's own tenant, and a missing thing looks the same."""
    tom = caisey.people["tom"]
    assert tom.call("GET", "/devices/00000000-0000-4000-8000-000000000000").status_code == 404
    other = tom.base.replace("brightwater-it", "another-msp")
    tom.base, mine = other, tom.base
    assert tom.call("GET", "/devices").status_code == 404
    tom.base = mine
    tom.token, token = "nonsense", tom.token
    refused = tom.call("GET", "/devices")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    tom.token = token
