"""What is asked for besides the password, in a real browser with a virtual authenticator: an app's codes, passkeys, recovery codes."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from doors import Server, caisey, until
from playwright.sync_api import Page, expect

Person = Callable[..., Page]
PASSWORD = "a lamp under the stairs"
MAIL = "ann@acme.example"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}


@dataclass
class Acme:
    """A company under the name localhost, for which browsers have passkeys."""

    server: Server
    url: str
    link: str


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Acme]:
    """A new installation whose admin has not signed in yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("CAISEY_PUBLIC_URL", f"http://localhost:{port}")
    data = tmp_path / "data"
    init = caisey("init", "--data", str(data), "--tenant", "Acme MSP", "--admin-name", "Ann", "--admin-email", MAIL)
    link = re.search(r"/sign-in/\S+", init.stdout)
    assert link is not None, init.stderr
    server = Server(data, port=port)
    server.start()
    yield Acme(server, f"http://localhost:{port}", f"http://localhost:{port}{link.group()}")
    assert server.stop() == 0


def keys_of(page: Page) -> None:
    """Give a browser a built-in authenticator that always recognises its person."""
    client = page.context.new_cdp_session(page)
    client.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    client.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def first(acme: Acme, person: Person, **look: Any) -> Page:
    """Sign the admin in by the link and choose a password."""
    page = person(acme.link, **look)
    page.get_by_role("button").first.click()
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("Your password is set")).to_be_visible()
    return page


def add_app(page: Page, title: str = "My phone") -> tuple[pyotp.TOTP, list[str]]:
    """Add an authenticator app; return it with the recovery codes that are shown."""
    page.get_by_role("button", name="Add an authenticator app").click()
    expect(page.locator(".qr svg")).to_be_visible()
    app = pyotp.TOTP(page.locator("p code").inner_text())
    page.get_by_label("Name for it").fill(title)
    page.get_by_label("Code that the app shows").fill("000000")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("not the code that the app shows")
    page.get_by_label("Code that the app shows").fill(app.now())
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Added")).to_be_visible()
    return app, page.locator(".codes li").all_inner_texts()


def sign_in(acme: Acme, person: Person, **look: Any) -> Page:
    """Give address and password in a browser of its own."""
    page = person(f"{acme.url}/t/acme-msp/sign-in", **look)
    page.get_by_label("E-mail address").fill(MAIL)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    return page


def code(page: Page, text: str) -> None:
    """Type a code into the second step."""
    page.get_by_label(re.compile("ecovery code")).fill(text)
    page.get_by_role("button", name="Continue").click()


def test_an_app_and_recovery_codes(acme: Acme, person: Person) -> None:
    """The password alone opens nothing any more; a code and a recovery code are good once; the audit log says what was added."""
    home = first(acme, person)
    app, codes = add_app(home)
    assert len(codes) == 10
    assert "recovery codes that are left" in home.content()
    page = sign_in(acme, person)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    code(page, "123456")
    expect(page.get_by_role("alert")).to_contain_text("not the code")
    page.goto(f"{acme.url}/t/acme-msp/")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    page = sign_in(acme, person)
    code(page, codes[3].upper())
    page.wait_for_url("**/t/acme-msp/")
    again = sign_in(acme, person)
    code(again, codes[3])
    expect(again.get_by_role("alert")).to_contain_text("not the code")
    page.goto(f"{acme.url}/t/acme-msp/audit")
    expect(page.get_by_text("Signs in with the authenticator app “My phone”")).to_be_visible()
    for path in acme.server.data.rglob("*"):
        if path.is_file():
            assert not any(one.encode() in path.read_bytes() for one in (*codes, app.secret)), path
    assert app.secret not in acme.server.log()


def test_a_code_is_good_once(acme: Acme, person: Person) -> None:
    """Who looked over a shoulder cannot use the code that was just used."""
    app, _ = add_app(first(acme, person))
    used = app.now()  # the setup used it up
    page = sign_in(acme, person)
    code(page, used)
    expect(page.get_by_role("alert")).to_contain_text("not the code")
    until(lambda: app.now() != used, "the next code", patience=35)
    code(page, app.now())
    page.wait_for_url("**/t/acme-msp/")


def test_a_passkey_alone(acme: Acme, person: Person) -> None:
    """A passkey signs in by itself, answers after the password too, is removed with the password, and then opens nothing."""
    page = first(acme, person)
    keys_of(page)
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_label("Name for it").fill("This laptop")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Added")).to_be_visible()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/t/acme-msp/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail address").fill(MAIL)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/t/acme-msp/")
    page.goto(f"{acme.url}/t/acme-msp/account")
    page.get_by_label("Remove This laptop").click()
    form = page.locator("details")
    form.get_by_label("Current password").fill("wrong password")
    form.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("alert")).to_contain_text("not your current password")
    form.get_by_label("Current password").fill(PASSWORD)
    form.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Removed")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("opens no account here")


@pytest.mark.parametrize("look", LOOKS)
def test_looks(acme: Acme, person: Person, look: str) -> None:
    """Account, setup, codes and second step: axe finds nothing, nothing is too wide."""
    options = LOOKS[look]
    page = first(acme, person, **options)
    good(page, "account", look)
    page.get_by_role("button", name="Add an authenticator app").click()
    good(page, "factor-app", look)
    page.get_by_role("link", name="Cancel").click()
    add_app(page)
    good(page, "factor-codes", look)
    page.get_by_role("button", name="Add a passkey").click()
    good(page, "factor-passkey", look)
    second = sign_in(acme, person, **options)
    expect(second.get_by_role("heading", name="One more step")).to_be_visible()
    good(second, "factor-second-step", look)


def good(page: Page, name: str, look: str) -> None:
    """Look at a page; take its picture if pictures are wanted."""
    page.wait_for_load_state("load")
    if folder := os.environ.get("CAISEY_IMAGES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}-{look}.png", full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} px wider than the screen"
