"""A plugin of two tenants: what it does in one, no other notices; it may change, or be gone, and what was entered is kept."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from companies import Companies, Company, two_companies
from distributions import install, on_the_path
from doors import TLS, Browser, caisey, until

SECRETS = {"acme-msp": 'acme\'s "own" päss/word', "bolt-msp": "bolt-secret-19283"}
MOODY = """
from typing import Annotated, Literal
import warnings
from msgspec import Meta, Struct
from caisey_hookspecs import *

class Settings(Struct, frozen=True):
    mood: {mood}
    token: Secret
    {more}

@hookimpl
def caisey_plugin():
    return PluginInfo(name="moody", title="Moody", version="1", kinds=("identity",), settings=Settings)

@hookimpl
def caisey_identity(context):
    return Moody(context)

class Moody(Identity):
    def __init__(self, context):
        self.context = context

    async def begin(self, attempt):
        settings, log = self.context.settings, self.context.log
        token = settings.token.reveal()
        log.warning("asked with %s", token)
        warnings.warn(f"an old way with {{token}}", stacklevel=1)
        if settings.mood == "raises":
            try:
                raise ValueError(f"refused: {{token}}")
            except ValueError:
                log.exception("what was refused")
                raise
        if settings.mood == "unavailable":
            raise Unavailable(f"The vendor does not like {{token}}.")
        if settings.mood == "rejected":
            raise Rejected(f"The vendor refuses {{token}}.")
        return SignInForm(title="Hello from " + settings.mood, fields=())

    async def complete(self, attempt):
        raise RuntimeError("what a stranger typed breaks it")

    async def incoming(self, request):
        raise RuntimeError("what a stranger sent breaks it")
"""
PATH = "moody.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the plugin is installed."""
    made = tmp_path_factory.mktemp("site")
    install(made, "moody", MOODY.format(mood="str", more=""))
    with on_the_path(made):
        yield made


