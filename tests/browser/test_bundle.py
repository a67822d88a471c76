"""Export on the review page, then the check on the public page, as a dispatcher and a stranger do it."""

from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from doors import Caisey
from playwright.sync_api import Page, expect

Person = Callable[..., Page]


def test_export_and_check(caisey: Caisey, person: Person, tmp_path: Path) -> None:
    """The dialog says what is in the file; the file is dropped on /verify, offline, and is green; one byte changed, it is red."""
    session = caisey.active()
    caisey.run(session, "uname")
    caisey.finish(session)
    dana = person(caisey.people["dispatcher"].sign_in)
    dana.goto(f"{caisey.url}/t/brightwater-it/sessions/{session}/review")
    dana.get_by_role("button", name="Export").click()
    dialog = dana.get_by_role("dialog")
    expect(dialog.get_by_text("every event exactly as it was recorded")).to_be_visible()
    assert Axe().run(dana).violations_count == 0
    with dana.expect_download() as download:
        dialog.get_by_role("link", name="Export").click()
    file = tmp_path / "exported.zip"
    download.value.save_as(file)
    assert download.value.suggested_filename == f"session-{session}.caisey.zip"
    expect(dialog).to_be_hidden()

    stranger = person(f"{caisey.url}/verify")
    stranger.context.set_offline(True)
    stranger.set_input_files("#file", file)
    expect(stranger.get_by_text("Verified. Nothing was changed.")).to_be_visible()
    found = Axe().run(stranger)
    assert found.violations_count == 0, found.generate_report()
    stranger.set_viewport_size({"width": 390, "height": 844})
    assert stranger.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    spoiled = bytearray(file.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    other = tmp_path / "spoiled.zip"
    other.write_bytes(spoiled)
    stranger.set_input_files("#file", other)
    expect(stranger.locator("#verdict")).to_contain_text("✗")
