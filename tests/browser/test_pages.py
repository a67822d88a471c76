"""Every page, light and dark and on a phone: axe finds nothing, nothing is wider than the screen. Pictures on request.

`CAISEY_IMAGES=docs/images pytest tests/browser/test_pages.py` takes the pictures of the documentation anew.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from doors import Caisey, until
from looks import LOOKS, look_at
from playwright.sync_api import Page

Person = Callable[..., Page]


@pytest.fixture(scope="module")
def busy(caisey: Caisey) -> Caisey:
    """A demonstration in which something goes on: assignments, a finished session, an active one, one that waits."""
    dana, tom = caisey.people["dispatcher"], caisey.people["tom"]
    technicians = {choice["name"]: choice["id"] for choice in dana.get("/devices")["technicians"]}
    done = caisey.active("PP-OFFICE")
    caisey.run(done, "df -h /")
    caisey.run(done, "ls /nonexistent")
    caisey.finish(done)
    for name, priority in (("HD-FRONTDESK", "urgent"), ("NW-WAREHOUSE-1", "normal")):
        order = {
            "devices": [caisey.devices[name].id],
            "technicians": [technicians["Tom Brandt"]],
            "reason": "The label printer is silent",
        }
        dana.post("/assignments", {**order, "priority": priority})
    active = caisey.active("HD-FRONTDESK")
    caisey.run(active, "uname -a; uptime")
    waiting = tom.post(f"/devices/{caisey.devices['HD-XRAY'].id}/sessions", {"reason": "The X-ray viewer does not start"})["id"]
    caisey.devices["HD-XRAY"].asked()
    caisey.state(waiting, "pending consent")
    caisey.done, caisey.session = done, active  # type: ignore[attr-defined]
    caisey.tom = technicians["Tom Brandt"]  # type: ignore[attr-defined]
    return caisey


def pages(busy: Caisey) -> dict[str, tuple[str, str]]:
    """Return each page's name with who looks at it and where."""
    base, device = "/t/brightwater-it", busy.devices["HD-FRONTDESK"].id
    done, active = busy.done, busy.session  # type: ignore[attr-defined]
    return {
        "devices": ("dispatcher", f"{base}/"),
        "device": ("dispatcher", f"{base}/devices/{device}"),
        "sessions": ("dispatcher", f"{base}/sessions"),
        "review": ("dispatcher", f"{base}/sessions/{done}/review"),
        "queue": ("tom", f"{base}/queue"),
        "session": ("tom", f"{base}/sessions/{active}"),
        "clients": ("admin", f"{base}/clients"),
        "enrolment": ("admin", f"{base}/enrolment"),
        "members": ("admin", f"{base}/members"),
        "member": ("admin", f"{base}/members/{busy.tom}"),  # type: ignore[attr-defined]
        "plugins": ("admin", f"{base}/plugins"),
        "audit": ("auditor", f"{base}/audit"),
        "keys": ("admin", f"{base}/keys"),
        "tokens": ("admin", f"{base}/tokens"),
        "retention": ("admin", f"{base}/retention"),
        "search": ("dispatcher", f"{base}/search?q=linux"),
        "account": ("tom", f"{base}/account"),
        "notices": ("tom", f"{base}/notices"),
        "nothing": ("tom", f"{base}/devices/00000000-0000-4000-8000-000000000000"),
    }


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_members(busy: Caisey, person: Person, look: str) -> None:
    """No page of a member has an accessibility violation, in either colour scheme or on a phone."""
    opened: dict[str, Page] = {}
    for name, (who, address) in pages(busy).items():
        page = opened.get(who) or person(busy.people[who].sign_in, **LOOKS[look])
        opened[who] = page
        answer = page.goto(busy.url + address)
        assert answer is not None
        assert answer.status == (404 if name == "nothing" else 200), f"{name} is another page"
        if name == "session":
            page.locator("#truth-line").get_by_text("Active until").wait_for()
        look_at(page, name, look)


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_everybody_else(busy: Caisey, person: Person, look: str) -> None:
    """Sign-in, and the consent page with a question, at work and without either."""
    page = person(f"{busy.url}/t/brightwater-it/sign-in", **LOOKS[look])
    look_at(page, "sign-in", look)
    page.get_by_role("link", name="Another company").click()
    page.wait_for_url("**/t/brightwater-it/sign-in")  # there is but one, and nobody is signed in
    page.goto(f"{busy.url}/company?name=nobody")
    look_at(page, "company", look)
    page.goto(f"{busy.url}/verify")
    look_at(page, "verify", look)
    page.goto(f"{busy.url}/api/v1/docs#assignDevices")
    page.locator("#assignDevices > summary").click()
    page.locator("#assignDevices pre").first.wait_for()
    look_at(page, "api", look)
    for name, device in (("consent", "HD-XRAY"), ("consent-active", "HD-FRONTDESK"), ("consent-idle", "NW-WAREHOUSE-1")):
        page.goto(busy.devices[device].consent_page)
        assert page.locator('form[action="answer"]').count() == (name == "consent")
        assert page.locator('form[action="stop"]').count() == (name == "consent-active")
        look_at(page, name, look)


def test_enrolment_of_this_machine(busy: Caisey, person: Person, tmp_path: Path) -> None:
    """The command that the page shows enrols a further device; a rotated installer stops at once."""
    import re
    import subprocess
    import sys

    page = person(busy.people["admin"].sign_in)
    page.goto(f"{busy.url}/t/brightwater-it/enrolment")
    page.locator("form select[name=client]").select_option(label="Harbor Dental")
    page.get_by_role("button", name="Make").first.click()
    shown = until(lambda: re.search(r"enrol (http\S+) --token (\S+)", page.inner_text("main")), "the command")
    command = [sys.executable, "-m", "caisey_agent.cli", "enrol", shown[1], "--token", shown[2], "--home"]
    first = subprocess.run([*command, str(tmp_path / "a"), "--name", "SPARE-1"], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "Harbor Dental" in first.stdout
    admin = busy.people["admin"]
    assert any(row["name"] == "SPARE-1" for group in admin.get("/devices")["groups"] for row in group["rows"])
    for installer in admin.get("/installers")["items"]:
        if installer["state"] == "valid":
            admin.post(f"/installers/{installer['id']}/rotate")
    second = subprocess.run([*command, str(tmp_path / "b")], capture_output=True, text=True)
    assert second.returncode == 3
    assert "not valid" in second.stderr
