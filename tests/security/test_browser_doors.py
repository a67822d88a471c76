"""What a browser can be made to do: forms from elsewhere, stolen or planted cookies, links used twice, addresses that lead away."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from companies import Companies, Company, two_companies
from doors import TLS, Browser, caisey
from stage import FILE, POSITION, Stage, set_stage

from .doors_table import API, PAGES, Door
from .test_every_door import _addressed

POSTS = {route: door for route, door in PAGES.items() if route.startswith("POST")}
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PASSWORD = "seven lamps on a hill"


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """A company with a session under way."""
    return set_stage(companies, companies.acme)


def _new_browser(companies: Companies) -> Browser:
    made = Browser(companies.url)
    made.get("/t/acme-msp/sign-in")
    return made


def _link(company: Company, who: str) -> str:
    """Return another one-time sign-in link."""
    text = company.browser("admin").post(f"/t/{company.slug}/members/{company.members[who]}/link").text
    found = re.search(r'id="made-link">([^<]+)<', text)
    assert found is not None
    return urlsplit(found.group(1)).path


# --- forms from elsewhere ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("route", "door"), POSTS.items(), ids=POSTS)
def test_a_form_from_elsewhere(companies: Companies, acme: Stage, route: str, door: Door) -> None:
    """With the cookie alone, or with a token of another browser or of one's own making, nothing is done."""
    who = "tom" if "tom" in door.may else "admin"
    browser = acme.company.browser(who)
    _, address = _addressed(route, acme.id)
    stranger = _new_browser(companies).csrf()
    for token in ("", "x", stranger, "0" * 128, browser.csrf()[:-1]):
        answer = browser.client.post(
            address,
            params=door.query,
            headers={"x-csrftoken": token} if token else {},
            **({"json": door.wanted} if door.kind == "json" else {"data": {**(door.wanted or {}), "_csrf_token": token}}),
        )
        assert answer.status_code == 403, answer.text
        assert "came from elsewhere" in answer.text
    assert browser.get("/t/acme-msp/account").url.path == "/t/acme-msp/account", "still signed in"


@pytest.mark.parametrize("path", ["/t/acme-msp/sign-in", "/sign-in/cai_x"])
def test_signing_somebody_in_from_elsewhere(companies: Companies, path: str) -> None:
    """Nor can a foreign page sign a browser in as somebody else."""
    made = _new_browser(companies)
    answer = made.client.post(path, data={"_plugin": "local-accounts", "email": "x@y.example", "password": "x"})
    assert answer.status_code == 403


def test_a_cookie_is_no_token(companies: Companies, acme: Stage) -> None:
    """The API, which asks for no form token, does not know cookies."""
    browser = acme.company.browser("admin")
    for route in API:
        method, address = _addressed(
            route, lambda name: POSITION if name == "position" else acme.ids.get(name, acme.ids["session"])
        )
        answer = browser.client.request(method, address, headers={"accept": "application/json"})
        assert answer.status_code == 401, route


# --- cookies and signing in --------------------------------------------------------------------------------------------


def _set_cookies(answer: httpx2.Response) -> dict[str, set[str]]:
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        first, *rest = (part.strip() for part in line.split(";"))
        found[first.partition("=")[0]] = {part.lower() for part in rest}
    return found


