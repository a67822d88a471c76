"""Every route, every role, and another company: who may not is told so, and what is not theirs is not there."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from companies import NARROW, NARROWED, Companies, Company
from doors import TLS, until
from litestar.routes import HTTPRoute, WebSocketRoute
from stage import Stage, set_stage, unknown

from caisey_core.app import close_house, make_app, open_house
from caisey_core.config import Config
from caisey_core.installation import make_folder, make_tenant

from .doors_table import ADMIN, ALL, API, OPEN, PAGES, SOCKETS, Door

ID = re.compile(r"\{(\w+):(?:uuid|str|int)\}")
DONE = {200, 201, 202, 204, 303, 409, 422}
ROUTES = {**PAGES, **API}
LASTING = {
    route: door for route, door in ROUTES.items() if door.kind != "once"
}  # signing out, taking over: in tests of their own


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """The company whose things are tried."""
    return set_stage(companies, companies.acme)


@pytest.fixture(scope="module")
def bolt(companies: Companies) -> Stage:
    """The company whose people try."""
    return set_stage(companies, companies.bolt)


def _addressed(route: str, id_of: Callable[[str], str]) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    return method, ID.sub(lambda found: id_of(found.group(1)), path)


def _knock(company: Company, who: str, route: str, door: Door, address: str, body: object) -> httpx2.Response:
    """Send one request as this person: with their cookie at pages, with their token at the API."""
    method = route.partition(" ")[0]
    if route in API:
        token = {"authorization": f"Bearer {company.people[who].token}"}
        url = company.people[who].base.partition("/api/")[0] + address
        sent = body if method == "POST" else None
        if door.kind == "stream":
            with httpx2.stream(method, url, headers=token, timeout=30, verify=TLS) as answer:
                if not answer.headers["content-type"].startswith("text/event-stream"):
                    answer.read()
                    return answer
                return httpx2.Response(answer.status_code, headers=answer.headers)
        return httpx2.request(method, url, params=door.query, headers=token, json=sent, timeout=30, verify=TLS)
    browser = company.browser(who)
    headers = {"x-csrftoken": browser.csrf()} if method == "POST" else {}
    if door.kind == "stream":
        with browser.client.stream(method, address, params=door.query, follow_redirects=False) as answer:
            if answer.headers["content-type"].startswith("text/event-stream"):
                return httpx2.Response(answer.status_code, headers=answer.headers)
            answer.read()
            return answer
    given = {"json": body} if door.kind == "json" else {"data": body}
    sent_body = given if method == "POST" else {}
    return browser.client.request(
        method, address, params=door.query, headers=headers, follow_redirects=False, timeout=30, **sent_body
    )


def _plain(answer: httpx2.Response) -> str:
    """Return what an answer says, without what is different each time."""
    text = answer.text.replace(answer.headers.get("x-request-id", "-"), "ID")
    return re.sub(r'(name="csrf" content="|_csrf_token" value=")[0-9a-f]+', r"\1", text)


async def _routes(folder: Path) -> tuple[set[str], set[str]]:
    make_folder(folder, Config())
    await make_tenant(folder, Config(), "Routes")
    house = await open_house(folder, Config())
    try:
        routes = make_app(house).routes
    finally:
        await close_house(house)
    pages = {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"  # the framework's own: says which methods there are
    }
    return pages, {route.path for route in routes if isinstance(route, WebSocketRoute)}


def test_each_door_has_an_expectation(tmp_path: Path) -> None:
    """The table names exactly the doors that the application has."""
    found, sockets = asyncio.run(_routes(tmp_path / "data"))
    assert found == {*ROUTES, *OPEN}
    assert sockets == SOCKETS


@pytest.mark.parametrize(("route", "door"), LASTING.items(), ids=LASTING)
def test_who_may_and_who_may_not(acme: Stage, route: str, door: Door) -> None:
    """Each role at each door: in, or 403, or 404."""
    for who in sorted(ALL):
        _, address = _addressed(route, acme.id)
        answer = _knock(acme.company, who, route, door, address, door.body)
        said = f"{who}: {answer.status_code} {answer.text[:300]}"
        if who in door.may:
            assert answer.status_code in DONE, said
            assert "sign-in" not in answer.headers.get("location", ""), said
        else:
            assert answer.status_code in (403, 404), said


@pytest.mark.parametrize(("route", "door"), LASTING.items(), ids=LASTING)
def test_who_serves_other_clients(acme: Stage, route: str, door: Door) -> None:
    """The same roles with another client: nothing behind an id of this one, nothing that concerns the whole company."""
    behind_an_id = len(ID.findall(route)) > 1
    for who, like in NARROWED.items():
        _, address = _addressed(route, acme.id)
        answer = _knock(acme.company, who, route, door, address, door.body)
        said = f"{who}: {answer.status_code} {answer.text[:300]}"
        if like in door.may and not behind_an_id and not door.whole:
            assert answer.status_code in DONE, said
            assert not any(acme.ids[name] in answer.text for name in ("device", "session", "command", "client")), said
        else:
            assert answer.status_code in (403, 404), said


@pytest.mark.parametrize(("route", "door"), ROUTES.items(), ids=ROUTES)
def test_a_stranger(companies: Companies, acme: Stage, route: str, door: Door) -> None:
    """Without a sign-in: 401 for programs, the sign-in page for browsers, whatever is asked for and whether or not it is there."""
    for id_of in (acme.id, lambda name: acme.id(name) if name == "tenant" else unknown(name)):
        method, address = _addressed(route, id_of)
        sent = {"json": door.wanted} if method == "POST" else {}
        if route in API:
            for headers in ({}, {"authorization": "Bearer cai_nonsense"}, {"authorization": "Basic YTpi"}):
                answer = httpx2.request(method, companies.url + address, headers=headers, params=door.query, verify=TLS, **sent)
                assert answer.status_code == 401, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
            continue
        with httpx2.Client(base_url=companies.url, verify=TLS, headers={"accept": "text/html"}) as stranger:
            without = stranger.request(method, address, params=door.query, **sent)
            assert without.status_code == (403 if method == "POST" else 303), without.text
            stranger.get(f"/t/{acme.company.slug}/sign-in")
            headers = {"x-csrftoken": stranger.cookies["caisey-csrf"]}
            answer = stranger.request(method, address, params=door.query, headers=headers, **sent)
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"].startswith(f"/t/{acme.company.slug}/sign-in")


def _who(door: Door) -> str:
    return "admin" if "admin" in door.may else "senior"


@pytest.mark.parametrize(("route", "door"), LASTING.items(), ids=LASTING)
def test_another_company(acme: Stage, bolt: Stage, route: str, door: Door) -> None:
    """Its address is a stranger's, its ids at one's own address do not exist: 404, in the words of what is not there."""
    who = _who(door)

    def at(id_of: Callable[[str], str]) -> httpx2.Response:
        _, address = _addressed(route, id_of)
        return _knock(bolt.company, who, route, door, address, door.wanted)

    there = at(acme.id)
    nothing = at(lambda name: "no-such-msp" if name == "tenant" else unknown(name))
    assert nothing.status_code == 404, nothing.text
    if route in API:
        assert (there.status_code, _plain(there)) == (404, _plain(nothing))
    else:  # a browser may be signed in there too, so it is asked to
        assert there.status_code == 303, there.text
        assert there.headers["location"].startswith("/t/acme-msp/sign-in")
    ids = [name for name in ID.findall(route) if name not in ("tenant", "position", "plugin")]  # the last two are nobody's
    for foreign in ids:
        theirs = at(lambda name, foreign=foreign: acme.id(name) if name == foreign else bolt.id(name))
        missing = at(lambda name, foreign=foreign: unknown(name) if name == foreign else bolt.id(name))
        wanted = door.absent if foreign == ids[-1] else 404
        assert theirs.status_code == wanted, theirs.text
        assert (missing.status_code, _plain(missing)) == (wanted, _plain(theirs))
    if len(ids) > 1:
        all_theirs = at(lambda name: bolt.id(name) if name == "tenant" else acme.id(name))
        assert all_theirs.status_code == 404, all_theirs.text


def test_foreign_ids_inside_what_is_sent(acme: Stage, bolt: Stage) -> None:
    """Devices, technicians, clients, members and notices of another company are as unknown in a body as ids of nothing."""
    admin, senior = bolt.company.people["admin"], bolt.company.people["senior"]
    device, session = bolt.ids["device"], bolt.ids["session"]
    mine, theirs = str(bolt.company.members["tom"]), str(acme.company.members["tom"])
    client = str(acme.company.clients["Harbor"])

    def same(path: str, body: Callable[[str], object], foreign: str) -> None:
        one, other = admin.call("POST", path, json=body(foreign)), admin.call("POST", path, json=body(unknown("")))
        assert one.status_code in (404, 422), one.text
        assert (one.status_code, _plain(one)) == (other.status_code, _plain(other))

    same("/assignments", lambda id_: {"devices": [id_], "technicians": [mine], "reason": "x"}, acme.ids["device"])
    same("/assignments", lambda id_: {"devices": [device], "technicians": [id_], "reason": "x"}, theirs)
    same(f"/assignments/{bolt.id('assignment')}/reassign", lambda id_: {"technician": id_}, theirs)
    same(f"/sessions/{session}/reassign", lambda id_: {"technician": id_}, theirs)
    same(f"/devices/{device}/move", lambda id_: {"client": id_}, client)
    same("/installers", lambda id_: {"client": id_}, client)
    stop = f"/sessions/{session}/interrupt"
    one = senior.call("POST", stop, json={"command": acme.ids["command"]})
    other = senior.call("POST", stop, json={"command": unknown("")})
    assert (one.status_code, _plain(one)) == (other.status_code, _plain(other))
    place = acme.company.people["admin"].get("/devices?limit=1")["next"]
    for filters in (f"client={client}", f"technician={theirs}", f"after={place}"):
        shown = admin.get(f"/devices?{filters}")
        assert acme.ids["device"] not in str(shown["groups"])
    browser = bolt.company.browser("admin")
    read = [browser.post("/t/bolt-msp/notices/read", notice=one) for one in (unknown(""), _notice_of(acme))]
    assert [answer.status_code for answer in read] == [404, 404]
    assert _plain(read[0]) == _plain(read[1])


def _notice_of(stage: Stage) -> str:
    found = re.search(r'data-read="([0-9a-f-]{36})"', stage.company.browser("tom").get(f"/t/{stage.company.slug}/notices").text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("q", ["desk", "spare", "acme", "harbor of acme", "tom of acme", "printer"])
def test_search_ends_at_the_wall(acme: Stage, bolt: Stage, q: str) -> None:
    """The search box finds what is one's own, and nothing of another company or of clients that one does not serve."""
    hits = bolt.company.browser("admin").get(f"/t/bolt-msp/find?q={q}").json()
    shown = str(hits)
    assert "cme" not in shown
    assert not any(acme.ids[name] in shown for name in ("device", "session", "client"))
    narrow = acme.company.browser(NARROW).get(f"/t/acme-msp/find?q={q}").json()
    assert [hit for hit in narrow if hit["kind"] in ("device", "session")] == []
    assert not any("Harbor" in hit["title"] for hit in narrow)


