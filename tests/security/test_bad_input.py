"""Input that nobody means well: programs' requests made from the API's own description, and forms as no page would send them."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx2
import pytest
from companies import Companies
from doors import TLS, Browser, caisey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stage import Stage, set_stage

from .doors_table import API, PAGES
from .test_every_door import _addressed

TRIES = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "\r\n", "%00", "../../etc/passwd", "'; DROP TABLE x--"]
    ),
    st.text(max_size=20),
    st.builds(lambda size: "x" * size, st.sampled_from([100, 101, 500, 501, 4097, 20_001, 70_000])),
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 10**400, -(10**400)]),
    st.integers(),
    st.sampled_from([0.5, -0.0, 1e308, 1e-400]),
)
IDS = st.sampled_from(
    ["", "x", "00000000-0000-0000-0000-000000000000", "{" + str(UUID(int=1)) + "}", "urn:uuid:" + str(UUID(int=1))]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, IDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """A company with a session under way."""
    return set_stage(companies, companies.acme)


@pytest.fixture(scope="module")
def client(companies: Companies) -> Iterator[httpx2.Client]:
    """A client for programs' requests."""
    with httpx2.Client(base_url=companies.url, verify=TLS, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def description(client: httpx2.Client) -> Any:
    """The API's own description."""
    return client.get("/api/v1/openapi.json").json()


def _problem(answer: httpx2.Response) -> None:
    """Fail unless this is a success, or a problem told as RFC 9457 wants it and in our words."""
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["request_id"] == answer.headers["x-request-id"]
    for member in ("title", "detail", "what_to_do"):
        assert said[member], said
    for word in ("Traceback", "msgspec", "litestar", "sqlite", "piccolo", "site-packages", "UUID("):
        assert word not in answer.text, answer.text


def _resolved(description: Any, schema: Any) -> Any:
    while "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _good(description: Any, schema: Any, stage: Stage, name: str = "") -> Any:
    """Return a value that fits a schema of the description, and an id of what the name says."""
    schema = _resolved(description, schema)
    if name.startswith("technician"):
        name = "identity"
    for choice in schema.get("oneOf", []) + schema.get("anyOf", []):
        if choice.get("type") != "null":
            return _good(description, choice, stage, name)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _good(description, inner, stage, name) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [_good(description, schema.get("items") or {"type": "string"}, stage, name)]
        case "integer":
            return 5
        case "boolean":
            return True
        case "null":
            return None
    return stage.ids.get(name, stage.ids["device"]) if schema.get("format") == "uuid" else "run"


def _operations(description: Any) -> dict[str, Any]:
    found = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/v1/t/"):
                found[f"{method.upper()} {path}"] = operation
    return found


def test_the_description_is_of_the_api(description: Any) -> None:
    """It describes each door for programs, and none that is for browsers."""
    doors = {route.replace(":str}", "}").replace(":uuid}", "}").replace(":int}", "}") for route in API}
    assert set(_operations(description)) == doors
    assert {path for path in description["paths"] if not path.startswith("/api/v1/t/")} == {"/agent/enrol"}


@pytest.mark.parametrize("route", [route for route, door in API.items() if door.kind != "stream"])
def test_each_operation_of_the_api(
    companies: Companies, acme: Stage, client: httpx2.Client, description: Any, route: str
) -> None:
    """One wrong thing in an otherwise right request, forty times: never a broken server, always a problem in words."""
    operation = _operations(description)[route.replace(":str}", "}").replace(":uuid}", "}").replace(":int}", "}")]
    door = API[route]
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    good = _good(description, schema, acme) if schema else {}
    queries = [one["name"] for one in operation.get("parameters", []) if one.get("in") == "query"]
    who = "admin" if "admin" in door.may else "senior"
    token = {"authorization": f"Bearer {acme.company.people[who].token}"}

    @TRIES
    @given(
        st.sampled_from([*good, "one more", "the whole", "a path", *queries]),
        VALUES,
        TEXTS.filter(lambda text: len(text) < 5000),
        st.integers(0, 1),
    )
    def tried(where: str, value: Any, text: str, spoil: int) -> None:
        method, address = _addressed(route, acme.id)
        if where == "a path":
            parts = address.split("/")
            parts[-1 - spoil] = quote(text.encode(errors="replace"), safe="") or "x"
            address = "/".join(parts)
        body: Any = dict(good)
        if where == "the whole":
            body = value
        elif where == "one more" or where in good:
            body[where] = value
        elif route.endswith("/complete"):
            body["resolution"] = "gone"  # else the session would end here
        if route.endswith(("/complete", "/remove")) and where in ("one more", "reason", "notes", "checked"):
            body["more"] = 1
        params = {where: text.encode(errors="replace").decode()} if where in queries else door.query
        content = json.dumps(body).encode()
        headers = {**token, "content-type": "application/json"}
        sent = {"content": content} if method == "POST" else {}
        _problem(client.request(method, address, params=params, headers=headers, **sent))

    tried()


RAW = {
    "nothing": b"",
    "no JSON": b"{",
    "two values": b"{}{}",
    "a list": b"[]",
    "null": b"null",
    "a lone number": b"1e999",
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "2 MB": b'{"reason": "' + b"x" * (2 << 20) + b'"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "broken UTF-8": b'{"name": "\xff\xfe"}',
    "overlong": b'{"name": "\xc0\x80"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "a surrogate as UTF-8": b'{"name": "\xed\xa0\x80"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "twice the same": b'{"name": "a", "name": "b"}',
    "NaN": b'{"uses": NaN}',
}
TYPES = [
    "application/json",
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "x",
    "",
]


@pytest.mark.parametrize("content", RAW.values(), ids=RAW)
@pytest.mark.parametrize("path", ["/installers", "/assignments", "/devices/DEVICE/rename", "/sessions/SESSION/files/download"])
def test_bodies_that_are_none(acme: Stage, client: httpx2.Client, path: str, content: bytes) -> None:
    """Whatever the bytes and whatever they say to be."""
    who = "senior" if "download" in path else "admin"
    address = "/api/v1/t/acme-msp" + path.replace("DEVICE", acme.ids["device"]).replace("SESSION", acme.ids["session"])
    for kind in TYPES:
        headers = {"authorization": f"Bearer {acme.company.people[who].token}"} | ({"content-type": kind} if kind else {})
        answer = client.post(address, content=content, headers=headers)
        _problem(answer)
        if len(content) > 1 << 20:
            assert answer.status_code == 413


@pytest.mark.parametrize("content", RAW.values(), ids=RAW)
def test_enrolment_with_anything(client: httpx2.Client, content: bytes) -> None:
    """The door that strangers may knock at."""
    for kind in TYPES:
        answer = client.post("/agent/enrol", content=content, headers={"content-type": kind} if kind else {})
        _problem(answer)
        assert answer.status_code >= 400


@TRIES
@given(st.fixed_dictionaries(dict.fromkeys(("token", "public_key", "proof", "name", "system", "platform"), TEXTS)))
def test_enrolment_with_odd_texts(client: httpx2.Client, asked: dict[str, str]) -> None:
    """Keys and proofs that are none are refused in words, and slowed down."""
    answer = client.post("/agent/enrol", content=json.dumps(asked), headers={"content-type": "application/json"})
    _problem(answer)
    assert answer.status_code in (403, 413, 422, 429)


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=%00",
        "after=" + "9" * 4000,
        "client=x",
        "client=&client=",
        "status=gone",
        "pending=%FF",
        "q=%",
        "q=%FF%FE",
        "q=%ED%A0%80",
        "q=" + "word+" * 1500,
        "technician=00000000-0000-0000-0000-000000000000",
        "&&&=&=",
        "unknown=1",
    ],
)
def test_absurd_filters(acme: Stage, client: httpx2.Client, query: str) -> None:
    """Of the API and of the pages alike."""
    token = {"authorization": f"Bearer {acme.company.people['admin'].token}"}
    _problem(client.get(f"/api/v1/t/acme-msp/devices?{query}", headers=token))
    browser = acme.company.browser("admin")
    for page in ("", "sessions", "search", "audit", "queue"):
        assert browser.get(f"/t/acme-msp/{page}?{query}").status_code < 500, page


