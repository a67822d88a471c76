"""The index in a database that several processes use, and others too."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from databases import postgres
from doors import until
from sought import ACME, HARBOR, OURS, TOM, found, put

from caisey_core.search.index import About, Line, Mark, SearchIndex, SearchUnavailable, Wanted
from caisey_core.search.indexes import open_index
from caisey_core.search.words import parse

pytestmark = [
    pytest.mark.parametrize("kind", ["postgresql"], indirect=True, scope="session"),
    pytest.mark.usefixtures("kind"),
]


def test_what_an_old_transaction_still_sees_is_purged_later(index: SearchIndex, address: str) -> None:
    """While a backup reads, rows stay; purge says so, and does it once the backup is over."""
    session = put(index, "the password is Xylophon4711")
    with psycopg.connect(address) as backup:
        backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        backup.execute("SELECT 1")
        index.forget(ACME, session)
        assert not index.purge()
    until(index.purge, "the purge")


def test_who_began_to_read_later_is_not_waited_for(index: SearchIndex, address: str) -> None:
    """Making the words anew would wait for a long backup too, and keep the feeder from its work; it is tried again instead."""
    index.forget(ACME, put(index, "the password is Xylophon4711"))
    with psycopg.connect(address) as backup:
        backup.execute("SELECT 1")
        age = "SELECT clock_timestamp() - now() > interval '1.1 seconds'"
        until(lambda: backup.execute(age).fetchone() == (True,), "a transaction that is not young")
        assert not index.purge()
    until(index.purge, "the purge")


def test_what_a_broken_purge_left_behind_is_cleared(index: SearchIndex, address: str) -> None:
    """An index that was given up half-made would keep words, and cost each line time."""
    index.forget(ACME, put(index, "the password is Xylophon4711"))
    with psycopg.connect(address, autocommit=True) as database:
        database.execute("CREATE INDEX line_words_ccnew ON caisey_search.line USING gin (words)")
        database.execute("UPDATE pg_index SET indisvalid=false WHERE indexrelid='caisey_search.line_words_ccnew'::regclass")
        until(index.purge, "the purge")
        assert database.execute("SELECT to_regclass('caisey_search.line_words_ccnew')").fetchone() == (None,)


def test_where_nothing_was_forgotten_nothing_is_made_anew(index: SearchIndex, address: str) -> None:
    """Each start asks for a purge, and the words of a large index take minutes."""
    index.forget(ACME, put(index, "the password is Xylophon4711"))
    until(index.purge, "the purge")
    with psycopg.connect(address, autocommit=True) as database:
        file = "SELECT pg_relation_filepath('caisey_search.line_words')"
        before = database.execute(file).fetchone()
        assert index.purge()
        assert database.execute(file).fetchone() == before


def test_two_processes_feed_one_index(index: SearchIndex, tmp_path: Path, address: str) -> None:
    """Who feeds the same session at the same moment adds nothing; different sessions get different places."""
    other = open_index(tmp_path, address)
    try:
        about = About(
            device=uuid4(), device_name="PC", client=HARBOR, client_name="Client", technicians=(TOM,), technician_name="Tom",
            requested_at=0, outcome="fixed", reason="Why",
        )  # fmt: skip
        sessions = [uuid4() for _ in range(40)]

        def feed(into: SearchIndex) -> int:
            added = 0
            for position in range(3):
                for session in sessions:
                    line = Line(position, "output", f"toner {position}")
                    added += into.add(ACME, session, about, [line], Mark(position), Mark(position + 1))
            return added

        with ThreadPoolExecutor(2) as threads:
            assert sum(threads.map(feed, (index, other))) == 3 * len(sessions)
        for one in (index, other):
            page = one.find(OURS, Wanted(words=parse("toner")))
            assert [len(session.lines) for session in page.found] == [3] * 20
            assert not any(session.more for session in page.found)
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT count(*), count(DISTINCT id >> 24) FROM caisey_search.line").fetchone() == (
                120,
                40,
            )
    finally:
        other.close()


def test_a_database_that_was_away(tmp_path: Path) -> None:
    """Meanwhile it is said so; afterwards the same index goes on, and has what it had."""
    with postgres() as server, closing(open_index(tmp_path, server.new())) as index:
        session = put(index, "one")
        server.kill()
        with pytest.raises(SearchUnavailable):
            found(index, "one")
        server.start()
        assert found(index, "one") == [session]


def test_a_schema_of_another_format_is_begun_anew(tmp_path: Path, address: str) -> None:
    """So is one that was dropped: the record has all of it."""
    for spoil in ("UPDATE caisey_search.format SET number = 0", "DROP SCHEMA caisey_search CASCADE"):
        index = open_index(tmp_path, address)
        put(index, "one")
        index.close()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(spoil)
        index = open_index(tmp_path, address)
        assert found(index, "one") == []
        index.close()
