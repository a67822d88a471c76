"""A device that refuses the server's record, as the admin and the person at the device see it: plain, and axe finds nothing."""

from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from doors import Browser, Caisey, running, until
from playwright.sync_api import Page, expect

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def signed_in(demo: Caisey) -> Browser:
    """The admin, in a browser without scripts."""
    browser = Browser(demo.url)
    browser.get(demo.people["admin"].sign_in.removeprefix(demo.url))
    return browser


def test_what_people_see_of_a_refusal(tmp_path: Path, person: Callable[..., Page]) -> None:
    """The words at the device appear in the page that is open, the admin's pages have the banner, and it leads to the devices."""
    with running(tmp_path / "data") as demo:
        demo.kill_server()
        demo.keep_databases(tmp_path / "old")
        demo.restart_server()
        signed_in(demo)  # an event that the old databases lack
        demo.kill_server()
        demo.restart_server()
        demo.all_online()
        sitting = person(demo.devices["HD-XRAY"].consent_page)
        demo.kill_server()
        demo.put_back_databases(tmp_path / "old")
        demo.restart_server()
        expect(sitting.get_by_role("alert").filter(has_text="does not trust the server now")).to_be_visible(timeout=20_000)
        admin = signed_in(demo)
        until(lambda: "HD-XRAY refused" in admin.get("/t/brightwater-it/audit").text, "the audit event")
        for look, options in LOOKS.items():
            at_device = person(demo.devices["HD-XRAY"].consent_page, **options)
            expect(at_device.get_by_role("heading", level=1).first).to_have_text("This device does not trust the server now")
            page = person(demo.people["admin"].sign_in, **options)
            page.goto(f"{demo.url}/t/brightwater-it/clients")
            page.get_by_role("link", name="See which").click()
            expect(page.get_by_role("region", name="Devices as witnesses")).to_contain_text("Refuses")
            for seen in (at_device, page):
                found = Axe().run(seen)
                assert found.violations_count == 0, f"{look}: {found.generate_report()}"
                wide = seen.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, f"{look}: wider than the screen by {wide}"
