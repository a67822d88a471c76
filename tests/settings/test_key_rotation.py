"""New keys under what is kept: everything still opens, whatever broke off in between; on both databases."""

import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from companies import Companies
from databases import both
from doors import Browser, Server, caisey
from installed import CATALOGUE, RECORD, Installed

pytestmark = both
TOKEN = "tok-rotated-81c4f2"
PASSWORD = "a lamp under the stairs"


@pytest.fixture
def stopped(companies: Companies) -> Iterator[Installed]:
    """The installation with a secret of each company, its server stopped; served again afterwards."""
    for company in (companies.acme, companies.bolt):
        admin = company.people["admin"]
        version = admin.get("/plugins/smtp")["version"]
        body = {
            "settings": {"server": "mail.example", "token": f"{TOKEN} of {company.slug}"},
            "version": version,
            "enable": True,
        }
        admin.post("/plugins/smtp/settings", body)
    companies.acme.browser("tom").post("/t/acme-msp/account/password", password=PASSWORD, again=PASSWORD)
    assert companies.server.stop() == 0
    toml = (companies.server.data / "caisey.toml").read_text()
    address = next((line.split('"')[1] for line in toml.splitlines() if line.startswith("database")), "")
    yield Installed(companies.server.data, address)
    if companies.server.process is not None and companies.server.process.poll() is not None:
        serve(companies)


def serve(companies: Companies) -> None:
    """Serve on the port that people's tokens are for."""
    companies.server.port = int(companies.server.url.rpartition(":")[2])
    companies.server.start()


def works(companies: Companies) -> None:
    """Both companies' plugins have their secrets and what they stored, records go on, and nothing is wrong."""
    serve(companies)
    for company in (companies.acme, companies.bolt):
        assert company.people["admin"].post("/plugins/smtp/test")["ok"]
        assert company.people["admin"].post("/installers", {})["token"]
    browser = Browser(companies.url)
    browser.get("/t/acme-msp/sign-in")
    mail = companies.acme.people["tom"].get("/me")["email"]
    inside = browser.post("/t/acme-msp/sign-in", _plugin="local-accounts", _to="", email=mail, password=PASSWORD)
    assert inside.url.path == "/t/acme-msp/queue", "what the plugin stored opens: the member's password"
    assert companies.server.stop() == 0
    said = caisey("doctor", "--data", str(companies.server.data)).stdout
    assert "the master key opens 2 signing keys" in said
    assert "the master key opens those of 2 plugins" in said


def sealed(installed: Installed) -> list[Any]:
    """Return all that is kept sealed: keys of tenants, settings, signing keys."""
    keys = installed.run(CATALOGUE, "SELECT sealed_key FROM plugin_change ORDER BY tenant")
    settings = installed.run(CATALOGUE, "SELECT settings FROM plugin_enabled WHERE plugin = 'smtp' ORDER BY tenant")
    stored = installed.run(CATALOGUE, "SELECT value FROM plugin_entry WHERE key LIKE 'account/%' ORDER BY id")
    assert stored
    assert not any(b"$argon2" in bytes(row[0]) for row in stored)
    signing = installed.run(RECORD, "SELECT sealed FROM tenant_key ORDER BY tenant")
    return [bytes(row[0]) for row in (*keys, *settings, *stored, *signing)]


def test_new_keys_for_tenants(companies: Companies, stopped: Installed) -> None:
    """All secrets are under new keys, the audit logs say so, and a server that runs keeps the command away."""
    before = sealed(stopped)
    done = caisey("rotate-keys", "--data", str(stopped.data))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Acme MSP: 1 secret under a new key." in done.stdout
    after = sealed(stopped)
    assert not set(before[:5]) & set(after)
    assert before[5:] == after[5:], "signing keys are the master key's"
    works(companies)
    serve(companies)
    log = companies.acme.browser("admin").get("/t/acme-msp/audit?what=settings").text
    assert "Sealed 1 secrets under a new key" in log
    refused = caisey("rotate-keys", "--data", str(stopped.data))
    assert refused.returncode == 1
    assert "in use by another Caisey server" in refused.stderr


def test_a_new_master_key(companies: Companies, stopped: Installed) -> None:
    """The old key opens nothing any more; the new one opens everything."""
    path, before = stopped.data / "keys" / "master.key", sealed(stopped)
    old = path.read_bytes()
    done = caisey("rotate-keys", "--data", str(stopped.data), "--new-master-key")
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() != old
    assert path.stat().st_mode & 0o077 == 0
    assert not set(before) & set(sealed(stopped))
    assert not (path.parent / "master.key.next").exists()
    works(companies)
    new = path.read_bytes()
    path.write_bytes(old)
    assert "the master key opens" not in caisey("doctor", "--data", str(stopped.data)).stdout
    path.write_bytes(new)


def test_the_master_key_may_come_by_the_environment(
    companies: Companies, stopped: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then no file holds it, `init` makes none, and the next one comes the same way."""
    path = stopped.data / "keys" / "master.key"
    first, second = path.read_bytes(), secrets.token_bytes(32)
    path.unlink()
    monkeypatch.setenv("CAISEY_MASTER_KEY", first.hex())
    works(companies)
    asked = caisey("rotate-keys", "--data", str(stopped.data), "--new-master-key")
    assert "CAISEY_NEXT_MASTER_KEY" in asked.stderr
    monkeypatch.setenv("CAISEY_NEXT_MASTER_KEY", second.hex())
    assert caisey("rotate-keys", "--data", str(stopped.data), "--new-master-key").returncode == 0
    works(companies)  # both are there
    monkeypatch.delenv("CAISEY_NEXT_MASTER_KEY")
    monkeypatch.setenv("CAISEY_MASTER_KEY", second.hex())
    works(companies)
    assert not path.exists()
    refused = caisey("backup", str(stopped.data.with_name("env-backup")), "--data", str(stopped.data), "--with-master-key")
    assert "lies in no file" in refused.stderr
    fresh = stopped.data.with_name("fresh")
    assert caisey("init", "--data", str(fresh)).returncode == 0
    assert list(fresh.glob("keys/master*")) == []
    monkeypatch.setenv("CAISEY_MASTER_KEY", "abc")
    wrong = caisey("serve", "--data", str(stopped.data))
    assert (wrong.returncode, "64 hexadecimal digits" in wrong.stderr) == (1, True)
    monkeypatch.delenv("CAISEY_MASTER_KEY")
    path.write_bytes(second)
    path.chmod(0o600)


def test_another_server_goes_on_with_the_new_tenant_keys(companies: Companies, stopped: Installed, kind: str) -> None:
    """A second server of the database needs no restart after the tenants' keys changed; it keeps a new master key away."""
    if kind == "sqlite":
        pytest.skip("files have one server")
    data = stopped.data.with_name("other-node")
    shutil.copytree(stopped.data / "keys", data / "keys")
    shutil.copy(stopped.data / "caisey.toml", data)
    second = Server(data)
    second.start()
    try:
        person = companies.acme.people["admin"]
        person.base = f"{second.url}/api/v1/t/acme-msp"
        assert person.post("/plugins/smtp/test")["ok"]
        assert caisey("rotate-keys", "--data", str(stopped.data)).returncode == 0
        assert person.post("/plugins/smtp/test")["ok"]
        refused = caisey("rotate-keys", "--data", str(stopped.data), "--new-master-key")
        assert "Stop all servers first" in refused.stderr
    finally:
        second.stop()
        person.base = f"{companies.url}/api/v1/t/acme-msp"
    assert caisey("rotate-keys", "--data", str(stopped.data)).returncode == 0
    works(companies)