def test_records_are_found_within_the_wall(acme: Stage, bolt: Stage) -> None:
    """Search over records finds an output for who may review it; not for another company, nor for who serves other clients."""

    def hits(stage: Stage, who: str) -> list[str]:
        shown = stage.company.people[who].get("/search?q=%22what+the+command+put+out%22")
        return [one["session"] for one in shown["items"]]

    until(lambda: acme.ids["session"] in hits(acme, "tom"), "the index of one company")
    until(lambda: bolt.ids["session"] in hits(bolt, "tom"), "the index of the other")
    assert acme.ids["session"] not in hits(bolt, "admin")
    assert bolt.ids["session"] not in hits(acme, "admin")
    assert hits(acme, NARROW) == []
    page = acme.company.browser(NARROW).get("/t/acme-msp/search?q=%22what+the+command+put+out%22").text
    assert acme.ids["session"] not in page


def test_pages_of_another_company_name_nothing_of_this_one(acme: Stage, bolt: Stage) -> None:
    """No page of one company holds an id or a name of the other."""
    for route, door in PAGES.items():
        if not route.startswith("GET") or door.kind == "stream" or "files" in route or "output" in route:
            continue
        _, address = _addressed(route, bolt.id)
        text = bolt.company.browser("admin" if door.may >= ADMIN else "senior").get(address).text
        for name, identity in acme.ids.items():
            assert name == "plugin" or identity not in text, (route, name)
        assert "Acme MSP" not in text, route
