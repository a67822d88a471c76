"""A plugin from outside: written, built and installed as a stranger would, then tried, enabled, used, disabled and uninstalled."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from companies import Companies, two_companies
from doors import until
from vendor import Answer, Vendor
from wheels import Environment

TOKEN = "tok-of-the-pager-81c2"


@pytest.fixture(scope="module")
def companies(stranger: Environment, receiver: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server of the environment into which the wheel was installed."""
    with two_companies(tmp_path_factory.mktemp("companies") / "data", python=stranger.python) as made:
        yield made


def test_it_is_found(stranger: Environment) -> None:
    """`caisey plugins` lists it; it is not in the environment of these tests."""
    line = next(line for line in stranger.caisey("plugins").splitlines() if line.startswith("pager"))
    assert "caisey-pager 0.1.0" in line
    assert " ok" in line
    where = Path(stranger.python).parents[1]
    assert list(where.rglob("caisey_pager/__init__.py")), "it was not installed from its wheel"


def test_tried_enabled_used_disabled(companies: Companies, receiver: Vendor) -> None:
    """Settings are tried before they count; then an assignment reaches the receiver, once, for this company alone; then no more."""
    admin = companies.acme.people["admin"]
    settings: dict[str, Any] = {"address": receiver.url("/notices"), "token": TOKEN}
    trial = {"settings": settings, "allow_private": True}
    receiver.answer = lambda _: Answer(status=401)
    assert admin.post("/plugins/pager/test", trial)["ok"] is False
    receiver.answer = lambda _: Answer(status=204, body=b"")
    assert admin.post("/plugins/pager/test", trial)["ok"] is True
    version = admin.get("/plugins/pager")["version"]
    admin.post("/plugins/pager/settings", {**trial, "version": version, "enable": True})

    receiver.asked.clear()
    _assign(companies, "FIRST")
    posted = until(lambda: [one for one in receiver.asked if one.method == "POST"], "the notice")
    assert posted[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert posted[0].headers["idempotency-key"]
    assert "FIRST" in json.loads(posted[0].body)["title"] + json.loads(posted[0].body)["text"]
    assert len(posted) == 1
    assert TOKEN not in companies.server.log()
    assert companies.bolt.people["admin"].get("/plugins/pager")["plugin"]["enabled"] is False

    admin.post("/plugins/pager/disable")
    receiver.asked.clear()
    _assign(companies, "SECOND")
    tom = companies.acme.browser("tom")
    until(
        lambda: "SECOND" in tom.get(f"/t/{companies.acme.slug}/notices").text,
        "the notice in the page, which comes with the others",
    )
    assert receiver.asked == []


def _assign(companies: Companies, name: str) -> None:
    """Assign a new device to Tom."""
    raw = companies.raw_device(companies.acme, name, "Harbor")
    order = {"devices": [str(raw.id)], "technicians": [str(companies.acme.members["tom"])], "reason": "The printer is quiet"}
    companies.acme.people["dispatcher"].post("/assignments", order)
