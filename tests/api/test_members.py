"""Members: invited, given a role and clients, kept out, let in again; and who must sign in again before."""

import asyncio
import re
import sqlite3
import time
from pathlib import Path

import pytest
from companies import NARROW, Companies, Company
from doors import Browser, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from caisey_core.app import close_house, open_house
from caisey_core.config import Config
from caisey_core.domain.roles import Role
from caisey_core.installation import add_member, announce_tenant, make_folder, make_tenant
from caisey_core.services import members

AT_ONCE = 5.0  # seconds; what is held open is looked at every 15 without a reason


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """A company with a device at each of its two clients."""
    companies.raw_device(companies.acme, "HARBOR-1", "Harbor")
    companies.raw_device(companies.acme, "NORTH-1", "Northwind")
    return companies.acme


def invite(acme: Company, name: str, role: str = "technician", *clients: str) -> Browser:
    """Invite somebody for these clients, or for all; returns their browser, signed in."""
    admin = acme.browser("admin")
    body = {"_csrf_token": admin.csrf(), "name": name, "email": f"{name.lower()}@acme.example", "role": role}
    chosen = {"reach": "some", "clients": [str(acme.clients[client]) for client in clients]} if clients else {"reach": "all"}
    made = admin.client.post("/t/acme-msp/members", data={**body, **chosen})
    assert made.status_code == 200, made.text
    link = re.search(r'id="made-link">([^<]+)<', made.text)
    assert link is not None, made.text
    return use(admin.url, link.group(1))


def use(url: str, link: str) -> Browser:
    """Return a browser that used a one-time link."""
    browser, path = Browser(url), "/sign-in/" + link.rpartition("/")[2]
    browser.get(path)
    assert browser.post(path).url.path.endswith("/account")
    return browser


def id_of(acme: Company, name: str) -> str:
    """Return a member's id by their name, from the list."""
    found = re.search(rf'/members/([0-9a-f-]{{36}})">{name}<', acme.browser("admin").get("/t/acme-msp/members").text)
    assert found is not None
    return found.group(1)


def test_invited_for_one_client(acme: Company) -> None:
    """The client's device is there, the other's is nowhere: list, search, page, members' work."""
    nora = invite(acme, "Nora", "dispatcher", "Northwind")
    shown = nora.get("/t/acme-msp/").text
    assert "NORTH-1" in shown
    assert "HARBOR-1" not in shown
    assert "Harbor" not in shown
    assert nora.get("/t/acme-msp/find?q=harbor").json() == []
    assert nora.get(f"/t/acme-msp/devices/{acme.id_of('HARBOR-1')}").status_code == 404
    assert nora.get("/t/acme-msp/audit").status_code == 403
    assert "for Northwind" in acme.browser("admin").get("/t/acme-msp/audit").text


def test_a_device_that_moved_brings_nothing_along(acme: Company) -> None:
    """What was said of it at its former client is for those who serve that one too."""
    people = acme.people
    order = {"technicians": [str(acme.members["tom"])], "reason": "The partners quarrel"}
    given = people["dispatcher"].post("/assignments", {**order, "devices": [str(acme.id_of("HARBOR-1"))]})[0]["id"]
    acme.browser("dispatcher").post(f"/t/acme-msp/assignments/{given}/close", reason="done")
    asked = acme.ask("HARBOR-1", reason="The partners quarrel still")
    people["tom"].post(f"/sessions/{asked}/cancel", {})
    until(lambda: acme.card(asked)["sealed"], "the seal")
    device = acme.id_of("HARBOR-1")
    people["admin"].post(f"/devices/{device}/move", {"client": str(acme.clients["Northwind"])})
    assert "quarrel" in str(people["tom"].get(f"/devices/{device}"))
    assert "quarrel" not in str(people[NARROW].get(f"/devices/{device}"))
    people["admin"].post(f"/devices/{device}/move", {"client": str(acme.clients["Harbor"])})


