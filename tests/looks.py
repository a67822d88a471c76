"""How pages are looked at: in both colour schemes and on a phone."""

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def look_at(page: Page, name: str, look: str) -> None:
    """Run axe, measure the width, take the picture if pictures are wanted."""
    page.wait_for_load_state("load")
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name} {look}: {found.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} {look} is {wide} px wider than the screen"
    if folder := os.environ.get("CAISEY_IMAGES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}-{look}.png")
