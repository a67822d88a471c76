"""API tokens in a browser: made, shown once, used, revoked; by keyboard alone where it matters."""

from collections.abc import Callable

import httpx2
from doors import TLS, Caisey
from playwright.sync_api import Page, expect

Person = Callable[..., Page]


def test_made_shown_once_used_and_revoked(caisey: Caisey, person: Person) -> None:
    """The token on the page opens the API; after a reload it is gone; after a click on Revoke it opens nothing."""
    page = person(caisey.people["admin"].sign_in)
    page.goto(f"{caisey.url}/t/brightwater-it/tokens")
    form = page.locator("form", has_text="New token of a service")
    form.get_by_label("Name of the service").fill("Monitoring")
    form.get_by_text("Only for some clients").click()
    form.get_by_label("Harbor Dental").check()
    form.get_by_label("Read the audit log and the plugins").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("reaches over all clients")
    form = page.locator("form", has_text="New token of a service")
    expect(form.get_by_label("Name of the service")).to_have_value("Monitoring")
    expect(form.get_by_label("Harbor Dental")).to_be_checked()
    form.get_by_label("Read the audit log and the plugins").uncheck()
    form.get_by_role("button", name="Make the service token").click()
    token = page.locator("#made-token").inner_text()
    base = f"{caisey.url}/api/v1/t/brightwater-it"
    headers = {"authorization": f"Bearer {token}"}
    me = httpx2.get(f"{base}/me", headers=headers, verify=TLS).json()
    assert me["name"] == "Monitoring (service)"
    assert len(me["clients"]) == 1
    page.goto(f"{caisey.url}/t/brightwater-it/tokens")
    assert token not in page.content()
    row = page.locator("tr", has_text="Monitoring")
    expect(row).to_contain_text("Harbor Dental")
    expect(row).to_contain_text("127.0.0.1")
    row.get_by_role("button", name="Revoke Monitoring").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.locator("tr", has_text="Monitoring")).to_contain_text("Revoked")
    assert httpx2.get(f"{base}/me", headers=headers, verify=TLS).status_code == 401


def test_the_reference_tells_what_is_there(caisey: Caisey, person: Person) -> None:
    """A page of its own, without scripts from elsewhere: from a subject to an operation with its examples."""
    asked: list[str] = []
    page = person("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{caisey.url}/api/v1/docs")
    page.get_by_role("navigation").get_by_role("link", name="Assignments").click()
    expect(page).to_have_url(f"{caisey.url}/api/v1/docs#Assignments")
    page.locator("#assignDevices > summary").click()
    expect(page.locator("#assignDevices")).to_contain_text("The printer does not print")
    expect(page.locator("#assignDevices")).to_contain_text("Idempotency-Key")
    assert all(url.startswith(caisey.url) for url in asked), asked