def test_cookies_over_plain_http(acme: Stage) -> None:
    """Scripts cannot read the one that signs in; neither goes along with what a foreign page sends."""
    made = Browser(str(acme.company.browser("admin").url))
    shown = made.get(_link(acme.company, "mia"))
    assert {"samesite=lax", "path=/"} <= _set_cookies(shown)["caisey-csrf"]
    token = made.csrf()
    answer = made.client.post(str(shown.url), data={"_csrf_token": token}, follow_redirects=False)
    attributes = _set_cookies(answer)["caisey.acme-msp"]
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """An installation that people reach over TLS; a proxy would stand between."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("secure")
    with two_companies(folder / "data", public_url="https://caisey.example", port=port) as made:
        yield made


def test_cookies_over_tls(secure: Companies) -> None:
    """Both are bound to this host and to TLS, and browsers are told to come by TLS only."""
    link = "/sign-in/" + secure.acme.people["tom"].sign_in.rpartition("/")[2]
    with httpx2.Client(base_url=secure.url, headers={"accept": "text/html"}, verify=TLS) as client:
        shown = client.get(link)
        assert shown.headers["strict-transport-security"] == "max-age=31536000"
        form = _set_cookies(shown)["__Host-caisey-csrf"]
        assert {"secure", "path=/", "samesite=lax"} <= form
        token = shown.cookies["__Host-caisey-csrf"]
        signed = client.post(link, data={"_csrf_token": token}, headers={"cookie": f"__Host-caisey-csrf={token}"})
        assert signed.status_code == 303
        cookie = _set_cookies(signed)["__Host-caisey.acme-msp"]
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= cookie
        assert not any(part.startswith("domain") for part in cookie | form)
        value = signed.cookies["__Host-caisey.acme-msp"]
        client.cookies.clear()
        inside = client.get("/t/acme-msp/account", headers={"cookie": f"__Host-caisey.acme-msp={value}"})
        assert inside.status_code == 200
        assert client.get("/t/acme-msp/account", headers={"cookie": f"caisey.acme-msp={value}"}).status_code == 303


def test_links_name_the_configured_host_whatever_the_request_says(secure: Companies) -> None:
    """A forged Host header cannot turn a sign-in link or an installer's command towards another server."""
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
    admin = secure.acme.people["admin"]
    token = {"authorization": f"Bearer {admin.token}", **headers}
    made = httpx2.post(admin.base + "/installers", json={}, headers=token, verify=TLS)
    assert made.status_code == 201
    assert "https://caisey.example " in made.json()["command"]
    for path in ("/", "/t/acme-msp/queue", "/t/acme-msp/sign-in"):
        answer = httpx2.get(secure.url + path, headers={**headers, "accept": "text/html"}, verify=TLS)
        assert "evil" not in answer.text + str(answer.headers)


def test_signing_in_takes_a_new_session_and_ends_the_old_one(companies: Companies, acme: Stage) -> None:
    """A cookie that an attacker planted, or knew before, opens nothing afterwards."""
    made = _new_browser(companies)
    made.client.cookies.set("caisey.acme-msp", "planted")
    link = _link(acme.company, "mia")
    made.get(link)
    made.post(link)
    (first,) = [
        cookie.value for cookie in made.client.cookies.jar if cookie.name == "caisey.acme-msp" and cookie.value != "planted"
    ]
    made.client.cookies.clear()
    made.client.cookies.set("caisey.acme-msp", str(first))
    link = _link(acme.company, "mia")
    made.get(link)
    answer = made.client.post(link, data={"_csrf_token": made.csrf()}, follow_redirects=False)
    second = answer.cookies["caisey.acme-msp"]
    assert second != first
    for value, status in (("planted", 303), (str(first), 303), (second, 200)):
        shown = httpx2.get(
            companies.url + "/t/acme-msp/account",
            headers={"cookie": f"caisey.acme-msp={value}", "accept": "text/html"},
            verify=TLS,
        )
        assert shown.status_code == status, value


def test_signing_out(companies: Companies, acme: Stage) -> None:
    """It ends the session in the server, not only the cookie in the browser."""
    made = _new_browser(companies)
    link = _link(acme.company, "auditor")
    made.get(link)
    made.post(link)
    value = made.client.cookies["caisey.acme-msp"]
    answer = made.client.post("/t/acme-msp/sign-out", data={"_csrf_token": made.csrf()}, follow_redirects=False)
    assert answer.status_code == 303
    assert "max-age=0" in _set_cookies(answer)["caisey.acme-msp"]
    cookie = {"cookie": f"caisey.acme-msp={value}", "accept": "text/html"}
    assert httpx2.get(companies.url + "/t/acme-msp/queue", headers=cookie, verify=TLS).status_code == 303


