"""Text that wants to be markup, or more: shown as text on every page, in every stream, on the device, and in downloads."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote
from uuid import UUID

import httpx2
import pytest
from companies import Companies, Company
from doors import TLS
from sharing import Review, ran, reader, served

from caisey_agent.protocol import frames as f

from .doors_table import PAGES
from .test_every_door import _addressed

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{1337*7}}${1337*7}&lt;\u202egnp.exe"
SHORT = "<b onclick='x'>\"\u202e&amp;"
TAGS = {"script", "img", "iframe", "object", "embed", "base", "link", "meta"}


class Reader(HTMLParser):
    """Reads a page as a browser does: elements with attributes, and texts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)


def read(text: str) -> Reader:
    """Read a page; fails if it holds an element or attribute that only the hostile text could have made."""
    page = Reader()
    page.feed(text)
    page.close()
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, attributes)
            assert name != "style", "the policy forbids style attributes"
            assert not (value or "").strip().lower().startswith("javascript:"), (tag, attributes)
        assert not (tag == "script" and "src" not in attributes and attributes.get("type") != "application/json"), attributes
        assert tag not in ("iframe", "object", "embed", "base")
        assert not (tag == "img" and attributes.get("src") == "x")
        assert not (tag == "b" and "onclick" in attributes)
    assert not any("9359" in one for one in page.texts)
    return page


@pytest.fixture(scope="module")
def company(companies: Companies) -> Company:
    """A company where everything that can be named is named badly, and each output is an attack."""
    acme = companies.acme
    admin, dispatcher, tom = acme.people["admin"], acme.people["dispatcher"], acme.people["tom"]
    browser = acme.browser("admin")
    browser.post("/t/acme-msp/clients", name=HOSTILE[:100])
    browser.post("/t/acme-msp/members", name=HOSTILE[:100], email="<b>@x.example", role="technician")
    browser.post(f"/t/acme-msp/clients/{acme.clients['Harbor']}/rename", name=SHORT)
    device = companies.raw_device(acme, HOSTILE[:90], "Harbor", user=HOSTILE, system=HOSTILE, architecture=HOSTILE)
    acme.raw["D"] = acme.raw.pop(device.name)
    admin.post(f"/devices/{device.id}/rename", {"name": HOSTILE[:100]})
    order = {"devices": [str(device.id)], "technicians": [str(acme.members["tom"])], "reason": HOSTILE, "priority": "urgent"}
    dispatcher.post("/assignments", order)
    admin.post("/installers", {"client": str(acme.clients["Harbor"]), "device_name": HOSTILE[:100]})
    session = acme.ask("D", reason=HOSTILE)
    dispatcher.post(f"/sessions/{session}/nudge", {"message": HOSTILE})
    device.answer(who=HOSTILE)
    acme.state(session, "active")
    tom.post(f"/sessions/{session}/commands", {"line": f"echo '{HOSTILE}'"})
    osc = "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x9b31m\x00\x08"
    device.ran(device.hear(f.Run), (HOSTILE + osc).encode(), directory=HOSTILE)
    transfer = tom.post(f"/sessions/{session}/files/download", {"path": f"/tmp/{HOSTILE}".replace("/s", "s")})["id"]
    device.hear(f.GetFile)
    failed = f.TransferFailed(session=UUID(session), transfer=UUID(transfer), reason=HOSTILE)
    device.settled(device.say(failed))
    device.settled(device.say(f.ShellEnded(session=UUID(session), reason=HOSTILE)))
    dispatcher.post(f"/sessions/{session}/reassign", {"technician": str(acme.members["mia"]), "reason": HOSTILE})
    dispatcher.post(f"/sessions/{session}/reassign", {"technician": str(acme.members["tom"]), "reason": HOSTILE})
    return acme


