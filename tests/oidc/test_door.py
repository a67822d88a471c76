"""Requests from outside to a plugin, and what it may answer; news of members who left and sign-ins that ended."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from companies import Companies, two_companies
from doors import Browser

from caisey_core.http.who import RECHECK_SECONDS

PLUGIN = """
import asyncio
from caisey_hookspecs import *

@hookimpl
def caisey_plugin():
    return PluginInfo(name="badge", title="Badge", version="1.0", kinds=("identity",), enabled_by_default=True)

@hookimpl
def caisey_identity(context):
    return Badge(context)

class Badge(Identity):
    def __init__(self, context):
        self.context = context

    async def begin(self, attempt):
        if attempt.handle:
            open(MARK, "a").write(f"{attempt.handle}\\n")
        to = "javascript:alert(1)" if attempt.address == "script" else "https://badge.example/?state=" + attempt.handle
        return SignInRedirect(to, b"kept")

    async def complete(self, attempt):
        said = dict(attempt.request.query)
        assert attempt.state == b"kept"
        if said["who"] == "raise":
            raise RuntimeError("broken inside")
        if said["who"] == "form":
            return SignInForm(title="x", fields=())
        return Identified(
            subject=said["who"], name=said["who"], email=said["who"] + "@acme-msp.example", email_verified=said.get("link") == "1",
            may_link="link" in said, may_join="join" in said, role=said.get("role"), provider_session=said.get("sid", ""),
            sign_out_hint="hint of " + said["who"],
        )

    async def sign_out(self, ended):
        return f"https://badge.example/out?hint={ended.hint.replace(' ', '-')}"

    async def incoming(self, request):
        what, _, name = request.path.partition("/")
        if what == "removed":
            await self.context.report(Change("member-removed", name))
        if what == "ended":
            await self.context.report(Change("session-ended", name))
        if what == "odd":
            await self.context.report(Change("nothing-known", name))
        if what == "raise":
            raise RuntimeError("broken inside")
        if what == "hang":
            await asyncio.sleep(3600)
        answers = {
            "huge": IncomingAnswer(body=b"x" * 70000),
            "html": IncomingAnswer(content_type="text/html", body=b"<script>alert(1)</script>"),
            "svg": IncomingAnswer(content_type="image/svg+xml ; x", body=b"<svg/>"),
            "split": IncomingAnswer(content_type="text/plain\\r\\nset-cookie: a=b"),
            "redirect": IncomingAnswer(status=302),
            "switch": IncomingAnswer(status=101),
            "wrong": 42,
            "missing": IncomingAnswer(status=404),
        }
        told = repr((request.method, request.path, request.query, request.body, "cookie" in dict(request.headers)))
        return answers.get(what, IncomingAnswer(status=202, content_type="text/plain", body=told.encode()))
