"""Giving devices to technicians: in turn, by priority, handed on, closed; each is told with a link that leads there."""

import re
import time
from typing import Any

import pytest
from companies import Companies, Company
from doors import until

HOUR_US = 3600 * 1_000_000


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """A company with six devices that do not matter otherwise."""
    for name in ("D1", "D2", "D3", "D4", "D5", "D6"):
        companies.raw_device(companies.acme, name, "Harbor")
    return companies.acme


def _assign(company: Company, devices: list[str], technicians: list[str], **more: Any) -> list[Any]:
    order = {
        "devices": [str(company.raw[name].id) for name in devices],
        "technicians": [str(company.members[who]) for who in technicians],
        "reason": "Look at it",
        **more,
    }
    return list(company.people["dispatcher"].post("/assignments", order))


def _queue(company: Company, who: str) -> list[str]:
    return [one["device_name"] for one in company.people[who].get("/queue")["mine"]]


def _close(company: Company, assignment: str, who: str = "dispatcher", **fields: str) -> int:
    browser = company.browser(who)
    headers = {"accept": "application/json", "x-csrftoken": browser.csrf()}
    return browser.client.post(f"/t/acme-msp/assignments/{assignment}/close", data=fields, headers=headers).status_code


def _clear(company: Company) -> None:
    for who in ("tom", "mia", "senior"):
        for one in company.people[who].get("/queue")["mine"]:
            assert _close(company, one["id"]) == 200


def test_several_devices_to_several_technicians(acme: Company) -> None:
    """In turn, in the order given; a device that is named twice is given once."""
    made = _assign(acme, ["D1", "D2", "D3", "D4", "D5", "D1"], ["tom", "mia"])
    assert [one["device_name"] for one in made] == ["D1", "D2", "D3", "D4", "D5"]
    names = [one["technician_name"] for one in made]
    assert names == [f"{who} of Acme MSP" for who in ("Tom", "Mia", "Tom", "Mia", "Tom")]
    assert sorted(_queue(acme, "tom")) == ["D1", "D3", "D5"]
    assert sorted(_queue(acme, "mia")) == ["D2", "D4"]
    counts = acme.people["admin"].get("/devices")["counts"]
    assert counts["assigned"] == 5
    _clear(acme)
    assert acme.people["admin"].get("/devices")["counts"]["assigned"] == 0


def test_all_or_nothing(acme: Company) -> None:
    """One device or technician that cannot be: nothing is assigned to anybody, and the field is named."""
    good: dict[str, Any] = {"devices": [str(acme.raw["D1"].id)], "technicians": [str(acme.members["tom"])], "reason": "x"}
    auditor, narrow = str(acme.members["auditor"]), str(acme.members["narrow"])
    for change, status, field in (
        ({"devices": [*good["devices"], "00000000-0000-4000-8000-000000000000"]}, 404, None),
        ({"technicians": [auditor]}, 422, "technician"),
        ({"technicians": [narrow]}, 422, "technician"),
        ({"devices": []}, 422, "devices"),
        ({"technicians": []}, 422, "technicians"),
        ({"reason": "  "}, 422, "reason"),
        ({"reason": "x" * 501}, 422, "reason"),
        ({"priority": "panic"}, 422, None),
        ({"devices": good["devices"] * 501}, 422, "devices"),
    ):
        refused = acme.people["dispatcher"].call("POST", "/assignments", json={**good, **change})
        assert refused.status_code == status, refused.text
        assert refused.json().get("field") == field, refused.text
    assert _queue(acme, "tom") == []


def test_the_order_of_a_queue(acme: Company) -> None:
    """Urgent first, then by due time, then by age; the page shows the same order."""
    now = time.time_ns() // 1000
    _assign(acme, ["D1"], ["tom"], priority="normal")
    _assign(acme, ["D2"], ["tom"], priority="high", due_at=now + 5 * HOUR_US)
    _assign(acme, ["D3"], ["tom"], priority="urgent")
    _assign(acme, ["D4"], ["tom"], priority="high", due_at=now + 2 * HOUR_US)
    _assign(acme, ["D5"], ["tom"], priority="urgent", due_at=now + 9 * HOUR_US)
    _assign(acme, ["D6"], ["tom"], priority="normal")
    assert _queue(acme, "tom") == ["D5", "D3", "D4", "D2", "D1", "D6"]
    page = acme.browser("tom").get("/t/acme-msp/queue").text
    places = [page.index(f">{name}<") for name in ("D5", "D3", "D4", "D2", "D1", "D6")]
    assert places == sorted(places)
    _clear(acme)


def test_assigned_anew(acme: Company) -> None:
    """A device has one open assignment: the next one closes the one before and keeps it in the device's past."""
    first = _assign(acme, ["D1"], ["tom"])[0]["id"]
    second = _assign(acme, ["D1"], ["mia"], reason="Tom is ill")[0]["id"]
    assert first != second
    assert _queue(acme, "tom") == []
    assert _queue(acme, "mia") == ["D1"]
    past = acme.people["admin"].get(f"/devices/{acme.raw['D1'].id}")["assignments"]
    assert [(one["id"], one["closed_at"] is None) for one in past[:2]] == [(second, True), (first, False)]
    _clear(acme)


