"""After a full day, secrets are where they belong and nowhere else: not in logs, databases, pages or what programs get."""

import base64
import json
import re
from pathlib import Path

import pytest
from companies import Companies, Company
from doors import Browser, Device, until
from tokens import make, send
from websockets.sync.client import connect

PASSWORD = "nine herons by the weir"
TYPED = "correct-horse-typed-blind"
FILE = b"the content of a file that is only on its way" * 50


def _forms(secret: str | bytes) -> list[bytes]:
    raw = secret.encode() if isinstance(secret, str) else secret
    return [raw, base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"="), raw.hex().encode()]


def _sudo(company: Company, url: str, session: str) -> None:
    """Type a password at a prompt that does not echo, as sudo's does."""
    token = {"authorization": f"Bearer {company.people['tom'].token}"}
    address = url.replace("http", "ws", 1) + f"/t/{company.slug}/sessions/{session}/live"
    with connect(address, additional_headers=token, proxy=None) as socket:
        seen = b""

        def read_until(wanted: bytes) -> None:
            nonlocal seen
            while wanted not in seen:
                said = socket.recv(timeout=15)
                seen += said[21:] if isinstance(said, bytes) else b""
            seen = b""

        socket.send(json.dumps({"type": "resize", "columns": 80, "rows": 24}))
        socket.send(json.dumps({"type": "type", "data": "read -rsp 'Pass''word: ' x; echo got-${#x}\r"}))
        read_until(b"Password: ")
        until(lambda: _hidden(company, session, socket), "the device to say that nothing is echoed")
        socket.send(json.dumps({"type": "type", "data": TYPED + "\r"}))
        read_until(f"got-{len(TYPED)}".encode())


def _hidden(company: Company, session: str, socket: object) -> bool:
    """Type a harmless key and its erasure until one of them is recorded as hidden."""
    socket.send(json.dumps({"type": "type", "data": "q\x7f"}))  # type: ignore[attr-defined]
    return any("did not echo" in entry["typed"] for entry in company.entries(session))


@pytest.fixture(scope="module")
def day(companies: Companies) -> list[tuple[str, bytes]]:
    """Play a day with everything that is secret in it, stop the server, and return the secrets."""
    acme, secrets = companies.acme, []
    for person in (*acme.people.values(), *companies.bolt.people.values()):
        secrets += [(f"API token of {person.name}", person.token), (f"link of {person.name}", person.sign_in[-43:])]
    admin = acme.browser("admin")
    shown = admin.post("/t/acme-msp/members", name="New", email="new@acme.example", role="technician").text
    link = re.search(r'id="made-link">([^<]+)<', shown)
    assert link is not None
    secrets.append(("a new member's link", link.group(1)[-43:]))
    tom = acme.browser("tom")
    tom.post("/t/acme-msp/account/password", password=PASSWORD, again=PASSWORD)
    again = Browser(companies.url)
    again.get("/t/acme-msp/sign-in")
    form = {"_plugin": "local-accounts", "_to": "", "email": "tom@acme-msp.example"}
    assert again.post("/t/acme-msp/sign-in", **form, password="wrong " + PASSWORD).status_code == 200
    again.post("/t/acme-msp/sign-in", **form, password=PASSWORD)
    secrets.append(("a password", PASSWORD))
    for browser in (admin, tom, again):
        secrets.append(("a session cookie", browser.client.cookies["caisey.acme-msp"]))
    for token in (*acme.installers.values(), acme.people["admin"].post("/installers", {})["token"]):
        secrets.append(("an installer's token", token))
    rotated = acme.people["admin"].post(f"/installers/{acme.people['admin'].get('/installers')['items'][0]['id']}/rotate")
    secrets.append(("a new installer's token", rotated["token"]))
    secrets.append(("a kept answer's token", send(acme.people["admin"], "/installers", {}, "a-key").json()["token"]))
    secrets.append(("an API token", make(admin, acme.people["admin"], scopes=["read"]).token))
    device: Device = companies.start_device(acme, "PC", "Harbor")
    home = companies.server.data.with_name("acme-msp-PC")
    secrets += [("the device's key", (home / "device.key").read_bytes()), ("page", (home / "page_secret").read_text())]
    session = acme.active("PC")
    _sudo(acme, companies.url, session)
    secrets.append(("what was typed unseen", TYPED))
    path = companies.server.data.with_name("carried.bin")
    sent = acme.people["tom"].call("POST", f"/sessions/{session}/files", params={"path": str(path)}, content=FILE)
    acme.transfer(session, sent.json()["id"], "finished")
    got = acme.people["tom"].post(f"/sessions/{session}/files/download", {"path": str(path)})["id"]
    acme.transfer(session, got, "finished")
    secrets.append(("a file's content", FILE))
    outcome = {"resolution": "fixed", "notes": "Done.", "checked": "Looked."}
    acme.people["tom"].post(f"/sessions/{session}/complete", outcome)
    until(lambda: acme.card(session)["sealed"], "the seal")
    assert device.page()
    keys = companies.server.data / "keys"
    secrets += [(f"the key {key.name}", key.read_bytes()) for key in keys.iterdir()]
    return [(what, secret.encode() if isinstance(secret, str) else secret) for what, secret in secrets]


