"""A plugin that changes or vanishes under what a tenant stored: shown with the reason, kept, off for that tenant alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from companies import Companies
from installed import CATALOGUE, Installed
from mail_plugin import SMTP, install

TOKEN = "tok-upgrade-4412"
OTHER = SMTP.replace('server: Annotated[str, Meta(title="Mail server"', 'relay: Annotated[str, Meta(title="Relay"').replace(
    "self._settings.server", "self._settings.relay"
)


@pytest.fixture
def stored(companies: Companies, site: Path) -> Iterator[Companies]:
    """One company enabled it; the server is stopped. Afterwards the plugin is what it was."""
    body = {"settings": {"server": "mail.example", "token": TOKEN}, "version": 0, "enable": True}
    admin = companies.acme.people["admin"]
    body["version"] = admin.get("/plugins/smtp")["version"]
    admin.post("/plugins/smtp/settings", body)
    again(companies)
    yield companies
    install(site, "smtp", SMTP)


def again(companies: Companies) -> None:
    assert companies.server.stop() == 0
    companies.server.port = int(companies.server.url.rpartition(":")[2])


def shown(companies: Companies) -> Any:
    return companies.acme.people["admin"].get("/plugins/smtp")


def test_settings_that_fit_no_longer(stored: Companies, site: Path) -> None:
    """The plugin is off here with the reason; what is stored stays, its secret too; entering what is missing puts it on again."""
    catalogue = Installed(stored.server.data, "")
    kept = catalogue.run(CATALOGUE, "SELECT settings FROM plugin_enabled WHERE plugin = 'smtp'")
    install(site, "smtp", OTHER)
    stored.server.start()
    acme = stored.acme
    now = shown(stored)
    assert (now["plugin"]["enabled"], now["plugin"]["state"]) == (False, "off")
    assert "does not fit this version" in now["plugin"]["detail"]
    assert now["settings"]["token"] == {"kept": "token"}
    assert catalogue.run(CATALOGUE, "SELECT settings FROM plugin_enabled WHERE plugin = 'smtp'") == kept
    page = acme.browser("admin").get("/t/acme-msp/plugins/smtp").text
    assert "It is off for your company until its settings are entered again" in page
    assert 'name="relay"' in page
    assert TOKEN not in page
    assert "Enter its settings again" in acme.people["admin"].post("/plugins/smtp/enable", {}, (409,))["what_to_do"]
    entered = {"relay": "relay.example", "token": {"kept": "token"}}
    on = acme.people["admin"].post("/plugins/smtp/settings", {"settings": entered, "version": now["version"]})
    assert (on["plugin"]["enabled"], on["plugin"]["state"]) == (True, "ok")
    assert acme.people["admin"].post("/plugins/smtp/test")["message"] == "relay.example took the token."
    again(stored)
    install(site, "smtp", SMTP)
    stored.server.start()
    old = {"server": "mail.example", "token": {"kept": "token"}}
    version = shown(stored)["version"]
    acme.people["admin"].post("/plugins/smtp/settings", {"settings": old, "version": version})


def test_a_plugin_that_vanished(stored: Companies, site: Path) -> None:
    """It is listed as gone, its settings wait, and when it is back it works as before."""
    shutil.rmtree(site / "test_smtp-0.0.1.dist-info")
    stored.server.start()
    now = shown(stored)
    assert (now["plugin"]["state"], now["plugin"]["enabled"]) == ("missing", False)
    page = stored.acme.browser("admin").get("/t/acme-msp/plugins").text
    assert "not installed on this server any more" in page
    assert stored.bolt.people["admin"].call("GET", "/plugins/smtp").status_code == 404
    assert stored.acme.browser("admin").get("/t/acme-msp/plugins/smtp").status_code == 200
    again(stored)
    install(site, "smtp", SMTP)
    stored.server.start()
    assert shown(stored)["plugin"]["enabled"]
    assert stored.acme.people["admin"].post("/plugins/smtp/test")["ok"]
