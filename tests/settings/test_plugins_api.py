"""A tenant's plugins through the API: settings with secrets, trying, enabling, the default of a kind; on both databases."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from companies import Companies, Company
from databases import both
from doors import Person, Server, until
from installed import CATALOGUE, Installed

pytestmark = both
TOKEN, SPARE, PASSWORD = "tok-7f3a9c-mail-primary", "tok-spare-55e1b0", "pw-of-ada-99127"
SETTINGS: dict[str, Any] = {
    "server": "mail.acme.example",
    "token": TOKEN,
    "spare": SPARE,
    "copies": ["a@acme.example", "b@acme.example"],
    "proxy": {"host": "proxy.acme.example"},
    "accounts": [{"user": "ada", "password": PASSWORD}],
    "days": ["friday"],
}


def admin(company: Company) -> Person:
    return company.people["admin"]


def shown(company: Company, plugin: str = "smtp") -> Any:
    return admin(company).get(f"/plugins/{plugin}")


def change(company: Company, status: int = 200, plugin: str = "smtp", **body: Any) -> Any:
    """Store settings; by default on top of what is stored now."""
    body = {"settings": SETTINGS, "version": shown(company, plugin)["version"], **body}
    return admin(company).post(f"/plugins/{plugin}/settings", body, (status,))


def sentences(company: Company) -> list[str]:
    """Return what the audit log says of plugins, newest first."""
    page = company.browser("admin").get(f"/t/{company.slug}/audit?what=settings").text
    return [line.partition(">")[2].partition("<")[0].strip() for line in page.split('class="wrap name"')[1:]]


@pytest.fixture
def fresh(companies: Companies) -> Iterator[Company]:
    """The first company; its plugin is disabled afterwards."""
    yield companies.acme
    admin(companies.acme).post("/plugins/smtp/disable")


def test_enable_change_disable(companies: Companies, fresh: Company) -> None:
    """Settings go in, secrets do not come out; it works at once for this company alone, and each step is in the audit log."""
    before = shown(fresh)
    assert (before["plugin"]["enabled"], before["version"], before["settings"]["token"]) == (False, 0, None)
    made = change(fresh, enable=True)
    assert made["plugin"]["enabled"]
    assert made["settings"]["token"] == {"kept": "token"}
    assert made["settings"]["accounts"] == [{"user": "ada", "password": {"kept": "accounts.0.password"}}]
    assert made["settings"]["proxy"] == {"host": "proxy.acme.example", "port": 3128}
    assert not any(secret in str(made) for secret in (TOKEN, SPARE, PASSWORD))
    assert not shown(companies.bolt)["plugin"]["enabled"]
    back = change(fresh, settings={**made["settings"], "port": 25})
    assert (back["settings"]["port"], back["settings"]["token"]) == (25, {"kept": "token"})
    off = admin(fresh).post("/plugins/smtp/disable")
    assert (off["plugin"]["enabled"], off["settings"]["port"]) == (False, 25)
    assert admin(fresh).post("/plugins/smtp/enable")["plugin"]["enabled"]
    assert sentences(fresh)[:5] == [
        "Enabled the plugin smtp",
        "Disabled the plugin smtp",
        "Changed the plugin smtp (port)",
        "Enabled the plugin smtp",
        "Changed the plugin smtp (server, token, answers, port, tls, footer, spare, copies, days, proxy, accounts)",
    ]


def test_it_is_used_at_once(companies: Companies, fresh: Company) -> None:
    """An assignment's notice goes through the plugin that was just enabled, with the settings of that moment."""
    raw = companies.raw_device(fresh, f"DESK-{shown(fresh)['version']}", "Harbor")
    catalogue = Installed(companies.server.data, _database(companies))

    def delivered() -> list[Any]:
        return catalogue.run(CATALOGUE, "SELECT key FROM plugin_entry WHERE plugin = 'smtp'")  # values are sealed

    for server in ("one.example", "two.example"):
        change(fresh, settings={**SETTINGS, "server": server}, enable=True)
        order = {"devices": [str(raw.id)], "technicians": [str(fresh.members["tom"])], "reason": "Printer"}
        fresh.people["dispatcher"].post("/assignments", order)
        until(lambda server=server: (f"delivered/{server}",) in [tuple(row) for row in delivered()], "the notice")  # type: ignore[misc]
        assignment = fresh.people["tom"].get("/queue")["mine"][0]["id"]
        fresh.browser("dispatcher").post(f"/t/{fresh.slug}/assignments/{assignment}/close", reason="done")


