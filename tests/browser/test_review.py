"""The review of a long session in a real browser: permalinks, scrolling, filters, search, keys, the replay; and search over records."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from doors import until
from playwright.sync_api import Page, expect
from recorded import Archive, Books, Device, archive, busy

Person = Callable[..., Page]
COMMANDS = 1_000
LAST = 4 + 5 * COMMANDS


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An installation with one session of a thousand commands, the last of which finds a needle."""

    async def fill(books: Books) -> dict[str, object]:
        device = Device()
        await books.enrol(device)
        long = books.begin(device)
        long.ask()
        busy(long, COMMANDS)
        long.run("cat haystack", [b"".join(b"hay %d\r\n" % n for n in range(80)), b"a needle <b>here</b>\r\n"])
        long.finish()
        return {"long": await long.write()}

    with archive(tmp_path_factory.mktemp("browser") / "data", fill) as found:  # type: ignore[arg-type]
        yield found


@pytest.fixture
def admin(served: Archive, person: Person) -> Callable[..., Page]:
    """Open a page as the admin, who is signed in."""

    def open_page(path: str, **options: object) -> Page:
        cookies = [
            {"name": cookie.name, "value": cookie.value or "", "url": served.server.url}
            for cookie in served.browser.client.cookies.jar
        ]
        return person(served.server.url + path, storage_state={"cookies": _state(cookies, served), "origins": []}, **options)

    return open_page


def _state(cookies: list[dict[str, str]], served: Archive) -> list[dict[str, object]]:
    rest = {"domain": "127.0.0.1", "path": "/", "expires": -1, "httpOnly": False, "secure": False, "sameSite": "Lax"}
    return [{"name": one["name"], "value": one["value"], **rest} for one in cookies]


def current(page: Page) -> str:
    """Return what is chosen in the timeline."""
    return page.locator("#entries [aria-current] .what").inner_text()


def test_a_permalink_far_down(served: Archive, admin: Person) -> None:
    """An address with an event, also one within a command's output, opens at that event with its output."""
    page = admin(served.review("long") + f"#e{LAST + 2}")
    expect(page.locator("#detail h2")).to_have_text("cat haystack")
    expect(page.locator("#entries [aria-current]")).to_be_in_viewport()
    expect(page.locator("#entries li[id]")).not_to_have_count(0)
    assert page.locator("#entries li[id]").count() <= 300
    page.goto(served.server.url + served.review("long") + "#e2504")
    expect(page.locator("#detail h2")).to_contain_text("echo 500;")


def test_scrolling_filtering_searching_and_keys(served: Archive, admin: Person) -> None:
    """Parts come as they are scrolled to; filter and search work on all of it; arrows go over the edge of a part."""
    page = admin(served.review("long"))
    page.locator("#entries").evaluate("list => { list.scrollTop = list.scrollHeight }")
    expect(page.locator(f"#e{LAST}")).to_be_visible()
    page.get_by_label("Search in this session").fill("needle")
    expect(page.locator("#matches")).to_have_text(f"1 of {COMMANDS + 6:,} events")
    page.locator("#entries a").first.click()
    expect(page.locator("#detail pre")).to_contain_text("a needle <b>here</b>")
    assert page.evaluate("CSS.highlights.get('found').size") == 1
    page.get_by_label("Search in this session").fill("")
    expect(page.locator("#matches")).to_have_text("")
    for group in ("Commands", "Terminal", "Files", "People", "States"):
        page.locator(".segments label").filter(has_text=group).click()
    expect(page.locator("#entries li[id]")).to_have_count(3)
    page.goto(served.server.url + served.review("long") + "#e484")
    expect(page.locator("#detail h2")).to_contain_text("echo 96;")
    page.locator("#entries [aria-current]").focus()
    for number in (97, 98, 99, 100):
        page.keyboard.press("ArrowDown")
        expect(page.locator("#detail h2")).to_contain_text(f"echo {number};")
    assert page.url.endswith("#e504")


def test_check_again(served: Archive, admin: Person) -> None:
    """The verdict comes by itself, says when it was made, and is made anew on request."""
    page = admin(served.review("long"))
    expect(page.locator("#verdict")).to_contain_text("Verified: ")
    page.locator("#verdict summary").click()
    before = page.locator("#verdict time").get_attribute("datetime")
    page.get_by_role("button", name="Check all of it again").click()
    expect(page.locator(f'#verdict time:not([datetime="{before}"])')).to_have_count(1)
    expect(page.locator("#verdict")).to_contain_text("Verified: ")


@pytest.mark.parametrize(
    "look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}]
)
def test_the_replay_plays_with_marks(served: Archive, admin: Person, look: dict[str, object]) -> None:
    """The player runs under the page's policy, shows what was run, has marks, another speed; axe finds nothing, nothing is too wide."""
    page = admin(served.review("long"), **look)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#screen .ap-term")).to_be_visible()
    page.get_by_label("Speed of the replay").select_option("32")
    expect(page.locator("#screen")).to_contain_text("a needle <b>here</b>", timeout=20_000)
    assert page.locator("#screen .ap-marker-container").count() == COMMANDS + 2
    expect(page.locator("#replay-trouble")).to_be_hidden()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(
    "look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}]
)
def test_search_over_records(served: Archive, admin: Person, look: dict[str, object]) -> None:
    """Ctrl-K offers it; results come while typing; Enter opens the moment; empty, found and nothing are accessible."""
    page = admin(f"{served.base}/", **look)

    def fine(what: str) -> None:
        report = Axe().run(page)
        assert report.violations_count == 0, (what, report.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), what

    page.keyboard.press("Control+k")
    page.keyboard.type("needle here")
    page.locator("#found li").filter(has_text="Search records for “needle here”").click()
    expect(page).to_have_url(re.compile("/search\\?q=needle%20here"))
    until(lambda: page.reload() and page.locator(".result").count(), "the index")
    fine("found")
    page.locator("#q").fill("no such words")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    fine("nothing")
    page.locator("#q").fill("")
    expect(page.get_by_role("heading", name="Search in all records")).to_be_visible()
    fine("empty")
    page.locator("#q").fill('"a needle"')
    expect(page.locator("mark")).to_have_text("a needle")
    assert "q=%22a+needle%22" in page.url or "q=%22a%20needle%22" in page.url
    page.locator(".hits a").first.click()
    expect(page.locator("#detail pre")).to_contain_text("a needle <b>here</b>")
    expect(page.locator("#entries [aria-current]")).to_be_visible()