def test_reassigned(acme: Company) -> None:
    """The same assignment in other hands, with its priority and due time; a running session goes along."""
    due_at = time.time_ns() // 1000 + HOUR_US
    made = _assign(acme, ["D2"], ["tom"], priority="urgent", due_at=due_at)[0]
    session = acme.active("D2")
    path = f"/assignments/{made['id']}/reassign"
    senior = acme.people["senior"]
    same = senior.call("POST", path, json={"technician": str(acme.members["tom"])})
    assert (same.status_code, same.json()["field"]) == (422, "technician")
    moved = senior.post(path, {"technician": str(acme.members["mia"]), "reason": "Mia knows it"})
    assert (moved["id"], moved["priority"], moved["due_at"]) == (made["id"], "urgent", due_at)
    assert _queue(acme, "tom") == []
    assert _queue(acme, "mia") == ["D2"]
    card = acme.card(session)
    assert (card["technician_name"], card["state"]) == ("Mia of Acme MSP", "active")
    assert acme.people["tom"].call("POST", f"/sessions/{session}/commands", json={"line": "id"}).status_code == 403
    acme.people["mia"].post(f"/sessions/{session}/commands", {"line": "id"})
    acme.people["mia"].post(f"/sessions/{session}/complete", {"resolution": "workaround", "notes": "Restarted."})
    assert _queue(acme, "mia") == [], "finishing the session closes the assignment"


def test_handing_on_a_session_takes_the_assignment_along(acme: Company) -> None:
    """Whoever has the session has the device in the queue; a technician may hand on their own, not another's."""
    made = _assign(acme, ["D3"], ["tom"])[0]
    session = acme.active("D3")
    path, mia = f"/sessions/{session}/reassign", str(acme.members["mia"])
    assert acme.people["mia"].call("POST", path, json={"technician": mia}).status_code == 403
    acme.people["tom"].post(path, {"technician": mia, "reason": "My shift ends"})
    assert _queue(acme, "mia") == ["D3"]
    assert acme.people["mia"].get("/queue")["mine"][0]["id"] == made["id"]
    assert [one["id"] for one in acme.people["mia"].get("/queue")["sessions"]] == [session]
    assert acme.people["tom"].call("POST", path, json={"technician": mia}).status_code == 403
    again = acme.people["dispatcher"].call("POST", path, json={"technician": mia})
    assert again.status_code == 409
    assert "has this session already" in again.json()["detail"]
    acme.people["mia"].post(f"/sessions/{session}/complete", {"resolution": "escalated", "notes": "To the vendor."})


def test_closed(acme: Company) -> None:
    """By a dispatcher, or by whose it is; then it is nowhere, and closing or handing it on again finds nothing."""
    one, two = _assign(acme, ["D4", "D5"], ["tom"])
    assert _close(acme, one["id"], "mia") == 403
    assert _close(acme, one["id"], "tom", reason="done by phone") == 200
    assert _close(acme, two["id"]) == 200
    assert _close(acme, two["id"]) == 404
    handed = acme.people["dispatcher"].call(
        "POST", f"/assignments/{two['id']}/reassign", json={"technician": str(acme.members["mia"])}
    )
    assert handed.status_code == 404
    assert _queue(acme, "tom") == []
    assert ": done by phone" in acme.browser("admin").get("/t/acme-msp/audit").text


def _told(company: Company, who: str, words: str) -> str:
    """Wait for a notice; returns the page with it."""

    def look() -> str:
        text = company.browser(who).get(f"/t/{company.slug}/notices").text
        return text if words in text else ""

    return until(look, f"the notice “{words}”")


def test_each_is_told_with_a_link(companies: Companies, acme: Company) -> None:
    """A notice names the device and who gave it, leads to a page that the reader may open, and is only theirs."""
    browser = acme.browser("tom")
    browser.post("/t/acme-msp/notices/read")
    _assign(acme, ["D6"], ["tom"], priority="urgent", reason="The printer smokes")
    page = _told(acme, "tom", "smokes")
    assert "D6 is assigned to you" in page
    assert "Dispatcher of Acme MSP: The printer smokes" in page
    found = re.search(r'href="(/t/acme-msp/devices/[0-9a-f-]+)" data-read="([0-9a-f-]+)">D6 is assigned', page)
    assert found is not None
    link, notice = found.groups()
    assert browser.get(link).status_code == 200
    assert str(acme.raw["D6"].id) in link
    assert 'data-unread="1"' in page
    assert acme.browser("mia").post("/t/acme-msp/notices/read", notice=notice).status_code == 404
    assert 'data-unread="1"' in browser.get("/t/acme-msp/notices").text
    for _ in range(2):  # read twice: said once more, changed once
        assert browser.post("/t/acme-msp/notices/read", notice=notice).status_code == 200
    assert 'data-unread="0"' in browser.get("/t/acme-msp/notices").text
    assert "smokes" not in acme.browser("mia").get("/t/acme-msp/notices").text
    session = acme.active("D6")
    acme.people["dispatcher"].post(f"/sessions/{session}/reassign", {"technician": str(acme.members["mia"])})
    mine = acme.browser("mia")
    page = _told(acme, "mia", "The session on D6 is yours")
    assert f'href="/t/acme-msp/sessions/{session}"' in page
    assert mine.get(f"/t/acme-msp/sessions/{session}").status_code == 200
