"""From the review to a link that a stranger reads, and its end: in a real browser, by mouse and keyboard."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from doors import Caisey
from playwright.sync_api import Page, expect

from caisey_core.services.sharing import FREE

Person = Callable[..., Page]
SECRET = "Hunter22-secret"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


@pytest.fixture(scope="module")
def session(caisey: Caisey) -> str:
    """A finished session with a password in a command and its output, an address, a mail address."""
    made = caisey.active("HD-FRONTDESK")
    caisey.run(made, f"echo DB_PASSWORD={SECRET}; echo 192.168.7.44; echo mail to anna.berg@harbordental.example")
    caisey.run(made, "printf 'alpha line\\nbeta line\\ngamma line\\n'")
    caisey.finish(made)
    return made


def reviewing(caisey: Caisey, person: Person, session: str, who: str = "dispatcher", **look: Any) -> Page:
    """Go from the review of a session to the editor of a new transcript."""
    page = person(caisey.people[who].sign_in, **look)
    page.goto(f"{caisey.url}/t/brightwater-it/sessions/{session}/review")
    page.get_by_role("button", name="Make a transcript").click()
    page.wait_for_url("**/transcripts/*")
    return page


def withhold_marks(page: Page) -> None:
    """Withhold all that is marked, kind by kind."""
    buttons = page.locator(".kinds li:not([hidden]) [data-all=withhold]:not([hidden])")
    while buttons.count():
        buttons.first.click()
    expect(page.locator("#saved")).not_to_have_text(re.compile("Not saved|Saving"))


def saved(page: Page) -> None:
    """Wait until the editor says so."""
    expect(page.locator("#saved")).to_have_text("Saved")


def publish(page: Page, **fields: str) -> str:
    """Publish and return the link."""
    page.get_by_role("button", name="Publish").first.click()
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(re.compile(label)).fill(value)
    dialog.get_by_label(re.compile("I have looked at all")).check()
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog.get_by_role("heading", name="The link")).to_be_visible()
    return dialog.locator("[data-link-text]").inner_text()


def line(page: Page, text: str) -> Any:
    """Return the line of the editor that is exactly this."""
    return page.locator("#lines > li").filter(has=page.locator(".t", has_text=re.compile(f"^{re.escape(text)}$")))


def test_from_the_review_to_a_reader(caisey: Caisey, person: Person, session: str) -> None:
    """Under a minute for the dispatcher; the stranger reads what stays, without an account, and nothing from elsewhere."""
    began = monotonic()
    dana = reviewing(caisey, person, session)
    withhold_marks(dana)
    expect(dana.locator("#no-marks")).to_be_visible()
    link = publish(dana)
    dana.get_by_role("button", name="Copy").click()
    assert monotonic() - began < 60
    stranger = person("about:blank")
    asked: list[str] = []
    stranger.on("request", lambda request: asked.append(request.url))
    stranger.goto(link)
    expect(stranger.get_by_text("echo DB_PASSWORD=[withheld]")).to_be_visible()
    expect(stranger.get_by_text("beta line").first).to_be_visible()
    expect(stranger.locator(".head")).to_contain_text("withheld")
    assert SECRET not in stranger.content()
    stranger.locator("#play").click()
    screen = stranger.locator("#screen .ap-term")
    expect(screen).to_contain_text("DB_PASSWORD=[withheld]")
    expect(screen).to_contain_text("beta line")
    assert all(url.startswith(caisey.url) for url in asked), asked
    stranger.get_by_text("The proof", exact=True).click()
    with stranger.expect_download() as bundle:
        stranger.get_by_role("link", name="Download the bundle").click()
    checking = person(f"{caisey.url}/verify")
    checking.set_input_files("#file", bundle.value.path())
    expect(checking.locator("#verdict")).to_contain_text("Verified")
    expect(checking.locator("#events")).not_to_contain_text(SECRET)


def test_revoked_while_it_is_open(caisey: Caisey, person: Person, session: str) -> None:
    """An open page is emptied at once and says why; the next request finds what never was."""
    dana = reviewing(caisey, person, session)
    withhold_marks(dana)
    link = publish(dana)
    stranger = person("about:blank")
    with stranger.expect_response(lambda answer: answer.url.endswith("/events")):  # the page listens
        stranger.goto(link)
    expect(stranger.get_by_text("beta line").first).to_be_visible()
    dana.get_by_role("link", name="All shares").click()
    row = dana.locator("table.shares tbody tr").first
    row.get_by_role("button", name="Revoke").click()
    dana.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(stranger.get_by_text("This link has ended.")).to_be_visible()
    assert "beta line" not in stranger.content()
    answer = stranger.goto(link)
    assert answer is not None
    assert answer.status == 404
    expect(stranger.get_by_role("heading", name="There is nothing at this address.")).to_be_visible()
    expect(row).to_contain_text("Revoked")


def test_guessing_a_passcode(caisey: Caisey, person: Person, session: str) -> None:
    """Wrong ones are told, then slowed; the right one opens; a new link without it ends the old page."""
    dana = reviewing(caisey, person, session)
    withhold_marks(dana)
    link = publish(dana, Passcode="correct horse battery")
    stranger = person(link)
    field = stranger.get_by_label("Passcode")
    assert "beta line" not in stranger.content()
    for number in range(FREE):
        field.fill(f"wrong guess {number}")
        stranger.keyboard.press("Enter")
        expect(stranger.get_by_role("alert")).to_contain_text("This is not the passcode")
    field.fill("wrong again")
    stranger.keyboard.press("Enter")
    expect(stranger.get_by_role("alert")).to_contain_text("too many wrong passcodes")
    stranger.wait_for_timeout(1100)  # the pause after the first five is a second
    field.fill("correct horse battery")
    stranger.keyboard.press("Enter")
    expect(stranger.get_by_text("beta line").first).to_be_visible()
    dana.get_by_role("link", name="All shares").click()
    row = dana.locator("table.shares tbody tr").first
    expect(row).to_contain_text("passcode")
    row.get_by_role("button", name="New link").click()
    dialog = dana.get_by_role("dialog")
    dialog.get_by_role("button", name="Make the link").click()
    fresh = dialog.locator("[data-link-text]")
    expect(fresh).to_contain_text("/share/")
    expect(stranger.get_by_text("This link has ended.")).to_be_visible()
    stranger.goto(fresh.inner_text())
    expect(stranger.get_by_text("beta line").first).to_be_visible()


def test_keyboard(caisey: Caisey, person: Person, session: str) -> None:
    """Lines are walked, withheld, shown again, rewritten; marks are decided one by one; a selected part is withheld."""
    page = reviewing(caisey, person, session)
    line(page, "beta line").locator(".t").click()
    page.keyboard.press("w")
    beta = page.locator("#lines > li.cut")
    expect(beta).to_have_count(1)
    page.keyboard.press("w")
    expect(beta).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("e")
    page.keyboard.type("what I say instead")
    page.keyboard.press("Escape")
    expect(page.locator("#lines .as")).to_have_text("what I say instead")
    before = page.locator("#counts").inner_text()
    page.keyboard.press("n")
    page.keyboard.press("y")
    page.keyboard.press("k")
    expect(page.locator("#counts")).not_to_have_text(before)
    row = line(page, "alpha line")
    row.locator(".t").evaluate(
        "(place) => { const text = place.firstChild, range = document.createRange(); range.setStart(text, 0); range.setEnd(text, 5);"
        " getSelection().removeAllRanges(); getSelection().addRange(range) }"
    )
    page.keyboard.press("s")
    expect(row.locator(".as")).to_have_text("[withheld] line")
    saved(page)
    page.reload()
    expect(line(page, "alpha line").locator(".as")).to_have_text("[withheld] line")


def test_two_reviewers(caisey: Caisey, person: Person, session: str) -> None:
    """The second save is refused in words with what changed; both decisions are there after putting them together."""
    dana = reviewing(caisey, person, session)
    sam = person(caisey.people["senior technician"].sign_in)
    sam.goto(dana.url)
    line(dana, "alpha line").get_by_role("checkbox").check()
    saved(dana)
    line(sam, "gamma line").get_by_role("checkbox").check()
    told = sam.locator("#stale")
    expect(told).to_contain_text("saved this transcript meanwhile")
    expect(told).to_contain_text("withheld: alpha line")
    expect(sam.locator("#lines > li.cut")).to_contain_text(["gamma line"])
    told.get_by_role("button", name="Put both together").click()
    saved(sam)
    expect(sam.locator("#lines > li.cut")).to_have_count(2)
    sam.reload()
    expect(sam.locator("#lines > li.cut")).to_have_count(2)


def test_what_still_stands_elsewhere(caisey: Caisey, person: Person, session: str) -> None:
    """The reason stands in the question to the device too: said plainly, and withheld there by one press."""
    page = reviewing(caisey, person, session)
    page.locator("#lines > li", has_text="The printer does not print").first.get_by_role("checkbox").check()
    leaks = page.locator("#leaks")
    expect(leaks).to_contain_text("In a line: “The printer does not print”")
    leaks.get_by_role("button", name="Withhold all of these").click()
    saved(page)
    expect(leaks).to_be_hidden()
    expect(page.locator("#lines > li.cut")).to_have_count(2)


def test_hand_off(caisey: Caisey, person: Person) -> None:
    """A senior technician opens the link, takes the running session over, and types in its shell with the history above."""
    running = caisey.active("PP-OFFICE")
    caisey.run(running, "echo before-$((6*7))")
    dana = reviewing(caisey, person, running)
    withhold_marks(dana)
    for button in dana.locator(".kinds li:not([hidden]) [data-all=keep]").all():
        button.click()
    link = publish(dana)
    sam = person(caisey.people["senior technician"].sign_in)
    sam.goto(link)
    sam.get_by_role("button", name="Take over the session").click()
    sam.locator("#truth-line").get_by_text("Active until").wait_for()
    expect(sam.locator("#terminal .xterm-rows")).to_contain_text("before-42")
    sam.get_by_label("Command", exact=True).fill("echo sam-$((7*8))")
    sam.keyboard.press("Enter")
    expect(sam.locator("#commands li").filter(has_text="sam-56").first).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_looks(caisey: Caisey, person: Person, session: str, look: str) -> None:
    """Editor, its dialog, list, reader's page with the proof open, passcode and the end: axe finds nothing, nothing is too wide."""
    options = LOOKS[look]
    dana = reviewing(caisey, person, session, **options)
    good(dana, "editor", look)
    withhold_marks(dana)
    link = publish(dana, Passcode="correct horse battery")
    good(dana, "link", look)
    shares = dana.goto(f"{caisey.url}/t/brightwater-it/shares")
    assert shares is not None
    assert shares.ok
    good(dana, "shares", look)
    stranger = person(link, **options)
    good(stranger, "passcode", look)
    stranger.get_by_label("Passcode").fill("correct horse battery")
    stranger.keyboard.press("Enter")
    stranger.get_by_text("The proof", exact=True).click()
    good(stranger, "share", look)
    gone = stranger.goto(f"{caisey.url}/share/cai_nothing")
    assert gone is not None
    assert gone.status == 404
    good(stranger, "gone", look)


def good(page: Page, name: str, look: str) -> None:
    """Look at a page; take its picture if pictures are wanted."""
    page.wait_for_load_state("load")
    if folder := os.environ.get("CAISEY_IMAGES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}-{look}.png")
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} px wider than the screen"