@pytest.fixture(scope="module")
def both(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """Two companies that use it, each with a secret of its own."""
    with two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
        for company in (made.acme, made.bolt):
            change(company, "good")
        yield made


def change(company: Company, mood: str) -> None:
    """Enter settings, as this company's admin."""
    admin = company.people["admin"]
    version = admin.get("/plugins/moody")["version"]
    settings = {"mood": mood, "token": SECRETS[company.slug]}
    admin.post("/plugins/moody/settings", {"settings": settings, "version": version, "enable": True})


def page(both: Companies, company: Company) -> str:
    """Return the page where a stranger signs in."""
    return Browser(both.url).get(f"/t/{company.slug}/sign-in").text


def view(company: Company) -> dict[str, object]:
    """Return what this company's admin reads of the plugin."""
    return next(one for one in company.people["admin"].get("/plugins") if one["name"] == "moody")


def test_what_one_tenant_entered_is_used_for_it_alone(both: Companies) -> None:
    """At once, for the next who asks."""
    change(both.acme, "sunshine")
    assert "Hello from sunshine" in page(both, both.acme)
    assert "Hello from good" in page(both, both.bolt)


def test_it_rests_for_the_tenant_where_it_fails(both: Companies) -> None:
    """After five failures it is not asked any more there; the other tenant's works, and so do other ways to sign in."""
    for mood in ("raises", "unavailable"):
        change(both.acme, mood)
        assert view(both.acme)["state"] == "ok"  # settings changed: it gets its chance at once
        calls = int(str(view(both.acme)["calls"]))
        for _ in range(7):
            text = page(both, both.acme)
            assert "Hello from" not in text
            assert "refused" not in text  # a stranger need not know
            assert "The vendor" not in text
            assert 'autocomplete="current-password"' in text
            assert "Hello from good" in page(both, both.bolt)
        found = view(both.acme)
        assert (found["state"], int(str(found["calls"])) - calls) == ("failing", 5)
        assert re.match(r"It failed 5 times in a row and rests; it is tried again in \d+ s\. The ", str(found["detail"]))
        assert view(both.bolt)["state"] == "ok"


def test_a_refusal_that_needs_a_person_is_no_reason_to_rest(both: Companies) -> None:
    """The vendor answers; each call is told why not."""
    change(both.acme, "rejected")
    for _ in range(7):
        page(both, both.acme)
    assert str(view(both.acme)["detail"]).startswith("The vendor refuses")


def test_a_stranger_cannot_make_it_rest(both: Companies) -> None:
    """What a stranger sends may break it each time: who signs in with it still finds its form. Nor does a stranger read why."""
    change(both.acme, "sunshine")
    assert "Hello from sunshine" in page(both, both.acme)
    for _ in range(8):
        answer = httpx2.post(f"{both.url}/t/acme-msp/plugins/moody/hook", content=b"x", verify=TLS)
        assert answer.status_code == 503
        assert "breaks it" not in answer.text
    assert "what a stranger sent breaks it" in str(view(both.acme)["detail"])
    assert view(both.acme)["failures"] != 0
    browser = Browser(both.url)
    assert "Hello from sunshine" in browser.get("/t/acme-msp/sign-in").text
    tried = browser.post("/t/acme-msp/sign-in", _plugin="moody")
    assert tried.status_code == 503
    assert "breaks it" not in tried.text


def test_no_secret_leaves(both: Companies) -> None:
    """Not in the log, its tracebacks and warnings, nor in pages and reports; who logged and where is there."""
    change(both.acme, "raises")
    for company in (both.acme, both.bolt):
        page(both, company)
    log, file = both.server.log(), both.server.data / "plugins.json"
    until(lambda: file.exists() and "moody" in file.read_text(), "the report")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    of_the_plugin = [line for line in lines if line["logger"] == "caisey.plugins.moody"]
    assert {line["tenant"] for line in of_the_plugin} == {str(both.acme.tenant), str(both.bolt.tenant)}
    assert any("asked with …" in line["event"] for line in of_the_plugin)
    assert any("ValueError: refused: …" in line["event"] for line in of_the_plugin)
    assert any("an old way with …" in line["event"] for line in lines)
    assert any("refused: …" in line.get("trace", "") for line in lines)
    everything = [log, (both.server.data / "plugins.json").read_text(), page(both, both.acme)]
    everything += [json.dumps(company.people["admin"].get("/plugins")) for company in (both.acme, both.bolt)]
    everything.append(caisey("plugins", "--data", str(both.server.data)).stdout)
    for text in everything:
        for part in ("own\\", 'own"', "päss", "p\\u00e4ss", "bolt-secret"):
            assert part not in text, text[max(text.find(part) - 200, 0) :][:400]


def restart(both: Companies) -> None:
    """Stop the server, start it again on the same port."""
    both.server.port = int(both.server.url.rpartition(":")[2])
    assert both.server.stop() == 0
    both.server.start()


def test_settings_that_an_upgrade_does_not_take(both: Companies, folder: Path) -> None:
    """It is off for that tenant, which reads why; what was entered is kept, also the secret, and works with the old version again."""
    change(both.acme, "sunshine")
    change(both.bolt, "rain")
    (folder / PATH).write_text(MOODY.format(mood="Literal['rain', 'snow']", more=""))
    restart(both)
    assert "Moody" not in page(both, both.acme)
    assert "Hello from rain" in page(both, both.bolt)
    found = view(both.acme)
    assert (found["state"], found["enabled"]) == ("off", False)
    assert "does not fit this version of the plugin" in str(found["detail"])
    assert both.acme.people["admin"].get("/plugins/moody")["settings"]["mood"] == "sunshine"

    raising = "\n    def __post_init__(self):\n        raise ValueError(self.token.reveal())"
    (folder / PATH).write_text(MOODY.format(mood="str", more=raising))
    restart(both)
    for company in (both.acme, both.bolt):
        assert "Moody" not in page(both, company)
        assert view(company)["state"] == "off"
        assert "…" in str(view(company)["detail"])

    (folder / PATH).write_text(MOODY.format(mood="str", more=""))
    restart(both)
    assert "Hello from sunshine" in page(both, both.acme)
    assert "Hello from rain" in page(both, both.bolt)


def test_a_plugin_that_vanishes_while_it_is_enabled(both: Companies, folder: Path) -> None:
    """Everything else works, the page says so, and when it is back all is as it was."""
    change(both.acme, "sunshine")
    before = both.acme.people["admin"].get("/plugins/moody")
    metadata = folder / "moody-0.0.1.dist-info"
    for gone, back in (
        (lambda: metadata.rename(folder / "away"), lambda: (folder / "away").rename(metadata)),
        (lambda: (folder / PATH).rename(folder / "away"), lambda: (folder / "away").rename(folder / PATH)),
    ):
        gone()
        restart(both)
        text = page(both, both.acme)
        assert "Moody" not in text
        assert 'autocomplete="current-password"' in text
        assert view(both.acme)["state"] in ("missing", "broken")
        back()
    restart(both)
    assert "Hello from sunshine" in page(both, both.acme)
    assert both.acme.people["admin"].get("/plugins/moody")["settings"] == before["settings"]


def test_a_plugin_whose_files_are_deleted_under_the_running_server(both: Companies, folder: Path) -> None:
    """What is loaded goes on; the next start tells the rest."""
    change(both.acme, "sunshine")
    (folder / PATH).rename(folder / "away")
    assert "Hello from sunshine" in page(both, both.acme)
    (folder / "away").rename(folder / PATH)