def _address(company: Company, route: str) -> str:
    ids = {
        "tenant": company.slug,
        "device": str(company.raw["D"].id),
        "session": company.sessions[0],
        "position": "0",
        "plugin": "local-accounts",
    }
    if "identity" in route:
        members = company.people["admin"].get("/members")["items"]
        ids["identity"] = next(one["id"] for one in members if one["email"].startswith("<b>"))
    if "transcript" in route:
        ids["transcript"] = Review.of(company.people["dispatcher"], company.sessions[0]).id
    return _addressed(route, lambda name: ids[name])[1]


SHOWN = [
    route
    for route, door in PAGES.items()
    if route.startswith("GET") and door.kind not in ("stream", "file") and "files" not in route and "output" not in route
]


@pytest.mark.parametrize("who", ["admin", "tom", "auditor"])
@pytest.mark.parametrize("route", SHOWN)
def test_every_page(company: Company, route: str, who: str) -> None:
    """No page lets a name, a reason, a message or an output become an element, an attribute or a script."""
    answer = company.browser(who).get(_address(company, route))
    if who not in PAGES[route].may:
        assert answer.status_code == 403
    if not answer.headers["content-type"].startswith("text/html"):
        assert answer.headers["x-content-type-options"] == "nosniff"
        return
    read(answer.text)


def test_what_a_link_shows(company: Company) -> None:
    """The reader's page, and the page in the bundle, hold all of it as text; so do a reviewer's own words."""
    ran(company, company.raw["D"], company.sessions[0], "echo quite-harmless", b"yes\n")
    review = Review.of(company.people["dispatcher"], company.sessions[0]).keep_marks()
    review.cuts[review.line("echo quite-harmless")["id"]] = {"text": f"mine {HOSTILE[:90]}"}
    link = review.publish_saved()["link"]
    shown = served(link)
    for text in (shown.page.text, shown.parts["index.html"].decode()):
        said = "".join(read(text).texts)
        assert f"mine {HOSTILE[:90]}" in said
        assert said.count(HOSTILE[:90]) > 3
    with reader() as who:
        read(who.get(f"{link}x").text)


def test_the_hostile_text_is_really_shown(company: Company) -> None:
    """The test above looked at pages that hold it: as text, whole, with nothing of it lost."""
    for route, who, wanted in (
        ("GET /t/{tenant:str}", "admin", HOSTILE[:100]),
        ("GET /t/{tenant:str}/devices/{device:uuid}", "tom", HOSTILE),
        ("GET /t/{tenant:str}/sessions", "tom", HOSTILE),
        ("GET /t/{tenant:str}/queue", "tom", HOSTILE),
        ("GET /t/{tenant:str}/notices", "tom", HOSTILE),
        ("GET /t/{tenant:str}/clients", "tom", SHORT),
        ("GET /t/{tenant:str}/members", "tom", HOSTILE[:100]),
        ("GET /t/{tenant:str}/sessions/{session:uuid}/review", "tom", HOSTILE),
        ("GET /t/{tenant:str}/audit", "admin", HOSTILE[:100]),
        ("GET /t/{tenant:str}/enrolment", "admin", HOSTILE[:100]),
    ):
        texts = " ".join(" ".join(read(company.browser(who).get(_address(company, route)).text).texts).split())
        assert " ".join(wanted.split()) in texts, route


@pytest.mark.parametrize(
    "query",
    [
        "?q={x}",
        "?after={x}",
        "?client={x}&status={x}&pending={x}&technician={x}",
        "sessions?q={x}&client={x}",
        "search?q={x}",
        "sign-in?to={x}",
        "audit?before={x}",
        "events?page={x}",
        "{x}",
        "devices/{x}",
    ],
)
def test_addresses(company: Company, query: str) -> None:
    """What stands in an address comes back as text or not at all."""
    address = f"/t/acme-msp/{query}".replace("{x}", httpx2.QueryParams({"x": HOSTILE})["x"].replace("&", "%26"))
    with company.browser("admin").client.stream("GET", address.replace("#", "%23")) as answer:
        if answer.headers["content-type"].startswith("text/event-stream"):
            return
        answer.read()
        assert answer.status_code < 500, answer.text
        if "html" in answer.headers["content-type"]:
            read(answer.text)