def _database(companies: Companies) -> str:
    import tomllib

    found = tomllib.loads((companies.server.data / "caisey.toml").read_text()).get("database", "")
    return str(found)


@pytest.mark.parametrize(
    ("answers", "status", "words"),
    [
        ("wrong", 422, "does not take the token …"),
        ("rejects", 422, "The token … was revoked"),
        ("away", 409, "mail.acme.example does not answer (token …)"),
        ("fails", 409, "broken inside with …"),
    ],
)
def test_what_the_plugin_says_counts(fresh: Company, answers: str, status: int, words: str) -> None:
    """Settings that it calls wrong are not stored, whatever is asked for; where it could not be asked, only if that is wanted."""
    settings = {**SETTINGS, "answers": answers}
    before = shown(fresh)
    tried = admin(fresh).post("/plugins/smtp/test", {"settings": settings})
    assert not tried["ok"]
    assert words in tried["message"]
    refused = change(fresh, status, settings=settings, enable=True)
    assert words in refused["detail"]
    assert TOKEN not in str(refused)
    assert shown(fresh) == before
    anyway = change(fresh, 422 if status == 422 else 200, settings=settings, enable=True, anyway=True)
    assert (anyway.get("plugin", {}).get("enabled", False)) == (status == 409)
    if status == 409:
        assert sentences(fresh)[1].endswith("untried")
        change(fresh)  # back to what works


def test_a_test_stores_nothing(fresh: Company) -> None:
    """What was typed is tried, or what is stored."""
    before = shown(fresh)
    tried = admin(fresh).post("/plugins/smtp/test", {"settings": {**SETTINGS, "server": "other.example"}})
    assert tried == {"ok": True, "message": "other.example took the token."}
    assert shown(fresh) == before
    change(fresh)
    assert admin(fresh).post("/plugins/smtp/test")["message"] == "mail.acme.example took the token."


def test_all_that_is_wrong_is_said(fresh: Company) -> None:
    """Each field that is wrong, by its name, without what was entered."""
    wrong = {**SETTINGS, "server": "", "port": 0, "days": ["sunday"], "accounts": [{"user": "x"}], "other": 1}
    told = change(fresh, 422, settings=wrong)
    said = {one["field"]: one["reason"] for one in told["errors"]}
    assert said.keys() == {"server", "port", "days", "accounts.0.user", "accounts.0.password", "other"}
    assert said["port"] == "Enter a whole number from 1 to 65535."
    assert "sunday" not in str(told)
    assert TOKEN not in str(told)


def test_two_admins_at_once(fresh: Company) -> None:
    """The second is told that it changed, and nothing of theirs is stored."""
    version = shown(fresh)["version"]
    change(fresh, settings={**SETTINGS, "port": 26}, version=version)
    told = change(fresh, 409, settings={**SETTINGS, "port": 27}, version=version)
    assert "changed this plugin after you opened it" in told["detail"]
    assert shown(fresh)["settings"]["port"] == 26


def test_many_admins_in_the_same_moment(fresh: Company) -> None:
    """Of those who saw the same, one is first; the others are told."""
    version = shown(fresh)["version"]

    def save(port: int) -> int:
        body = {"settings": {**SETTINGS, "port": port}, "version": version}
        return admin(fresh).call("POST", "/plugins/smtp/settings", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(save, range(100, 108)))
    assert said == [200, *[409] * 7]
    assert shown(fresh)["version"] == version + 1


