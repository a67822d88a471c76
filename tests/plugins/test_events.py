"""A plugin hears what happened in the companies that enabled it: kinds and times once they are durable, and nothing of what was said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from companies import Companies, two_companies
from distributions import notifier, on_the_path
from doors import until

HEARS = """
import json

@hookimpl
def caisey_event(event):
    with open({heard!r}, "a") as file:
        file.write(json.dumps([event.kind, event.tenant, event.stream, event.at.isoformat()]) + "\\n")
    if event.kind == "device-renamed":
        raise RuntimeError("of no use")
"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin notes what it hears."""
    return tmp_path_factory.mktemp("heard") / "events"


@pytest.fixture(scope="module")
def companies(heard: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server with a plugin that listens."""
    site = tmp_path_factory.mktemp("site")
    notifier(site, "listener", "return Delivery(delivered=True)", before=HEARS.format(heard=str(heard)), info="")
    with on_the_path(site), two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
        yield made


def test_what_is_heard(companies: Companies, heard: Path) -> None:
    """By the company that enabled it, from then on; one that raises hears the next, and nobody else notices."""
    acme, bolt = companies.acme, companies.bolt
    admin = acme.people["admin"]
    companies.raw_device(acme, "BEFORE", "Harbor")
    admin.post("/plugins/listener/enable")
    companies.raw_device(bolt, "THEIRS", "Harbor")
    desk = companies.raw_device(acme, "DESK", "Harbor")
    admin.post(f"/devices/{desk.id}/rename", {"name": "FRONT"})
    session = acme.active("DESK", reason="a reason that nobody hears")

    def told() -> list[Any]:
        return [json.loads(line) for line in heard.read_text().splitlines()] if heard.exists() else []

    until(lambda: "consent-granted" in {kind for kind, *_ in told()}, "the plugin's ear")
    events = told()
    assert {tenant for _, tenant, *_ in events} == {str(acme.tenant)}
    streams = {kind: stream for kind, _, stream, _ in events}
    assert (streams["device-enrolled"], streams["consent-granted"]) == ("audit", f"session/{session}")
    assert [kind for kind, *_ in events].count("device-enrolled") == 1
    assert "device-renamed" in streams
    assert "nobody hears" not in heard.read_text()
    plugin = next(one for one in admin.get("/plugins") if one["name"] == "listener")
    assert "of no use" in str(plugin)