@pytest.mark.parametrize("before", ["-1", "0", "x", "9" * 30, "9223372036854775808", "1.5", "%00", ""])
def test_absurd_places_in_the_audit_log(acme: Stage, before: str) -> None:
    """A place that is none is refused, or shown as the nearest."""
    assert acme.company.browser("admin").get(f"/t/acme-msp/audit?before={before}").status_code in (200, 422)


FORMS = {route: door for route, door in PAGES.items() if route.startswith("POST") and door.kind == "form"}


@pytest.mark.parametrize("route", FORMS)
def test_each_form(acme: Stage, route: str) -> None:
    """A form with a wrong value is refused in words, for a page's dialog and for a browser without scripts; nothing breaks."""
    door = FORMS[route]
    browser = acme.company.browser("admin" if "admin" in door.may else "senior")
    fields = door.wanted or {}

    @TRIES
    @given(st.sampled_from([*fields, "due_minutes", "one more"]), st.one_of(TEXTS, IDS, NUMBERS.map(str)), st.booleans())
    def tried(where: str, value: str, dialog: bool) -> None:
        _, address = _addressed(route, acme.id)
        sent = dict(fields)
        sent[where] = value.encode(errors="replace").decode()
        headers = {"x-csrftoken": browser.csrf(), "accept": "application/json" if dialog else "text/html"}
        answer = browser.client.post(address, data=sent, headers=headers, follow_redirects=False)
        if dialog and not answer.headers["content-type"].startswith("text/html"):
            _problem(answer)
        assert answer.status_code < 500, answer.text

    tried()