def _holding(secret: bytes, texts: dict[str, bytes]) -> list[str]:
    return [where for where, text in texts.items() if any(form in text for form in _forms(secret))]


def test_pages_and_programs(companies: Companies, day: list[tuple[str, bytes]]) -> None:
    """No page and no answer of the API shows a secret again."""
    acme = companies.acme
    session = acme.sessions[0]
    device = acme.devices["PC"].id
    texts = {}
    for path in (
        *("", "queue", "sessions", "clients", "members", "enrolment", "audit", "keys", "account", "notices", "plugins"),
        *(f"devices/{device}", f"sessions/{session}", f"sessions/{session}/review", "search?q=tom", "search?q=pc"),
    ):
        texts[path] = acme.browser("admin").get(f"/t/acme-msp/{path}").content
    for path in ("/devices", f"/devices/{device}", "/queue", "/sessions", f"/sessions/{session}", "/installers"):
        texts["API " + path] = acme.people["admin"].call("GET", path).content
    assert min(len(text) for text in texts.values()) > 1
    for what, secret in day:
        assert _holding(secret, texts) == [], what


def test_logs_and_databases(companies: Companies, day: list[tuple[str, bytes]]) -> None:
    """Nothing in the data folder or the logs holds a secret in clear, but the key folder its own keys."""
    assert companies.server.stop() == 0
    data = companies.server.data
    files = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    files["log"] = companies.server.log().encode()
    files["agent's log"] = data.with_name("acme-msp-PC.log").read_bytes()
    assert {"catalogue.db", "record.db"} <= set(files)
    for what, secret in day:
        held = _holding(secret, files)
        expected = [f"keys/{what.removeprefix('the key ')}"] if what.startswith("the key ") else []
        assert held == expected, what
    assert not any((data / "transfers").iterdir()), "what was carried is destroyed with the seal"


def test_the_search_itself(day: list[tuple[str, bytes]]) -> None:
    """What is looked for is long enough to be found only where it is, and would be found in any of its forms."""
    assert len(day) > 25
    for what, secret in day:
        assert len(secret) >= 20, what
        assert all(_holding(secret, {"here": b"x" + form + b"y"}) == ["here"] for form in _forms(secret)), what


def test_the_folders_of_agents_are_for_their_owner(companies: Companies, day: list[tuple[str, bytes]]) -> None:
    """An agent's folder with its key and page secret is closed to other accounts."""
    home: Path = companies.server.data.with_name("acme-msp-PC")
    assert [path for path in (home, *home.rglob("*")) if path.stat().st_mode & 0o077] == []