"""


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server with that plugin installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "badge.py").write_text(f"MARK = {str(site / 'mark')!r}\n{PLUGIN}")
    info = site / "badge-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: badge\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[caisey.plugins]\nbadge = badge\n")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(site) + (os.pathsep + before if before else "")
    try:
        with two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
            yield made
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def knock(companies: Companies, path: str, method: str = "POST", tenant: str = "acme-msp", **more: object) -> httpx2.Response:
    """Send a request as a vendor does."""
    return httpx2.request(method, f"{companies.url}/t/{tenant}/plugins/badge/{path}", timeout=30, **more)  # type: ignore[arg-type]


def come(companies: Companies, **said: str) -> tuple[Browser, httpx2.Response]:
    """Go to the provider and come back as somebody."""
    browser = Browser(companies.url)
    away = browser.client.get("/t/acme-msp/sign-in/badge", follow_redirects=False)
    state = away.headers["location"].partition("state=")[2]
    answer = browser.client.get("/t/acme-msp/plugins/badge/callback", params={"state": state, **said}, follow_redirects=False)
    return browser, answer


def is_in(browser: Browser) -> bool:
    """Say whether a browser is signed in."""
    return browser.client.get("/t/acme-msp/account", follow_redirects=False).status_code == 200


def test_a_plugin_sees_the_request_without_our_cookies(companies: Companies) -> None:
    """Method, path, query in order, exact bytes; the answer is not stored anywhere and never a page."""
    sent = httpx2.request(
        "POST",
        f"{companies.url}/t/acme-msp/plugins/badge/a/b?x=1&y=2&x=3",
        content=b"\x00\xffraw",
        headers={"cookie": "caisey.acme-msp=stolen", "content-type": "application/x-www-form-urlencoded"},
        timeout=30,
    )
    assert sent.status_code == 202
    assert sent.text == repr(("POST", "a/b", (("x", "1"), ("y", "2"), ("x", "3")), b"\x00\xffraw", False))
    assert sent.headers["cache-control"] == "no-store"
    assert sent.headers["x-content-type-options"] == "nosniff"
    assert knock(companies, "missing", "GET").status_code == 404


@pytest.mark.parametrize("what", ["raise", "huge", "html", "svg", "split", "redirect", "switch", "wrong", "hang"])
def test_a_bad_answer_is_not_sent(companies: Companies, what: str) -> None:
    """Whoever sent the request hears to try again, and nothing of what went wrong."""
    answer = knock(companies, what)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    assert "broken" not in answer.text
    assert "badge" not in answer.text
    assert "set-cookie" not in answer.headers or "a=b" not in answer.headers["set-cookie"]
    assert knock(companies, "fine").status_code == 202


def test_sizes_and_methods(companies: Companies) -> None:
    """256 KiB; GET and POST."""
    assert knock(companies, "missing", content=b"x" * (256 * 1024)).status_code == 404
    assert knock(companies, "missing", content=b"x" * (256 * 1024 + 1)).status_code == 413
    assert knock(companies, "missing?" + "a=b&" * 1001).status_code == 422
    assert {knock(companies, "fine", method).status_code for method in ("PUT", "DELETE", "PATCH")} == {405}


def test_a_flood_from_one_address_is_stopped(companies: Companies) -> None:
    """With words and a time to wait, at both doors of this tenant and plugin; the neighbour is not concerned."""
    with httpx2.Client(timeout=30) as client:
        url = f"{companies.url}/t/bolt-msp/plugins/badge/fine"
        stopped = next(answer for _ in range(2000) if (answer := client.post(url)).status_code == 429)
    assert int(stopped.headers["retry-after"]) >= 1
    browser = Browser(companies.url)
    for path in ("sign-in/badge", "plugins/badge/callback?state=x"):
        asked = (browser.client.get(f"/t/bolt-msp/{path}", follow_redirects=False) for _ in range(100))
        answer = next(answer for answer in asked if answer.status_code == 429)
        assert "Too many requests" in answer.text
        assert "Password" in answer.text  # on the sign-in page, beside the other ways
    assert knock(companies, "fine").status_code == 202
    assert come(companies, who="later", join="1")[1].status_code == 303


def test_a_plugin_that_fails_in_a_sign_in(companies: Companies) -> None:
    """In words beside the other ways."""
    for who in ("raise", "form"):
        _, answer = come(companies, who=who)
        assert answer.status_code == 503
        assert "This way to sign in does not work now" in answer.text
        assert "Password" in answer.text


def test_a_stranger_is_no_member_unless_the_plugin_says_so(companies: Companies) -> None:
    """And a new member has the least rights: a technician without clients; an unknown role gives none."""
    _, answer = come(companies, who="stranger")
    assert answer.status_code == 403
    assert "You are not a member here" in answer.text
    browser, answer = come(companies, who="newcomer", join="1", role="emperor")
    assert answer.headers["location"] == "/t/acme-msp/queue"
    assert "Harbor" not in browser.get("/t/acme-msp/").text
    page = companies.acme.browser("admin").get("/t/acme-msp/members").text
    row = next(part for part in page.split("<tr") if "newcomer" in part)
    assert "Technician" in row


def test_an_unverified_address_is_not_kept(companies: Companies) -> None:
    """Nobody claims an address by a provider that does not vouch for it."""
    come(companies, who="tom", join="1")
    page = companies.acme.browser("admin").get("/t/acme-msp/members").text
    assert page.count("tom@acme-msp.example") == 1
    _, answer = come(companies, who="auditor", link="0")
    assert answer.status_code == 403  # the plugin may connect, but nobody vouches for the address
    browser, _ = come(companies, who="tom")
    assert "Tom of Acme MSP" not in browser.get("/t/acme-msp/account").text


def test_who_leaves_the_provider_is_kept_out(companies: Companies) -> None:
    """At once and for good, as the audit log says; the same news twice is nothing new."""
    browser, _ = come(companies, who="leaver", join="1")
    assert is_in(browser)
    assert knock(companies, "removed/leaver").status_code == 202
    assert not is_in(browser)
    assert knock(companies, "removed/leaver").status_code == 202
    _, answer = come(companies, who="leaver", join="1")
    assert answer.status_code == 403
    log = companies.acme.browser("admin").get("/t/acme-msp/audit?q=leaver").text
    assert log.count("Deactivated leaver") == 1
    assert "badge says so" in log


def test_who_has_another_way_stays_a_member(companies: Companies) -> None:
    """Mia has a password here: what the provider says ends her sign-ins, not her account."""
    browser, answer = come(companies, who="mia", link="1")
    assert answer.status_code == 303
    by_link = companies.acme.browser("mia")
    assert knock(companies, "removed/mia").status_code == 202
    assert not is_in(browser)
    assert not is_in(by_link)
    page = companies.acme.browser("admin").get("/t/acme-msp/members").text
    assert "mia@acme-msp.example" in page
    assert is_in(come(companies, who="mia")[0])


def test_news_concern_their_tenant_and_plugin_only(companies: Companies) -> None:
    """A session's name at one company ends nothing at another, nor what another plugin began."""
    browser, _ = come(companies, who="one", join="1", sid="shared")
    tom = companies.acme.browser("tom")
    assert knock(companies, "ended/shared", tenant="bolt-msp").status_code == 202
    assert knock(companies, "ended/tom@acme-msp.example").status_code == 202
    assert knock(companies, "odd/shared").status_code == 202
    assert is_in(browser)
    assert is_in(tom)
    assert knock(companies, "ended/shared").status_code == 202
    assert not is_in(browser)


def test_an_open_page_ends_with_its_sign_in(companies: Companies) -> None:
    """Its stream of news is closed at once, not with the next look."""
    browser, _ = come(companies, who="watcher", join="1", sid="watched")
    with browser.client.stream("GET", "/t/acme-msp/events") as stream:
        lines = stream.iter_text()
        assert "open" in next(lines)
        began = time.monotonic()
        assert knock(companies, "ended/watched").status_code == 202
        "".join(lines)
        assert time.monotonic() - began < RECHECK_SECONDS / 2
    assert not is_in(browser)


def test_signing_out_leads_to_the_provider(companies: Companies) -> None:
    """By a page: a redirect would be stopped by our own policy for forms. What the plugin left comes back unread by others."""
    browser, _ = come(companies, who="quits", join="1")
    browser.get("/t/acme-msp/account")
    answer = browser.post("/t/acme-msp/sign-out")
    assert answer.status_code == 200
    assert "https://badge.example/out?hint=hint-of-quits" in answer.text
    assert not is_in(browser)
    data = b"".join(path.read_bytes() for path in Path(companies.server.data).glob("*.db*"))
    assert b"hint of quits" not in data