def test_other_clients_end_what_is_open(acme: Company) -> None:
    """A member who serves other clients from now on loses the stream and the page at once, and finds what is theirs."""
    omar = invite(acme, "Omar", "technician", "Harbor")
    assert omar.get(f"/t/acme-msp/devices/{acme.id_of('HARBOR-1')}").status_code == 200
    admin, member = acme.browser("admin"), id_of(acme, "Omar")
    with omar.client.stream("GET", "/t/acme-msp/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 500"
        began = time.monotonic()
        changed = {"role": "senior technician", "reach": "some", "clients": str(acme.clients["Northwind"])}
        assert admin.post(f"/t/acme-msp/members/{member}", **changed).status_code == 200
        list(lines)
        assert time.monotonic() - began < AT_ONCE
    assert omar.get(f"/t/acme-msp/devices/{acme.id_of('HARBOR-1')}").status_code == 404
    assert omar.get(f"/t/acme-msp/devices/{acme.id_of('NORTH-1')}").status_code == 200
    assert "Omar is senior technician (before: technician) now, for Northwind" in admin.get("/t/acme-msp/audit").text


def test_deactivated_and_let_in_again(companies: Companies, acme: Company) -> None:
    """Browser, API token, link, stream and socket end at once; afterwards only a new link lets the person in."""
    admin, mia, member = acme.browser("admin"), acme.browser("mia"), str(acme.members["mia"])
    session = acme.ask("NORTH-1", by="mia")
    address = f"{companies.url.replace('http', 'ws', 1)}/t/acme-msp/sessions/{session}/live"
    headers = {"authorization": f"Bearer {acme.people['mia'].token}"}
    page = admin.post(f"/t/acme-msp/members/{member}/link").text
    unused = re.search(r'id="made-link">([^<]+)<', page)
    assert unused is not None
    with connect(address, additional_headers=headers) as socket, mia.client.stream("GET", "/t/acme-msp/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 500"
        began = time.monotonic()
        assert admin.post(f"/t/acme-msp/members/{member}/deactivate").status_code == 200
        list(lines)
        with pytest.raises(ConnectionClosed) as closed:
            list(iter(lambda: socket.recv(timeout=20), None))
        assert time.monotonic() - began < AT_ONCE
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
    assert mia.get("/t/acme-msp/queue").url.path == "/t/acme-msp/sign-in"
    assert acme.people["mia"].call("GET", "/queue").status_code == 401
    late = Browser(companies.url)
    path = "/sign-in/" + unused.group(1).rpartition("/")[2]
    late.get(path)
    assert late.post(path).status_code == 404
    work = {"devices": [str(acme.id_of("NORTH-1"))], "technicians": [member], "reason": "x"}
    assert acme.people["dispatcher"].call("POST", "/assignments", json=work).status_code == 422
    assert admin.post(f"/t/acme-msp/members/{member}/link").status_code == 404
    assert admin.post(f"/t/acme-msp/members/{member}/reactivate").status_code == 200
    assert mia.get("/t/acme-msp/queue").url.path == "/t/acme-msp/sign-in"
    assert acme.people["mia"].call("GET", "/queue").status_code == 401
    again = re.search(r'id="made-link">([^<]+)<', admin.post(f"/t/acme-msp/members/{member}/link").text)
    assert again is not None
    use(companies.url, again.group(1))
    log = admin.get("/t/acme-msp/audit").text
    assert "Deactivated Mia of Acme MSP" in log
    assert "Let Mia of Acme MSP in again" in log


def test_signing_out_ends_what_is_open(acme: Company) -> None:
    """A page that was left open in another tab hears nothing any more, at once."""
    pia = invite(acme, "Pia", "auditor")
    with pia.client.stream("GET", "/t/acme-msp/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 500"
        began = time.monotonic()
        pia.post("/t/acme-msp/sign-out")
        list(lines)
        assert time.monotonic() - began < AT_ONCE


def test_somebody_always_remains(acme: Company) -> None:
    """Nobody changes their own rights, and the last admin who serves all stays one, whoever asks."""
    admin, own = acme.browser("admin"), str(acme.members["admin"])
    for act in ("deactivate", ""):
        refused = admin.post(f"/t/acme-msp/members/{own}/{act}".rstrip("/"), role="auditor", reach="all")
        assert refused.status_code == 409, refused.text
        assert "You cannot change your own" in refused.text
    second = invite(acme, "Ada", "admin")
    ada = id_of(acme, "Ada")
    narrowed = second.post(f"/t/acme-msp/members/{own}", role="admin", reach="some", clients=str(acme.clients["Harbor"]))
    assert narrowed.status_code == 200
    assert admin.get("/t/acme-msp/members").status_code == 200
    assert admin.post(f"/t/acme-msp/members/{ada}", role="auditor", reach="all").status_code == 403
    assert admin.get("/t/acme-msp/plugins").status_code == 403
    assert (
        admin.client.get("/t/acme-msp/retention").text.count('data-label="Kept"') == 1
    )  # its client's rule, not the company's
    assert second.post(f"/t/acme-msp/members/{own}", role="admin", reach="all").status_code == 200
    assert admin.post(f"/t/acme-msp/members/{ada}", role="auditor", reach="all").status_code == 200


def test_sign_in_again_before_what_is_dangerous(companies: Companies, acme: Company) -> None:
    """A browser left open changes no member, retention or installer for all; a sign-in later it does, in its other tab too."""
    admin = acme.browser("admin")
    asked = {
        f"/t/acme-msp/members/{acme.members['tom']}": {"role": "technician", "reach": "all"},
        f"/t/acme-msp/members/{acme.members['tom']}/link": {},
        "/t/acme-msp/members": {"name": "X", "email": "x@acme.example", "role": "auditor"},
        "/t/acme-msp/retention": {"days": "30"},
        "/t/acme-msp/enrolment": {"expires_hours": "1"},
    }
    with sqlite3.connect(companies.server.data / "catalogue.db", timeout=10) as catalogue:
        catalogue.execute("UPDATE browser_session SET proved_at = 0")
    assert "sign in again" in admin.get("/t/acme-msp/members").text
    for path, fields in asked.items():
        refused = admin.post(path, **fields)
        assert refused.status_code == 403, path
        assert "Sign in again" in refused.text, path
    headers = {"accept": "application/json", "x-csrftoken": admin.csrf()}
    problem = admin.client.post("/t/acme-msp/retention", data={"days": "30"}, headers=headers).json()
    assert problem["sign_in_again"] is True
    only_one = {"client": str(acme.clients["Harbor"]), "expires_hours": "1"}
    assert admin.post("/t/acme-msp/enrolment", **only_one).status_code == 200  # one client's is no danger to all
    assert acme.people["admin"].call("POST", "/installers", json={}).status_code == 201  # a token's scopes decide instead
    with sqlite3.connect(companies.server.data / "catalogue.db", timeout=10) as catalogue:
        catalogue.execute("UPDATE browser_session SET proved_at = created_at")
    for path, fields in asked.items():
        assert admin.post(path, **fields).status_code == 200, path


def test_what_a_provider_decides(tmp_path: Path) -> None:
    """Role and clients come with each sign-in and are said in the log once; nonsense gives no right; the last admin stays."""

    async def decided() -> None:
        config = Config()
        make_folder(tmp_path / "data", config)
        tenant = await make_tenant(tmp_path / "data", config, "Managed")
        house = await open_house(tmp_path / "data", config)
        try:
            await announce_tenant(house, tenant)
            boss = await add_member(house, tenant, "Boss", "boss@managed.example", Role.ADMIN)
            row = await add_member(house, tenant, "Kim", "kim@managed.example", Role.TECHNICIAN)
            size = await house.record.size(tenant.id, "audit")
            same = await members.managed(house, tenant.id, "oidc", row, "dispatcher", ("Nobody", " harbor "))
            assert (same.role, same.clients, same.managed_by) == ("dispatcher", frozenset(), "oidc")
            assert await house.record.size(tenant.id, "audit") == size + 1
            assert await house.catalogue.members.by_id(tenant.id, row.id) == same
            assert await members.managed(house, tenant.id, "oidc", same, "dispatcher", ("nobody",)) == same
            assert await house.record.size(tenant.id, "audit") == size + 1
            wrong = await members.managed(house, tenant.id, "oidc", same, "emperor", None)
            assert (wrong.role, wrong.clients) == ("dispatcher", frozenset())
            assert await members.managed(house, tenant.id, "oidc", boss, "auditor", None) == boss
            free = await members.managed(house, tenant.id, "oidc", wrong, None, None)
            assert (free.role, free.managed_by) == ("dispatcher", "")
        finally:
            await close_house(house)

    asyncio.run(decided())