def test_the_default_of_a_kind(fresh: Company) -> None:
    """Of two notifiers the chosen one comes first; only what is enabled can be chosen."""
    assert admin(fresh).post("/plugins/smtp/default", {"kind": "notifier"}, (422,))["field"] == "kind"
    change(fresh, enable=True)
    assert shown(fresh)["plugin"]["default_of"] == []
    assert admin(fresh).post("/plugins/smtp/default", {"kind": "notifier"})["plugin"]["default_of"] == ["notifier"]
    assert shown(fresh, "browser-notifier")["plugin"]["default_of"] == []
    assert sentences(fresh)[0] == "Made smtp the first plugin for notifier"
    admin(fresh).post("/plugins/browser-notifier/default", {"kind": "notifier"})


def test_built_ins_can_be_disabled_but_not_the_last_way_to_sign_in(fresh: Company) -> None:
    """What is on by itself goes off and on again; nobody locks everybody out."""
    assert not admin(fresh).post("/plugins/browser-notifier/disable")["plugin"]["enabled"]
    assert admin(fresh).post("/plugins/browser-notifier/enable")["plugin"]["enabled"]
    told = admin(fresh).post("/plugins/local-accounts/disable", status=(409,))
    assert "last way to sign in" in told["detail"]


def test_plugins_that_cannot_be_used(fresh: Company) -> None:
    """A broken one says why and cannot be enabled; one that needs settings wants them first; one that is not there is not there."""
    broken = shown(fresh, "broken")
    assert (broken["plugin"]["state"], "its library is missing" in broken["plugin"]["detail"]) == ("broken", True)
    assert "Traceback" not in str(broken), "the server's own files are the operator's affair"
    admin(fresh).post("/plugins/broken/enable", status=(409,))
    admin(fresh).post("/plugins/nothing/enable", status=(404,))
    assert admin(fresh).call("GET", "/plugins/nothing").status_code == 404


def test_who_may(fresh: Company) -> None:
    """Auditors see, admins change, others neither; a program of another company finds nothing."""
    for who, sees in (("auditor", 200), ("dispatcher", 403), ("tom", 403)):
        person = fresh.people[who]
        assert person.call("GET", "/plugins/smtp").status_code == sees
        for path, body in (("settings", {"settings": {}, "version": 0}), ("test", {}), ("enable", {}), ("disable", {})):
            assert person.call("POST", f"/plugins/smtp/{path}", json=body).status_code == 403


def test_private_addresses_are_the_admins_choice(fresh: Company) -> None:
    """It is stored beside the settings, and the audit log says so."""
    assert not change(fresh)["allow_private"]
    assert change(fresh, allow_private=True)["allow_private"]
    assert "may reach private addresses" in sentences(fresh)[0]
    assert not change(fresh)["allow_private"]


def test_another_server_of_the_database_follows(companies: Companies, fresh: Company, kind: str) -> None:
    """What is changed at one server holds at the other within two seconds, without a restart."""
    if kind == "sqlite":
        pytest.skip("files have one server")
    data = companies.server.data.with_name("second")
    shutil.copytree(companies.server.data / "keys", data / "keys")
    shutil.copy(companies.server.data / "caisey.toml", data)
    second = Server(data)
    second.start()
    person = admin(fresh)
    there = Person(person.name, person.role, "", person.token, f"{second.url}/api/v1/t/{fresh.slug}")
    try:
        version = there.get("/plugins/smtp")["version"]
        change(fresh, enable=True, settings={**SETTINGS, "port": 2525})
        until(lambda: there.get("/plugins/smtp")["settings"]["port"] == 2525, "the change", 2)
        assert there.get("/plugins/smtp")["plugin"]["enabled"]
        assert there.post("/plugins/smtp/test")["ok"]
        stale = {"settings": SETTINGS, "version": version}
        assert "after you opened it" in there.post("/plugins/smtp/settings", stale, (409,))["detail"]
        there.post("/plugins/smtp/disable")
        until(lambda: not shown(fresh)["plugin"]["enabled"], "the change on the way back", 2)
    finally:
        second.stop()
