"""A real Chromium."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield launched
        launched.close()


def _wrong(said: ConsoleMessage) -> bool:
    """A stream that ends because its page is left is no error, nor is a page that is not there, nor a refusal in words."""
    left = ("net::ERR_", "htmx:sse:error", *(f"status of {status}" for status in (403, 404, 409, 422, 429)))
    return said.type == "error" and not any(words in said.text for words in left)


@pytest.fixture
def person(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a context of one's own and go to an address there; errors on the console fail the test at its end."""
    opened: list[BrowserContext] = []
    trouble: list[str] = []

    def open_page(address: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: trouble.append(f"{page.url}: {error}"))
        page.on("console", lambda said: trouble.append(f"{page.url}: {said.text}") if _wrong(said) else None)
        page.goto(address)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert not trouble, trouble
