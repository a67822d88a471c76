"""A server in the wrong hands exports what it forged: every hash fits, the tenant's key signed it, and three checkers say no."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from checkers import by_caisey, by_page, by_script
from exporting import World, seal_counts
from forgeries import FORGERIES, rows_of
from playwright.sync_api import Page

from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.writer import Entry

Forge = Callable[..., bytes]


def newer_kind(mono: int) -> Entry:
    """An event of a kind that only a later version knows, with a text beside it."""
    (said,), disclosure = commit((b"restart the spooler\nthen print\n",))
    fields = {"v": 2, "kind": "ai-proposed", "actor": e.SERVER, "at": 1, "mono": mono, "plan": e.Content(said.root, 2, 31)}
    return Entry(msgspec.msgpack.encode(fields), disclosure)


def test_the_honest_record_holds(forge: Forge, page: Page, tmp_path: Path) -> None:
    """Written anew without a change it verifies, by all three: what fails below fails for its forgery."""
    data = forge(lambda rows: rows)
    answers = [by_caisey(data), by_script(data, tmp_path), by_page(page, data)]
    assert all(answer.ok for answer in answers), answers


def test_an_event_of_a_newer_version(world: World, forge: Forge, page: Page, tmp_path: Path) -> None:
    """A kind that the checkers do not know is in its place and its text holds; they say that they do not understand it."""
    events = _events(world)
    data = forge(seal_counts(len(events)), {5: newer_kind(events[4].mono)})
    answers = [by_caisey(data), by_script(data, tmp_path), by_page(page, data)]
    assert all(answer.ok for answer in answers), answers
    assert "1 events are of kinds that this version does not know" in answers[0].words


def test_nothing_unknown_follows_the_seal(world: World, forge: Forge, page: Page, tmp_path: Path) -> None:
    """A kind that nobody knows cannot be hung on a sealed record."""
    count = len(_events(world))
    data = forge(lambda rows: rows, {count: newer_kind(1 << 60)})
    answers = [by_caisey(data), by_script(data, tmp_path), by_page(page, data)]
    assert [(answer.ok, answer.event) for answer in answers] == [(False, count)] * 3, answers


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found(forge: Forge, page: Page, tmp_path: Path, name: str) -> None:
    """All three say no and name the same event: what the server cannot have is the device's key."""
    change, reason = FORGERIES[name]
    data = forge(change)
    answers: list[Any] = [by_caisey(data), by_script(data, tmp_path), by_page(page, data)]
    assert not any(answer.ok for answer in answers), answers
    assert reason in answers[0].words, answers
    assert answers[0].event is not None
    assert {answer.event for answer in answers} == {answers[0].event}, answers


def _events(world: World) -> list[e.AnyEvent]:
    store = SqliteStore.open(world.data / "record.db")
    (key,) = store.tenants()
    rows = rows_of(store, key.tenant, f"session/{world.sessions['finished']}")
    store.close()
    return [event for event, _ in rows]
