"""The page *Plugins* in a real browser: fill a form, try it, enable; by keyboard, without scripts, in each look."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from companies import Companies, two_companies
from looks import LOOKS, look_at
from mail_plugin import installed
from playwright.sync_api import Page, expect

Person = Callable[..., Page]


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """Two companies at a server with the test's plugins."""
    with installed(tmp_path_factory.mktemp("site")), two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
        yield made


def signed_in(companies: Companies, who: str) -> Any:
    """Return the cookie of somebody of the first company."""
    found = companies.acme.browser(who).client.cookies
    return next({"name": name, "value": found[name]} for name in found if name.startswith("caisey.") or name == "caisey")


@pytest.fixture
def admin(companies: Companies, person: Person) -> Callable[..., Page]:
    """Open a page of plugins as the first company's admin."""
    cookie = signed_in(companies, "admin")

    def open_page(path: str = "plugins/smtp", **options: Any) -> Page:
        page = person(f"{companies.url}/verify", **options)
        page.context.add_cookies([{**cookie, "url": companies.url}])
        page.goto(f"{companies.url}/t/acme-msp/{path}")
        return page

    return open_page


def stored(companies: Companies) -> Any:
    return companies.acme.people["admin"].get("/plugins/smtp")


def test_fill_try_enable_change_disable(companies: Companies, admin: Callable[..., Page]) -> None:
    """What is wrong is said beside its field, a try says what the plugin said, and what is saved works at once."""
    page = admin("plugins")
    page.get_by_role("link", name="Mail", exact=True).click()
    page.get_by_label("Port", exact=True).fill("99999")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator('[data-complaint="server"]')).to_have_text("Fill this in.")
    expect(page.locator('[data-complaint="port"]')).to_have_text("Enter a whole number from 1 to 65535.")
    expect(page.get_by_label("Mail server")).to_be_focused()
    expect(page.get_by_label("Port", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Mail server").fill("mail.example.com")
    page.get_by_label("Token", exact=True).fill("tok-browser-1")
    page.get_by_label("Port", exact=True).fill("2525")
    page.get_by_label("friday").check()
    page.get_by_label("Use it").check()
    page.get_by_label("Proxy host").fill("proxy.example.com")
    page.get_by_role("button", name="Add to “Accounts”").click()
    expect(page.locator('[name="accounts.n0.user"]')).to_be_focused()
    page.keyboard.type("ada")
    page.locator('[name="accounts.n0.password"]').fill("pw-browser-ada")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_have_text("mail.example.com took the token.")
    assert stored(companies)["version"] == 0
    page.get_by_role("button", name="Save and enable").click()
    expect(page.locator("#toasts")).to_contain_text("Mail is enabled.")
    expect(page.get_by_label("Token", exact=True)).to_have_value("")
    now = stored(companies)
    assert now["plugin"]["enabled"]
    assert (now["settings"]["port"], now["settings"]["days"]) == (2525, ["friday"])
    assert now["settings"]["proxy"] == {"host": "proxy.example.com", "port": 3128}
    assert [one["user"] for one in now["settings"]["accounts"]] == ["ada"]
    page.get_by_role("button", name="Remove Accounts 1").click()
    page.get_by_label("Port", exact=True).fill("26")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.locator("#toasts")).to_contain_text("Saved.")
    assert (stored(companies)["settings"]["port"], stored(companies)["settings"]["accounts"]) == (26, [])
    page.get_by_role("button", name="Make this one the first").click()
    expect(page.locator("#toasts")).to_contain_text("comes first now")
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#toasts")).to_contain_text("is disabled")
    assert not stored(companies)["plugin"]["enabled"]


def test_what_could_not_be_asked_may_be_saved_untried(companies: Companies, admin: Callable[..., Page]) -> None:
    """The button for that comes only then; settings that the plugin calls wrong have none."""
    page = admin()
    untried = page.get_by_role("button", name="Enable untried")
    page.get_by_label("Mail server").fill("mail.example.com")
    page.get_by_label("Token", exact=True).fill("tok-browser-2")
    page.get_by_label("What the server does").select_option("wrong")
    page.get_by_role("button", name="Save and enable").click()
    expect(page.locator("#refused")).to_contain_text("does not take the token …")
    expect(untried).to_be_hidden()
    page.get_by_label("What the server does").select_option("away")
    page.get_by_role("button", name="Save and enable").click()
    expect(page.locator("#refused")).to_contain_text("could not be tried")
    untried.click()
    expect(page.locator("#toasts")).to_contain_text("Mail is enabled.")
    assert stored(companies)["settings"]["answers"] == "away"


def test_two_admins_at_once(companies: Companies, admin: Callable[..., Page]) -> None:
    """The second is told, keeps what was typed, and changes nothing."""
    first, second = admin(), admin()
    for page, port in ((first, "31"), (second, "32")):
        page.get_by_label("What the server does").select_option("works")
        page.get_by_label("Mail server").fill("mail.example.com")
        page.get_by_label("Token", exact=True).fill("tok-browser-3")
        page.get_by_label("Port", exact=True).fill(port)
    for page, words in ((first, "#toasts"), (second, "#refused")):
        page.locator("form.settings .btn.primary").click()
        expect(page.locator(words)).not_to_be_empty()
    expect(second.locator("#refused")).to_contain_text("Somebody else changed this plugin")
    expect(second.get_by_label("Port", exact=True)).to_have_value("32")
    assert stored(companies)["settings"]["port"] == 31


def test_without_scripts(companies: Companies, admin: Callable[..., Page]) -> None:
    """The same form, rows too, by submit buttons alone; what was typed is shown again, secrets are not."""
    page = admin(java_script_enabled=False)
    page.get_by_label("What the server does").select_option("works")
    page.get_by_label("Mail server").fill("plain.example.com")
    page.get_by_label("Token", exact=True).fill("tok-browser-4")
    page.get_by_role("button", name="Add to “Accounts”").click()
    expect(page.get_by_label("Mail server")).to_have_value("plain.example.com")
    expect(page.get_by_label("Token", exact=True)).to_have_value("")
    assert "tok-browser-4" not in page.content()
    page.locator('[name="accounts.n0.user"]').fill("x")
    page.locator("form.settings .btn.primary").click()
    expect(page.locator('[data-complaint="accounts.n0.user"]')).to_contain_text("Enter 2 to 40 characters.")
    page.locator('[name="accounts.n0.user"]').fill("bob")
    page.locator('[name="accounts.n0.password"]').fill("pw-browser-bob")
    page.get_by_label("Token", exact=True).fill("tok-browser-5")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_contain_text("plain.example.com took the token.")
    page.locator('[name="accounts.n0.password"]').fill("pw-browser-bob")
    page.get_by_label("Token", exact=True).fill("tok-browser-5")
    page.locator("form.settings .btn.primary").click()
    expect(page.locator('[name="accounts.0.user"]')).to_have_value("bob")
    assert stored(companies)["settings"]["server"] == "plain.example.com"


def test_by_keyboard(companies: Companies, admin: Callable[..., Page]) -> None:
    """From the list by arrow and Enter to a plugin; in a field, Enter saves."""
    settings = {"server": "mail.example.com", "token": "tok-browser-6"}
    body = {"settings": settings, "version": stored(companies)["version"], "enable": True}
    companies.acme.people["admin"].post("/plugins/smtp/settings", body)
    page = admin("plugins")
    for _ in range(page.locator("[data-item]").count()):
        page.keyboard.press("ArrowDown")
        if page.locator(".marked").filter(has_text="smtp").count():
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/plugins/smtp")
    page.get_by_label("Port", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("77")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Saved.")
    assert stored(companies)["settings"]["port"] == 77


@pytest.mark.parametrize("look", LOOKS)
def test_looks(companies: Companies, admin: Callable[..., Page], look: str) -> None:
    """No page of plugins has an accessibility violation or is too wide: list, form, complaints, broken, nothing to set."""
    page = admin("plugins", **LOOKS[look])
    look_at(page, "plugins-list", look)
    for name in ("smtp", "broken", "bash"):
        page.goto(f"{companies.url}/t/acme-msp/plugins/{name}")
        look_at(page, f"plugin-{name}", look)
    page.goto(f"{companies.url}/t/acme-msp/plugins/smtp")
    page.get_by_label("Mail server").fill("")
    page.get_by_role("button", name="Add to “Accounts”").click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#refused")).to_be_visible()
    look_at(page, "plugin-wrong", look)


def test_auditors_see_and_change_nothing(companies: Companies, person: Person) -> None:
    """The form is there, locked, without buttons."""
    cookie = signed_in(companies, "auditor")
    page = person(f"{companies.url}/verify")
    page.context.add_cookies([{**cookie, "url": companies.url}])
    page.goto(f"{companies.url}/t/acme-msp/plugins/smtp")
    expect(page.get_by_label("Mail server")).to_be_disabled()
    assert page.locator("main button").count() == 0
