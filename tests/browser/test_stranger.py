"""A plugin from outside the repository, installed from its wheel: an admin finds it, fills its form, tries it, enables and disables it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from companies import Companies, two_companies
from doors import until
from playwright.sync_api import Page, expect
from vendor import Answer, Vendor
from wheels import Environment

Person = Callable[..., Page]


@pytest.fixture(scope="module")
def companies(stranger: Environment, receiver: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server of the environment into which the wheel was installed."""
    with two_companies(tmp_path_factory.mktemp("companies") / "data", python=stranger.python) as made:
        yield made


def test_found_filled_tried_enabled_used_disabled(companies: Companies, receiver: Vendor, person: Person) -> None:
    """Nothing but the page is needed, the plugin works at once and for this company alone, and its token is shown to nobody."""
    found: Any = companies.acme.browser("admin").client.cookies
    cookie = next({"name": name, "value": found[name]} for name in found if name.startswith("caisey.") or name == "caisey")
    page = person(f"{companies.url}/verify")
    page.context.add_cookies([{**cookie, "url": companies.url}])
    page.goto(f"{companies.url}/t/acme-msp/plugins")
    page.get_by_role("link", name="Pager", exact=True).click()
    page.get_by_role("textbox", name="Address").fill(receiver.url("/notices"))
    page.get_by_label("Token", exact=True).fill("tok-of-a-stranger")
    page.get_by_label("Allow private addresses").check()
    receiver.answer = lambda _: Answer(status=401)
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_contain_text("401")
    receiver.answer = lambda _: Answer(status=204, body=b"")
    page.get_by_role("button", name="Save and enable").click()
    expect(page.locator("#toasts")).to_contain_text("Pager is enabled.")
    assert "tok-of-a-stranger" not in page.content()
    receiver.asked.clear()
    raw = companies.raw_device(companies.acme, "FIRST", "Harbor")
    order = {"devices": [str(raw.id)], "technicians": [str(companies.acme.members["tom"])], "reason": "The printer is quiet"}
    companies.acme.people["dispatcher"].post("/assignments", order)
    posted = until(lambda: [one for one in receiver.asked if one.method == "POST"], "the notice")
    assert posted[0].headers["authorization"] == "Bearer tok-of-a-stranger"
    assert not companies.bolt.people["admin"].get("/plugins/pager")["plugin"]["enabled"]
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#toasts")).to_contain_text("Pager is disabled")
    assert not companies.acme.people["admin"].get("/plugins/pager")["plugin"]["enabled"]
