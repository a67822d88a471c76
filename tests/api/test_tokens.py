"""API tokens: what their scopes allow, for which clients, until when; services, which are actors of their own."""

from typing import Any
from uuid import uuid4

import pytest
from companies import NARROW, Companies
from stage import Stage, set_stage
from tokens import id_of, make

SCOPES = ("read", "dispatch", "work", "share", "enrol", "manage", "audit", "admin")


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """A company with a session under way."""
    return set_stage(companies, companies.acme)


# one act of each scope, with something that is refused or harmless once the right to do it was found
ACTS: dict[str, tuple[str, str, Any]] = {
    "read": ("GET", "/sessions/{session}", None),
    "dispatch": ("POST", "/assignments", {"devices": [], "technicians": [], "reason": ""}),
    "work": ("POST", "/sessions/{session}/commands", {"line": " "}),
    "share": ("POST", "/sessions/{session}/transcripts", None),
    "enrol": ("POST", "/installers", {"uses": 0}),
    "manage": ("POST", "/devices/{device}/rename", {"name": ""}),
    "audit": ("GET", "/audit", None),
    "admin": ("POST", "/retention", {"days": -1}),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_allows_its_acts_and_no_others(acme: Stage, scope: str) -> None:
    """A token with one scope: in at its door, and told at each other that the token may not."""
    who = "senior" if scope in ("work", "share") else "admin"
    token = make(acme.company.browser(who), acme.company.people[who], scopes=[scope])
    for other, (method, path, body) in ACTS.items():
        address = path.format(session=acme.ids["session"], device=acme.ids["device"])
        answer = token.call(method, address, json=body)
        if other == scope:
            assert answer.status_code in (200, 201, 409, 422), (other, answer.text)
        else:
            assert answer.status_code == 403, (other, answer.text)
            assert "token may not" in answer.json()["detail"] or who == "senior", answer.text
    me = token.get("/me")
    assert (me["role"], me["service"]) == (acme.company.people[who].role, False)


def test_nothing_is_read_without_the_scope(acme: Stage) -> None:
    """A token that may only make installers sees no device, session, client, member, notice or key, and hears of no change."""
    token = make(acme.company.browser("admin"), acme.company.people["admin"], scopes=["enrol"])
    session, device = acme.ids["session"], acme.ids["device"]
    closed = ["/devices", f"/devices/{device}", "/queue", "/sessions", "/sessions/ended", f"/sessions/{session}", "/clients"]
    closed += [
        f"/sessions/{session}/card",
        f"/sessions/{session}/entries",
        f"/sessions/{session}/proof",
        "/members",
        "/notices",
    ]
    closed += [f"/sessions/{session}/bundle", f"/sessions/{session}/terminal.cast", f"/sessions/{session}/transcripts"]
    closed += [f"/sessions/{session}/commands/{acme.ids['command']}/output", "/search?q=desk", "/find?q=desk", "/events"]
    closed += ["/keys", "/shares", "/audit", "/audit/export", "/plugins", "/retention", f"/transcripts/{acme.id('transcript')}"]
    for path in closed:
        answer = token.call("GET", path)
        assert answer.status_code == 403, (path, answer.status_code)
        assert "DESK" not in answer.text
    assert token.get("/installers")["items"]


def test_a_token_never_does_more_than_its_owner(acme: Stage) -> None:
    """A scope that the role has nothing of cannot be chosen; of one that it has a part of, the part is what counts."""
    company = acme.company
    refused = company.browser("tom").post(f"/t/{company.slug}/tokens", label="x", scopes=["enrol"], expires_days="7")
    assert refused.status_code == 422
    assert "cannot have the scope enrol" in refused.text
    token = make(company.browser("tom"), company.people["tom"], scopes=["read", "dispatch", "work"])
    assert token.call("POST", f"/sessions/{acme.ids['session']}/nudge", json={"message": "x" * 501}).status_code == 422
    assigned = token.call("POST", "/assignments", json={"devices": [], "technicians": [], "reason": ""})
    assert assigned.status_code == 403
    assert "as technician" in assigned.json()["detail"]


def test_clients_narrow_a_token(acme: Stage) -> None:
    """Nothing of another client is there; a client that one does not serve, or of another company, cannot be chosen."""
    company, admin = acme.company, acme.company.people["admin"]
    northwind, harbor = company.clients["Northwind"], company.clients["Harbor"]
    token = make(company.browser("admin"), admin, scopes=["read", "dispatch"], clients=[str(northwind)])
    assert token.get("/me")["clients"] == [str(northwind)]
    assert [one["id"] for one in token.get("/clients")["items"]] == [str(northwind)]
    assert token.get("/devices")["groups"] == []
    assert token.get("/sessions/ended?client=" + str(harbor))["items"] == []
    for path in (f"/devices/{acme.ids['device']}", f"/sessions/{acme.ids['session']}", f"/sessions/{acme.ids['session']}/card"):
        assert token.call("GET", path).status_code == 404
    wide = {"label": "x", "expires_days": "7", "clients": [str(northwind)]}
    for scope in ("audit", "admin", "enrol", "manage"):
        answer = company.browser("admin").post(f"/t/{company.slug}/tokens", scopes=[scope], **wide)
        assert (answer.status_code, "reaches over all clients" in answer.text) == (422, True), scope
    for who, foreign in ((NARROW, harbor), ("admin", uuid4())):
        form = {"label": "x", "scopes": ["read"], "clients": [str(foreign)], "expires_days": "7"}
        assert company.browser(who).post(f"/t/{company.slug}/tokens", **form).status_code == 422
    own = make(company.browser(NARROW), company.people[NARROW], scopes=["read"])
    assert own.get("/me")["clients"] == [str(northwind)]


def test_a_service_is_an_actor_of_its_own(acme: Stage) -> None:
    """It has no account; what it does stands in the audit log under its name; it never works in a session."""
    company, admin = acme.company, acme.company.people["admin"]
    service = make(company.browser("admin"), admin, service=True, label="Monitoring", scopes=["read", "dispatch", "manage"])
    me = service.get("/me")
    assert (me["name"], me["service"], me["role"]) == ("Monitoring (service)", True, None)
    client = service.post("/clients", {"name": "Made by a service"})["id"]
    service.post(f"/clients/{client}/rename", {"name": "Renamed by a service"})
    entries = admin.get("/audit?q=by a service")["items"]
    assert {one["actor"] for one in entries} == {"Monitoring (service)"}
    created = admin.get("/audit?q=Monitoring token")["items"]
    assert any("for a service with read, dispatch, manage" in one["sentence"] for one in created)
    assert service.call("GET", "/audit").status_code == 403
    answer = company.browser("admin").post(f"/t/{company.slug}/tokens/services", label="x", scopes=["work"], expires_days="7")
    assert (answer.status_code, "cannot have the scope work" in answer.text) == (422, True)
    by_tom = company.browser("tom").post(f"/t/{company.slug}/tokens/services", label="x", scopes=["read"], expires_days="7")
    assert by_tom.status_code == 403
    assert service.get("/notices") == {"items": [], "next": ""}
    assert service.get("/queue") == {"mine": [], "sessions": []}


def test_revoked_at_once(acme: Stage) -> None:
    """By its owner, or by an admin; not by others, to whom it is not there; and it says so in the audit log."""
    company = acme.company
    mine = make(company.browser("tom"), company.people["tom"], label="Tom's program")
    token = id_of(company.people["tom"], "Tom's program")
    for stranger in (company.people["mia"], company.people["dispatcher"]):
        assert stranger.call("POST", f"/tokens/{token}/revoke").status_code == 404
        assert token not in str(stranger.get("/tokens"))
    mine.get("/me")
    company.people["tom"].post(f"/tokens/{token}/revoke")
    assert mine.call("GET", "/me").status_code == 401
    assert company.people["tom"].call("POST", f"/tokens/{token}/revoke").status_code == 409
    second = make(company.browser("mia"), company.people["mia"], label="Mia's program")
    assert company.people["mia"].token not in company.browser("admin").get(f"/t/{company.slug}/tokens").text
    company.people["admin"].post(f"/tokens/{id_of(company.people['mia'], 'Mia' + chr(39) + 's program')}/revoke")
    assert second.call("GET", "/me").status_code == 401
    said = [one["sentence"] for one in company.people["admin"].get("/audit?q=revoked token")["items"]]
    assert any("Tom's program" in one for one in said)


def test_a_token_makes_no_token(acme: Stage) -> None:
    """There is no such door for programs, and the page's own is not open to a bearer."""
    admin = acme.company.people["admin"]
    assert admin.call("POST", "/tokens", json={"label": "x"}).status_code == 405
    shown = admin.get("/tokens")["items"]
    assert admin.token not in str(shown)
    mine = next(one for one in shown if one["last_used_at"])
    assert mine["last_used_from"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("label", "", "name is missing"),
        ("label", "x" * 101, "name is missing or longer"),
        ("scopes", [], "No scope is chosen"),
        ("scopes", ["everything"], "cannot have the scope"),
        ("expires_days", "0", "between 1 and 730"),
        ("expires_days", "731", "between 1 and 730"),
        ("expires_days", "soon", "cannot be read"),
        ("clients", ["x"], "cannot be read"),
    ],
)
def test_what_is_typed_wrong_is_said(acme: Stage, field: str, value: Any, words: str) -> None:
    """In place, with the form as it was."""
    form = {"label": "A program", "scopes": ["read"], "expires_days": "30", field: value}
    answer = acme.company.browser("admin").post(f"/t/{acme.company.slug}/tokens", **form)
    assert answer.status_code == 422
    assert words in answer.text


def test_another_company(companies: Companies, acme: Stage) -> None:
    """A token opens nothing at another company's address, and its id is not there for another company's admin."""
    bolt = companies.bolt
    make(acme.company.browser("admin"), acme.company.people["admin"], service=True, label="Acme's own")
    token = id_of(acme.company.people["admin"], "Acme's own")
    there = bolt.people["admin"].call("POST", f"/tokens/{token}/revoke")
    nothing = bolt.people["admin"].call("POST", f"/tokens/{uuid4()}/revoke")
    assert there.status_code == nothing.status_code == 404
    assert token not in str(bolt.people["admin"].get("/tokens?limit=200"))
    answer = acme.company.people["admin"]
    headers = {"authorization": f"Bearer {answer.token}"}
    foreign = bolt.browser("admin").client.get("/api/v1/t/bolt-msp/me", headers=headers)
    assert foreign.status_code == 404
