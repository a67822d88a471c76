"""Secrets of plugins are in no file, no database, no log, no page, no answer and no backup; on both databases."""

import base64
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from companies import Companies
from databases import both
from doors import caisey, until
from test_plugins_api import PASSWORD, SETTINGS, SPARE, TOKEN

TYPED = "typed-into-a-form-3d11"
WRONG = "of-a-refused-try-77aa"
SECRETS = (TOKEN, SPARE, PASSWORD, TYPED, WRONG)


def forms(secret: str) -> list[bytes]:
    """Return how a secret may be written."""
    raw = secret.encode()
    return [raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode()]


def holding(texts: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return which secret is where."""
    return [(secret, where) for secret in SECRETS for where, text in texts.items() if any(one in text for one in forms(secret))]


@pytest.fixture(scope="module")
def used(companies: Companies) -> dict[str, bytes]:
    """Enter secrets in every way, let the plugin fail with them, and return what people and programs were shown."""
    acme = companies.acme
    admin, page = acme.people["admin"], acme.browser("admin")
    shown: dict[str, bytes] = {}
    base = "/t/acme-msp/plugins/smtp"

    def tell(where: str, answer: Any) -> None:
        shown[where] = answer.content

    tell("saved", admin.call("POST", "/plugins/smtp/settings", json={"settings": SETTINGS, "version": 0, "enable": True}))
    for answers in ("wrong", "rejects", "away", "fails"):
        settings = {**SETTINGS, "answers": answers, "spare": WRONG}
        tell(f"tried {answers}", admin.call("POST", "/plugins/smtp/test", json={"settings": settings}))
        body = {"settings": settings, "version": 1}
        tell(f"saved {answers}", admin.call("POST", "/plugins/smtp/settings", json=body))
        form = {"_act": "save", "_version": "1", "server": "x", "token": TYPED, "answers": answers, "port": "25"}
        tell(f"form {answers}", page.post(base, **form))
    tell("wrong fields", admin.call("POST", "/plugins/smtp/settings", json={"settings": {"token": {"x": TOKEN}}, "version": 1}))
    tell("wrong form", page.post(base, _act="save", _version="1", token=TYPED, port="no"))
    tell("row added", page.post(base, _act="add:accounts", _version="1", token=TYPED))
    tell("stale", page.post(base, _act="save", _version="0", server="x", token=TYPED, port="25"))
    failing = {**SETTINGS, "answers": "fails"}
    body = {"settings": failing, "version": 1, "anyway": True}
    tell("stored untried", admin.call("POST", "/plugins/smtp/settings", json=body))
    tell("tested as stored", admin.call("POST", "/plugins/smtp/test", json={}))
    raw = companies.raw_device(acme, "DESK", "Harbor")
    order = {"devices": [str(raw.id)], "technicians": [str(acme.members["tom"])], "reason": "Printer"}
    acme.people["dispatcher"].post("/assignments", order)
    until(lambda: "cannot deliver" in page.get(f"{base}").text, "the failure on the page")
    for path in ("plugins", "plugins/smtp", "audit", "notices", "account"):
        tell(f"page {path}", page.get(f"/t/acme-msp/{path}"))
    for path in ("/plugins", "/plugins/smtp"):
        tell(f"API {path}", admin.call("GET", path))
    for kind in ("csv", "ocsf"):
        tell(f"audit as {kind}", page.get(f"/t/acme-msp/audit/export?form={kind}"))
    return shown


@both
def test_nothing_that_was_shown_holds_one(used: dict[str, bytes]) -> None:
    """Pages, problem details and exports; the search would find one."""
    assert b"does not take the token" in used["tried wrong"]
    assert "…".encode() in used["tried wrong"]
    assert b"problem" not in used["saved"]
    assert len(used) > 20
    assert holding(used) == []
    assert holding({"here": b"x" + TOKEN.encode()}) == [(TOKEN, "here")]


@both
def test_nothing_that_is_kept_holds_one(companies: Companies, used: dict[str, bytes], kind: str, request: Any) -> None:
    """Every file of the data folder, the log, a dump of the database, and a backup with the master key in it."""
    assert companies.server.stop() == 0
    data = companies.server.data
    files = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    files["log"] = companies.server.log().encode()
    assert "cannot deliver with …".encode() in files["log"] or b"cannot deliver with \\u2026" in files["log"]
    backup = data.with_name("backup.zip")
    made = caisey("backup", str(backup), "--data", str(data), "--with-master-key")
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(backup) as packed:
        files |= {f"backup/{name}": packed.read(name) for name in packed.namelist()}
    if kind == "postgresql":
        files["dump"] = _dump(data)
        assert b"plugin_enabled" in files["dump"]
    assert len(files) > 5
    assert holding(files) == []


def _dump(data: Path) -> bytes:
    address = tomllib.loads((data / "caisey.toml").read_text())["database"]
    program = shutil.which("pg_dump") or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_dump")))))
    return subprocess.run([program, address], check=True, capture_output=True).stdout


FAILS = """
import structlog
from caisey_core.server import configure_logging

configure_logging()
try:
    password = "a-password-in-a-variable"
    raise ValueError("it failed")
except ValueError as error:
    structlog.get_logger("caisey").error("request failed", exc_info=error)
"""


def test_a_traceback_in_the_log_has_no_variables() -> None:
    """Where the server fails is told; what its variables held is not: passwords are among them."""
    said = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True, check=True).stderr
    assert "it failed" in said
    assert "a-password-in-a-variable" not in said
