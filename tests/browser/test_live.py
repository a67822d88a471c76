"""What changes by itself, and a terminal as programs use it. The fixture fails a test for anything on a browser's console."""

from collections.abc import Callable

from doors import Caisey
from playwright.sync_api import Page, expect

Person = Callable[..., Page]


def type_in_terminal(page: Page, text: str) -> None:
    """Type as a person does."""
    page.locator("#terminal .xterm-helper-textarea").focus()
    page.keyboard.type(text)


def test_each_assignment_is_in_the_queue_once(caisey: Caisey, person: Person) -> None:
    """Two devices assigned in one go arrive as two items in an open queue, urgent ones on top, and undo takes them away."""
    dana, tom = person(caisey.people["dispatcher"].sign_in), person(caisey.people["tom"].sign_in)
    tom.get_by_text("Nothing waits for you").wait_for()
    for name in ("NW-WAREHOUSE-1", "PP-OFFICE"):
        dana.get_by_label(f"Select {name}").check()
    dana.get_by_role("button", name="Assign…").click()
    dialog = dana.get_by_role("dialog")
    dialog.get_by_label("Tom Brandt").check()
    dialog.get_by_label("Reason").fill("Updates are pending")
    dialog.get_by_role("button", name="Assign").click()
    expect(tom.locator("#toasts [data-notice]")).to_have_count(2)
    items = tom.locator("#assigned > li")
    expect(items).to_have_count(2)
    expect(dana.locator("tr", has_text="PP-OFFICE")).to_contain_text("Tom Brandt")
    dana.get_by_role("button", name="Undo").click()
    expect(items).to_have_count(0)


def test_a_terminal_as_programs_use_it(caisey: Caisey, person: Person) -> None:
    """Colours, a command that reads what is typed, and a line half typed while another command runs."""
    session = caisey.active("HD-XRAY")
    tom = person(caisey.people["tom"].sign_in)
    tom.goto(f"{caisey.url}/t/brightwater-it/sessions/{session}")
    tom.locator("#truth-line").get_by_text("Active until").wait_for()
    terminal = tom.locator("#terminal .xterm-rows")
    type_in_terminal(tom, "printf '\\e[38;2;200;30;30;48;5;22mcol''our\\e[0m \\e[7minv''erse\\e[0m\\n'\n")
    coloured = terminal.get_by_text("colour", exact=True)
    expect(coloured).to_be_visible()
    assert coloured.evaluate("e => getComputedStyle(e).color") != terminal.evaluate("e => getComputedStyle(e).color")

    box = tom.get_by_label("Command", exact=True)
    box.fill('read -r answer; echo "got $answer"')
    tom.keyboard.press("Enter")
    card = tom.locator("#commands li").last
    expect(card).to_contain_text("running")
    type_in_terminal(tom, "from the terminal\n")
    expect(card).to_contain_text("got from the terminal")

    type_in_terminal(tom, "echo half-")
    expect(terminal).to_contain_text("echo half-")
    box.fill("echo whole")
    tom.keyboard.press("Enter")
    expect(tom.locator("#commands li").last).to_contain_text("exit 0")
    type_in_terminal(tom, "typed\n")
    expect(terminal.get_by_text("half-typed", exact=True)).to_be_visible()
    assert caisey.run(session, "echo after")["output"] == "after\r\n"