def test_a_link_lets_one_in(companies: Companies, acme: Stage) -> None:
    """Ten browsers use a link at the same moment: one is signed in, nine read that it was used."""
    link = _link(acme.company, "mia")
    browsers = [_new_browser(companies) for _ in range(10)]
    start, said = threading.Barrier(10), []

    def use(browser: Browser) -> None:
        start.wait()
        said.append(browser.post(link).status_code)

    threads = [threading.Thread(target=use, args=(browser,)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [200] + [404] * 9


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/t/acme-msp@evil.example/",
        "/t/acme-msp/../../../..//evil.example",
        "/t/acme-msp/\r\nset-cookie: caisey.acme-msp=planted",
        "/t/acme-msp/%0d%0aset-cookie:caisey.acme-msp=planted",
        "/t/bolt-msp/",
        "javascript:alert(1)//t/acme-msp/",
        "\t//evil.example",
        "/t/acme-msp/\u202e\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        "/t/acme-msp/" + "x" * 5000,
    ],
)
def test_the_way_back_leads_home_only(companies: Companies, acme: Stage, to: str) -> None:
    """Whatever the sign-in page was told to go to afterwards: the browser stays here, and no header is made of it."""
    tom = acme.company.browser("tom")
    tom.post("/t/acme-msp/account/password", password=PASSWORD, again=PASSWORD)
    made = _new_browser(companies)
    shown = made.client.get("/t/acme-msp/sign-in", params={"to": to})
    assert shown.status_code == 200
    form = {"_csrf_token": made.csrf(), "_plugin": "local-accounts", "_to": to, "email": "tom@acme-msp.example"}
    answer = made.client.post("/t/acme-msp/sign-in", data={**form, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    going = urljoin(companies.url + "/t/acme-msp/sign-in", answer.headers["location"])
    assert urlsplit(going).netloc == urlsplit(companies.url).netloc
    assert "bolt" not in answer.headers["location"]
    assert "planted" not in str(answer.headers.get_list("set-cookie"))


# --- what each answer carries ------------------------------------------------------------------------------------------


def _answers(companies: Companies, stage: Stage) -> Iterator[tuple[str, httpx2.Response]]:
    browser, ids = stage.company.browser("tom"), stage.ids
    api = stage.company.people["tom"]
    yield "page", browser.get("/t/acme-msp/")
    yield "timeline", browser.get(f"/t/acme-msp/sessions/{ids['session']}/review/entries")
    yield "sign-in page", _new_browser(companies).get("/t/acme-msp/sign-in")
    yield "link page", _new_browser(companies).get("/sign-in/cai_nothing")
    yield "redirect", browser.client.get("/", follow_redirects=False)
    yield "no such page", browser.get("/no/such/page")
    yield "not theirs", browser.get("/t/bolt-msp/")
    yield "not found in the API's words", browser.client.get("/t/acme-msp/x", headers={"accept": "application/json"})
    yield "not allowed", browser.get("/t/acme-msp/enrolment")
    yield "form from elsewhere", browser.client.post("/t/acme-msp/clients")
    yield "wrong method", browser.client.delete("/t/acme-msp/clients")
    yield "wrong form", browser.post("/t/acme-msp/assignments", devices="x")
    yield "too large", browser.client.post("/agent/enrol", content=b"{" * (2 << 20))
    yield (
        "dialog's answer",
        browser.client.post(
            "/t/acme-msp/notices/read",
            data={"_csrf_token": browser.csrf()},
            headers={"accept": "application/json"},
        ),
    )
    yield "search", browser.get("/t/acme-msp/search?q=desk")
    yield "palette", browser.get("/t/acme-msp/find?q=desk")
    yield "download", browser.get(f"/t/acme-msp/sessions/{ids['session']}/files/{ids['transfer']}")
    yield "style", browser.get(re.findall(r'"(/static/[^"]+app.css)"', browser.get("/t/acme-msp/").text)[0])
    yield "script", browser.get(re.findall(r'"(/static/[^"]+app.js)"', browser.get("/t/acme-msp/").text)[0])
    yield "no such file", browser.get("/static/x/../../../etc/passwd")
    yield "a file outside", browser.client.get("/static/x/%2e%2e/%2e%2e/templates/base.html")
    yield "API", api.call("GET", "/devices")
    yield "API without token", httpx2.get(api.base + "/devices", verify=TLS)
    yield "API error", api.call("POST", "/assignments", json={"x": 1})
    yield "description", httpx2.get(companies.url + "/api/v1/openapi.json", verify=TLS)
    yield "API's root", httpx2.get(companies.url + "/api/v1", verify=TLS)
    yield "API's nowhere", httpx2.get(companies.url + "/api/v1/nowhere", headers={"accept": "text/html"}, verify=TLS)
    yield "options", browser.client.options("/t/acme-msp/clients")
    yield "favicon", browser.get("/favicon.ico")
    with browser.client.stream("GET", "/t/acme-msp/events") as stream:
        yield "event stream", httpx2.Response(stream.status_code, headers=stream.headers)


def test_each_kind_of_answer_has_its_headers(companies: Companies, acme: Stage) -> None:
    """Pages, errors, files, streams, the API: none may be framed, sniffed, cached (but for static files) or run foreign code."""
    seen = set()
    for what, answer in _answers(companies, acme):
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff", what
        assert headers["referrer-policy"] == "same-origin", what
        assert headers["x-frame-options"] == "DENY", what
        assert headers["cross-origin-opener-policy"] == "same-origin", what
        assert headers["cross-origin-resource-policy"] == "same-origin", what
        assert headers["permissions-policy"], what
        assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"]), what
        assert headers["content-security-policy"] == STRICT, what
        assert "server" not in headers, what
        static = what in ("style", "script")
        assert headers["cache-control"] == ("public, max-age=31536000, immutable" if static else "no-store"), what
        assert answer.status_code < 500, what
        seen.add(answer.status_code)
    assert seen >= {200, 303, 401, 403, 404, 405, 413, 422}


def test_only_the_terminals_page_may_make_styles(acme: Stage) -> None:
    """xterm.js writes style elements: its page alone allows them, never attributes, never scripts."""
    answer = acme.company.browser("tom").get(f"/t/acme-msp/sessions/{acme.ids['session']}")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("style-src-elem") == "'self' 'unsafe-inline'"
    assert policy.pop("style-src-attr") == "'none'"
    assert policy == dict(part.strip().partition(" ")[::2] for part in STRICT.split(";"))
    assert "unsafe" not in str(policy)


def test_the_review_runs_the_player_and_nothing_else_besides(acme: Stage) -> None:
    """The page with the replay may compile WebAssembly and write style elements, as its player must; all else stays strict."""
    answer = acme.company.browser("admin").get(f"/t/acme-msp/sessions/{acme.ids['session']}/review")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("style-src-elem") == "'self' 'unsafe-inline'"
    assert policy.pop("style-src-attr") == "'none'"
    assert policy.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    strict = dict(part.strip().partition(" ")[::2] for part in STRICT.split(";"))
    assert policy == {name: value for name, value in strict.items() if name != "script-src"}


def test_what_comes_from_a_device_is_never_a_page(acme: Stage) -> None:
    """Files and outputs come as downloads without scripts, under their own name."""
    browser, ids = acme.company.browser("tom"), acme.ids
    file = browser.get(f"/t/acme-msp/sessions/{ids['session']}/files/{ids['transfer']}")
    assert file.content == FILE
    assert file.headers["content-type"] == "application/octet-stream"
    output = browser.get(f"/t/acme-msp/sessions/{ids['session']}/commands/{ids['command']}/output")
    assert output.headers["content-security-policy"] == "sandbox; default-src 'none'"
    for answer in (file, output):
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_data_folder_is_for_its_owner(tmp_path: Path) -> None:
    """Folder, keys, databases and settings: nobody else on the machine can read them, whatever the umask was."""
    data = tmp_path / "data"
    assert caisey("init", "--data", str(data)).returncode == 0
    with_others = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert with_others == []
