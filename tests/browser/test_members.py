"""The page Members as an admin works with it: invite, sign in again on the way, change, deactivate, by keyboard where it matters."""

import re
import sqlite3
from collections.abc import Callable

from companies import Companies
from playwright.sync_api import Page, expect

PASSWORD = "a long enough sentence"


def test_an_invitation_that_waits_for_another_sign_in(companies: Companies, person: Callable[..., Page]) -> None:
    """What was typed stays while the admin proves in a new tab who they are; then the same button makes the link."""
    acme = companies.acme
    acme.browser("admin").post("/t/acme-msp/account/password", password=PASSWORD, again=PASSWORD)
    page = person(f"{companies.url}/t/acme-msp/sign-in?to=/t/acme-msp/members")
    page.get_by_label("E-mail address").fill("admin@acme-msp.example")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{companies.url}/t/acme-msp/members")
    with sqlite3.connect(companies.server.data / "catalogue.db", timeout=10) as catalogue:
        catalogue.execute("UPDATE browser_session SET proved_at = 0")
    page.get_by_label("Name", exact=True).fill("Nora Lund")
    page.get_by_label("E-mail address").fill("nora@acme.example")
    page.get_by_label("These only").check()
    page.get_by_label("Northwind of Acme MSP").check()
    page.get_by_role("button", name="Make the link").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again in a new tab").click()
    again = opened.value
    expect(again.get_by_label("E-mail address")).to_have_value("admin@acme-msp.example")
    again.get_by_role("textbox", name="Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    expect(again).to_have_url(f"{companies.url}/t/acme-msp/account")
    again.close()
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator("#made-link")).to_have_text(re.compile(r"http\S+/sign-in/cai_\S+"))
    row = page.get_by_role("row", name="Nora Lund")
    expect(row).to_contain_text("Northwind of Acme MSP")

    row.get_by_role("link", name="Change Nora Lund").press("Enter")
    page.get_by_label("Role").select_option(label="Dispatcher")
    page.get_by_label("All clients, also those to come").check()
    expect(page.get_by_label("Northwind of Acme MSP")).to_be_hidden()
    page.get_by_role("button", name="Save").press("Enter")
    expect(row).to_contain_text("Dispatcher")
    expect(row).to_contain_text("All")
    row.get_by_role("link", name="Nora Lund", exact=True).click()
    page.get_by_role("button", name="Deactivate").press("Enter")
    dialog = page.get_by_role("dialog", name="Deactivate Nora Lund")
    dialog.get_by_role("button", name="Deactivate").press("Enter")
    expect(row).to_contain_text("Deactivated")
    expect(page.get_by_text("what kept this person signed in has ended")).to_be_visible()
    row.get_by_role("link", name="Nora Lund", exact=True).click()
    page.get_by_role("button", name="Let in again").press("Enter")
    expect(row).to_contain_text("Dispatcher")
