"""The whole job as its users do it: three browsers, real agents, real bash."""

from collections.abc import Callable
from pathlib import Path

from doors import Caisey
from playwright.sync_api import Page, expect

Person = Callable[..., Page]


def type_in_terminal(page: Page, text: str) -> None:
    """Type as a person does."""
    page.locator("#terminal .xterm-helper-textarea").focus()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_assign_notify_ask_consent_work_reassign_finish_review(caisey: Caisey, person: Person, tmp_path: Path) -> None:
    """A dispatcher, two technicians and the person at the device do the whole job, and the review verifies it."""
    device = caisey.devices["HD-FRONTDESK"]
    dana = person(caisey.people["dispatcher"].sign_in)
    tom = person(caisey.people["tom"].sign_in)
    expect(tom).to_have_title("Queue · Caisey")
    anna = person(device.consent_page)
    expect(anna.get_by_role("heading", level=1)).to_have_text("Nobody asks for anything now.")

    # the dispatcher assigns; the technician hears of it in the page
    dana.get_by_label("Select HD-FRONTDESK").check()
    dana.get_by_role("button", name="Assign…").click()
    dialog = dana.get_by_role("dialog")
    dialog.get_by_label("Tom Brandt").check()
    dialog.get_by_label("Urgent").check()
    dialog.get_by_label("Reason").fill("The label printer is silent")
    dialog.get_by_role("button", name="Assign").click()
    toast = tom.locator("#toasts").get_by_text("HD-FRONTDESK is assigned to you")
    expect(toast).to_be_visible(timeout=2_000)
    expect(tom.get_by_text("The label printer is silent").first).to_be_visible()

    # the technician asks
    tom.locator("#toasts").get_by_role("link").first.click()
    expect(tom.get_by_role("heading", name="HD-FRONTDESK")).to_be_visible()
    tom.get_by_role("button", name="Ask for a session").click()
    dialog = tom.get_by_role("dialog")
    dialog.get_by_label("Why").fill("I want to see why the label printer is silent")
    dialog.get_by_label("files").check()
    dialog.get_by_role("button", name="Ask").click()
    expect(tom.locator("#truth-line")).to_contain_text("Waiting for")

    # the dispatcher nudges; the person sees the message and agrees
    dana.goto(f"{caisey.url}/t/brightwater-it/sessions")
    dana.get_by_role("button", name="Nudge").click()
    dialog = dana.get_by_role("dialog")
    dialog.get_by_label("Message").fill("Tom is waiting for you")
    dialog.get_by_role("button", name="Show").click()
    expect(anna.get_by_text("Tom is waiting for you")).to_be_visible()
    expect(anna.get_by_text("I want to see why the label printer is silent")).to_be_visible()
    anna.get_by_role("button", name="Approve").click()
    expect(anna.get_by_role("heading", name="Tom Brandt is working on this device")).to_be_visible()
    expect(tom.locator("#truth-line")).to_contain_text("Active until")

    # terminal and command box are the same shell
    terminal = tom.locator("#terminal .xterm-rows")
    type_in_terminal(tom, "cd /usr/share && export WHAT=kept")
    type_in_terminal(tom, "echo in-$WHAT-$((6*7))")
    expect(terminal).to_contain_text("in-kept-42")
    tom.get_by_label("Command", exact=True).fill("echo $WHAT; pwd")
    tom.keyboard.press("Enter")
    card = tom.locator("#commands li").first
    expect(card).to_contain_text("kept")
    expect(card).to_contain_text("/usr/share")
    type_in_terminal(tom, "seq 200 | less")
    expect(terminal).to_contain_text("20")
    tom.keyboard.press("q")
    type_in_terminal(tom, "sleep 100")
    expect(anna.get_by_text("The terminal is open.")).to_be_visible()
    tom.keyboard.press("Control+c")
    type_in_terminal(tom, "echo after-$?")
    expect(terminal).to_contain_text("after-130")

    # files
    sent = tmp_path / "note.txt"
    sent.write_text("from the technician")
    target = tmp_path / "arrived.txt"
    tom.locator("#upload input[type=file]").set_input_files(sent)
    tom.locator("#upload input[name=path]").fill(str(target))
    tom.get_by_role("button", name="Send").click()
    expect(tom.locator("#transfers li").first).to_contain_text("arrived.txt")
    expect(tom.locator("#transfers li").first).to_contain_text("SHA-256")
    assert target.read_text() == "from the technician"

    # the dispatcher hands over in mid-session; the second technician has live shell and full history
    mia = person(caisey.people["mia"].sign_in)
    dana.goto(f"{caisey.url}/t/brightwater-it/sessions")
    dana.get_by_role("button", name="Hand over").first.click()
    dialog = dana.get_by_role("dialog")
    dialog.locator("select[name=technician]").select_option(label="Mia Torres")
    dialog.get_by_label("Reason").fill("Tom is off now")
    dialog.locator("button[type=submit]").click()
    expect(mia.locator("#toasts").get_by_text("The session on HD-FRONTDESK is yours")).to_be_visible(timeout=3_000)
    mia.locator("#toasts").get_by_role("link").first.click()
    expect(mia.locator("#terminal .xterm-rows")).to_contain_text("after-130")
    mia.get_by_label("Command", exact=True).fill("echo mia-$WHAT")
    mia.keyboard.press("Enter")
    expect(mia.locator("#commands li").filter(has_text="mia-kept").first).to_be_visible()
    expect(anna.get_by_role("heading", name="Mia Torres is working on this device")).to_be_visible()

    # finish; receipt; review with its verdict
    mia.get_by_role("button", name="Finish").click()
    dialog = mia.get_by_role("dialog")
    dialog.get_by_label("Fixed", exact=True).check()
    dialog.get_by_label("Notes").fill("The queue was stopped. Started it.")
    dialog.get_by_label("Checked").fill("A label came out.")
    dialog.get_by_role("button", name="Finish").click()
    expect(mia.get_by_text("The queue was stopped. Started it.").first).to_be_visible()
    expect(anna.get_by_role("heading", name="Receipt")).to_be_visible()
    dana.goto(mia.url)
    expect(dana.get_by_text("Verified:").first).to_be_visible()
    dana.get_by_label("Search in this session").fill("mia-$WHAT")
    expect(dana.locator("#entries").get_by_text("echo mia-$WHAT").first).to_be_visible()
    assert caisey.verify().returncode == 0