BODIES = {
    "broken escapes": (b"name=%FF%FE%ED%A0%80&reason=%", "application/x-www-form-urlencoded"),
    "NUL": (b"name=a%00b", "application/x-www-form-urlencoded"),
    "many fields": (b"&".join(b"a%d=1" % i for i in range(5000)), "application/x-www-form-urlencoded"),
    "no boundary": (b"x", "multipart/form-data"),
    "broken parts": (
        b"--b\r\nContent-Disposition: form-data; name=name\r\n\r\n\xff\xfe\r\n--b--",
        "multipart/form-data; boundary=b",
    ),
    "half a part": (b"--b\r\nContent-Dis", "multipart/form-data; boundary=b"),
    "a file": (
        b'--b\r\nContent-Disposition: form-data; name="name"; filename="x"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "JSON": (b'{"name": "x"}', "application/json"),
    "no type": (b"name=x", ""),
    "another alphabet": (b"name=x", "application/x-www-form-urlencoded; charset=utf-7"),
    "no alphabet": (b"name=x", "text/plain; charset=none"),
}


@pytest.mark.parametrize(("content", "kind"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    "path", ["clients", "members", "enrolment", "assignments", "notices/read", "account/password", "sign-in"]
)
def test_forms_that_are_none(acme: Stage, path: str, content: bytes, kind: str) -> None:
    """Whatever the bytes of a form."""
    browser = acme.company.browser("admin")
    headers = {"x-csrftoken": browser.csrf()} | ({"content-type": kind} if kind else {})
    answer = browser.client.post(f"/t/acme-msp/{path}", content=content, headers=headers, follow_redirects=False)
    assert answer.status_code < 500, answer.text


def _kept(browser: Browser, path: str, **fields: str) -> str:
    answer = browser.post(f"/t/acme-msp/{path}", **fields)
    assert answer.status_code == 422, answer.text
    assert 'role="alert"' in answer.text
    assert 'aria-invalid="true"' in answer.text, "the input is marked"
    return answer.text


def test_forms_keep_what_was_typed(acme: Stage) -> None:
    """A page whose form complains shows it with all that was typed, and marks the field."""
    browser, client = acme.company.browser("admin"), acme.ids["client"]
    assert 'value="' + "x" * 101 in _kept(browser, "clients", name="x" * 101)
    text = _kept(browser, "members", name="Nora", email="nowhere", role="auditor")
    assert 'value="Nora"' in text
    assert 'value="nowhere"' in text
    assert '<option value="auditor" selected' in text
    for uses, hours in (("0", "168"), ("1.5", "168"), ("many", ""), ("999999999999999999999999", "720"), ("5", "soon")):
        text = _kept(browser, "enrolment", client=client, device_name="KIOSK", uses=uses, expires_hours=hours)
        assert 'value="KIOSK"' in text
        assert f'<option value="{client}" selected' in text
        assert f'value="{uses}"' in text
        if hours != "soon":
            assert f'<option value="{hours}" selected' in text
    stranger = Browser(browser.url)
    stranger.get("/t/acme-msp/sign-in")
    refused = stranger.post("/t/acme-msp/sign-in", _plugin="local-accounts", _to="/t/acme-msp/queue", email="x@y", password="x")
    assert 'value="x@y"' in refused.text
    assert 'value="/t/acme-msp/queue"' in refused.text


def test_dialogs_are_told_the_field(acme: Stage) -> None:
    """A page's dialog stays as it is; the answer names the field to mark."""
    browser, ids = acme.company.browser("admin"), acme.ids
    session, device = f"sessions/{ids['session']}", f"devices/{ids['device']}"
    senior = acme.company.browser("senior")
    mia = str(acme.company.members["mia"])
    other = acme.company.raw["SPARE"].id
    for who, path, fields, field in (
        (browser, "assignments", {"technicians": mia, "reason": "x"}, "devices"),
        (browser, "assignments", {"devices": ids["device"], "reason": "x"}, "technicians"),
        (browser, "assignments", {"devices": ids["device"], "technicians": mia}, "reason"),
        (browser, "assignments", {"devices": "x", "technicians": mia, "reason": "x"}, "devices"),
        (browser, "assignments", {"devices": ids["device"], "technicians": mia, "reason": "x", "priority": "y"}, "priority"),
        (
            browser,
            "assignments",
            {"devices": ids["device"], "technicians": mia, "reason": "x", "due_minutes": "y"},
            "due_minutes",
        ),
        (
            browser,
            "assignments",
            {"devices": ids["device"], "technicians": mia, "reason": "x", "due_minutes": "9" * 20},
            "due_at",
        ),
        (browser, f"{device}/rename", {}, "name"),
        (browser, f"{device}/rename", {"name": "x" * 101}, "name"),
        (browser, f"{device}/move", {"client": "x"}, "client"),
        (browser, f"{session}/nudge", {"message": "x" * 501}, "message"),
        (browser, f"{session}/reassign", {"technician": ""}, "technician"),
        (browser, f"clients/{ids['client']}/rename", {"name": " "}, "name"),
        (senior, f"devices/{other}/sessions", {"scopes": "run"}, "reason"),
        (senior, f"devices/{other}/sessions", {"reason": "x"}, "scopes"),
        (senior, f"devices/{other}/sessions", {"reason": "x", "scopes": "fly"}, "scopes"),
        (senior, f"devices/{other}/sessions", {"reason": "x", "scopes": "admin"}, "scopes"),
        (senior, f"devices/{other}/sessions", {"reason": "x", "scopes": "run", "duration_minutes": "0"}, "duration_minutes"),
        (senior, f"devices/{other}/sessions", {"reason": "x", "scopes": "run", "duration_minutes": "1e9"}, "duration_minutes"),
        (senior, f"{session}/complete", {"notes": "x"}, "resolution"),
        (senior, f"{session}/complete", {"resolution": "fixed"}, "notes"),
        (senior, f"{session}/complete", {"resolution": "fixed", "notes": "x"}, "checked"),
    ):
        headers = {"accept": "application/json", "x-csrftoken": who.csrf()}
        answer = who.client.post(f"/t/acme-msp/{path}", data=fields, headers=headers)
        said = (path, fields, answer.text)
        assert answer.status_code == 422, said
        assert answer.json()["field"] == field, said
        assert answer.json()["detail"].endswith("."), said
        assert answer.json()["what_to_do"], said


def test_a_due_time_beyond_all_calendars(acme: Stage) -> None:
    """It is refused; a queue that holds it could not be shown any more."""
    order = {"devices": [str(acme.company.raw["SPARE"].id)], "technicians": [str(acme.company.members["tom"])], "reason": "x"}
    for due_at in (10**30, 2**63 - 1, 2**62, -(2**62), -1, 0):
        answer = acme.company.people["admin"].call("POST", "/assignments", json={**order, "due_at": due_at})
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == "due_at"


def test_afterwards_everything_stands(companies: Companies, acme: Stage) -> None:
    """After all of the above: each page is shown, nothing broke in the log, and the record verifies."""
    for route, door in PAGES.items():
        if route.startswith("GET") and door.kind != "stream":
            browser = acme.company.browser("admin" if "admin" in door.may else "senior")
            answer = browser.get(_addressed(route, acme.id)[1])
            assert answer.status_code == 200, (route, answer.text)
    assert '"level": "error"' not in companies.server.log()
    assert companies.server.stop() == 0
    verdict = caisey("verify", "--data", str(companies.server.data))
    assert verdict.returncode == 0, verdict.stderr