def test_forms_that_are_refused_give_back_text(company: Company) -> None:
    """What was typed stays in the form, as a value and nothing else."""
    browser = company.browser("admin")
    for path, fields in (
        ("clients", {"name": HOSTILE * 3}),
        ("members", {"name": HOSTILE, "email": HOSTILE, "role": HOSTILE}),
        ("enrolment", {"device_name": HOSTILE * 3, "client": str(company.clients["Harbor"])}),
        ("enrolment", {"device_name": HOSTILE, "uses": HOSTILE}),
    ):
        answer = browser.post(f"/t/acme-msp/{path}", **fields)
        assert answer.status_code == 422, answer.text
        page = read(answer.text)
        if path != "enrolment" or "uses" not in fields:
            assert any(a.get("value") in fields.values() for tag, a in page.elements if tag == "input"), path


def test_control_sequences_do_not_reach_the_review(company: Company) -> None:
    """Titles, clipboard writes, links and cursor moves of a terminal are not in the page's text."""
    text = company.browser("tom").get(_address(company, "GET /t/{tenant:str}/sessions/{session:uuid}/review")).text
    assert "ZXZpbA" not in text
    assert "http://evil.example" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", text)


def test_the_stream_that_keeps_pages_current(company: Company) -> None:
    """Rows that come by the event stream are as harmless as those in the page."""
    said, name = "", f"new {HOSTILE[:90]}"
    device = company.raw["D"].id
    with company.browser("admin").client.stream("GET", "/t/acme-msp/events?page=devices") as stream:
        for text in stream.iter_text():
            if not said:
                company.people["admin"].post(f"/devices/{device}/rename", {"name": name})
            said += text
            if str(device) in said.rpartition("\n\n")[0]:
                break
    rows = read("\n".join(line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")))
    assert name in "".join(rows.texts)


def test_a_file_keeps_its_name(companies: Companies, company: Company) -> None:
    """A downloaded file is called what it was called on the device: quotes and line breaks end no header."""
    device, tom = company.raw["D"], company.people["tom"]
    session = company.sessions[0]
    for name in ("a b.txt", 'quote".txt', "naïve 漢字.txt", "semi;colon=.txt", "x\r\nset-cookie: a=b.txt"):
        transfer = tom.post(f"/sessions/{session}/files/download", {"path": f"/tmp/{name}"})["id"]
        asked = device.hear(f.GetFile)
        device.settled(device.say(device.transferred(asked.session, asked.transfer, asked.path, b"", asked.seed)))
        answer = tom.call("GET", f"/sessions/{session}/files/{transfer}")
        assert answer.status_code == 200, answer.text
        assert "set-cookie" not in answer.headers
        said = answer.headers["content-disposition"]
        found = re.fullmatch(r"attachment; filename(?:\*=utf-8'')?=?\"?([^\"]+)\"?", said, re.I)
        assert found is not None, said
        assert unquote(found.group(1)) == name, said


def test_the_person_at_a_device_reads_text(companies: Companies, company: Company) -> None:
    """The consent page shows names, reasons and messages of the server as text."""
    device = companies.start_device(company, "PC", "Northwind")
    session = company.ask("PC", "mia", reason=HOSTILE)
    assert device.asked() == session
    company.people["dispatcher"].post(f"/sessions/{session}/nudge", {"message": HOSTILE})
    shown = httpx2.get(device.consent_page, verify=TLS)
    read(shown.text)
    assert device.answer(session) == 200
    company.state(session, "active")
    company.people["mia"].post(f"/sessions/{session}/commands", {"line": f"true '{HOSTILE}'"})
    company.people["mia"].post(f"/sessions/{session}/complete", {"resolution": "no-fault", "notes": HOSTILE})
    company.state(session, "completed")
    read(device.page())
    read(company.browser("mia").get(f"/t/acme-msp/sessions/{session}/review").text)
