"""A server in the wrong hands exports what it forged: every hash fits, the tenant's key signed it, and three checkers say no."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from checkers import by_caisey, by_page, by_script
from exporting import World, exported
from forgeries import FORGERIES, Row, entry, rows_of
from msgspec.structs import replace
from playwright.sync_api import Page

from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.writer import Entry, Record

Forge = Callable[..., bytes]


def newer_kind(mono: int) -> Entry:
    """An event of a kind that only a later version knows, with a text beside it."""
    (said,), disclosure = commit((b"restart the spooler\nthen print\n",))
    fields = {"v": 2, "kind": "ai-proposed", "actor": e.SERVER, "at": 1, "mono": mono, "plan": e.Content(said.root, 2, 31)}
    return Entry(msgspec.msgpack.encode(fields), disclosure)


@pytest.fixture
def forge(world: World, folder: Path) -> Forge:
    """Write the finished session anew, changed, into the installation's record, and export it."""

    async def write(change: Callable[[list[Row]], list[Row]], extra: dict[int, Entry]) -> None:
        store = SqliteStore.open(world.data / "record.db")
        (key,) = store.tenants()
        stream = f"session/{world.sessions['finished']}"
        audit, session = rows_of(store, key.tenant, "audit"), rows_of(store, key.tenant, stream)
        store.close()
        for left in folder.glob("record.db*"):
            left.unlink()
        record = Record(SqliteStore.create(folder / "record.db"), MasterKey.open(folder / "keys" / "master.key"))
        await record.start()
        await record.create_tenant(key.tenant, key.origin)
        began, told = audit[0]
        assert isinstance(began, e.TenantCreated)
        audit[0] = (replace(began, key=record.vkey(key.tenant)), told)
        record.append(key.tenant, "audit", [entry(*row) for row in audit])
        entries = [entry(*row) for row in change(session)]
        for number, one in sorted(extra.items()):
            entries.insert(number, one)
        await record.append(key.tenant, stream, entries, seal=True).durable
        await record.close()

    def make(change: Callable[[list[Row]], list[Row]], extra: dict[int, Entry] | None = None) -> bytes:
        with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
            thread.submit(lambda: asyncio.run(write(change, extra or {}))).result()
        return exported(folder, world.sessions["finished"])

    return make


def seal_counts(events: int) -> Callable[[list[Row]], list[Row]]:
    """Let the seal count as many events as there will be."""
    return lambda rows: [(replace(x, events=events) if isinstance(x, e.Sealed) else x, texts) for x, texts in rows]


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
