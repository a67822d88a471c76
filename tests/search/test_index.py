"""The index finds what was disclosed, for whom it may, and forgets what it must."""

import random
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from databases import Postgres, both
from doors import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sought import ACME, BOLT, HARBOR, MIA, OURS, PINE, TOM, found, put

from caisey_core.search import finding, sqlite
from caisey_core.search.index import Line, Mark, Page, Scope, SearchIndex, Wanted
from caisey_core.search.indexes import open_index
from caisey_core.search.words import parse, spans

pytestmark = both


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        ("denied", True),
        ("DENIED access", True),
        ('"access denied"', True),
        ('"denied access"', False),
        ("den*", True),
        ("den", False),
        ('"access den"*', True),
        ("d*", True),
        ("x*", False),
        ("lo*", True),
        ("lx*", False),
        ("zü*", True),
        ('"access d"*', True),
        ('"access t"*', False),
        ('"to /v"*', True),
        ("/var/log/cups", True),
        ("log/var", False),
        ("zurich", True),
        ("denied nothing", False),
        ('"access denied', True),
        ("cups AND denied", False),
    ],
)
def test_words_phrases_and_beginnings(index: SearchIndex, query: str, hit: bool) -> None:
    """Every word must be in one line; quotes make a phrase, a star a beginning; case and accents do not count."""
    session = put(index, "lpd: Access denied to /var/log/cups in Zürich", "and on another line")
    assert found(index, query) == ([session] if hit else [])


WORDS = ("a", "b", "ab", "ba", "abc", "bab", "abcd", "abcde", "é", "éa", "1", "1a")


def test_all_that_fits_is_found_and_nothing_else(index: SearchIndex) -> None:
    """On each database a line fits if and only if each of the words is marked in it when it is shown."""
    chance = random.Random(4711)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(1, 4))) for _ in range(20)]
    sessions = [put(index, line) for line in lines]

    @settings(max_examples=300, deadline=None)
    @given(
        query=st.lists(
            st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.booleans()), min_size=1, max_size=3
        )
    )
    def same(query: list[tuple[list[str], bool]]) -> None:
        words = parse(" ".join(f'"{" ".join(phrase)}"{"*" if prefix else ""}' for phrase, prefix in query))
        expected = [one for one, line in zip(sessions, lines, strict=True) if all(spans(line, (word,)) for word in words)]
        assert [one.session for one in index.find(OURS, Wanted(words=words)).found] == expected[::-1]

    same()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.text(max_size=60)
    | st.lists(st.sampled_from(['"', "*", "NEAR(", "AND", "a", "^", ":", "-", "'", "\0"])).map(" ".join)
)
def test_no_query_is_an_error(index: SearchIndex, query: str) -> None:
    """Whatever is typed finds something or nothing."""
    assert isinstance(index.find(Scope(ACME), Wanted(words=parse(query))), Page)
    spans(query, parse(query))


def test_nobody_finds_what_is_another_tenants_or_clients(index: SearchIndex) -> None:
    """A tenant is a wall, also with the same ids on both sides; of clients only those that the member serves."""
    theirs = put(index, "secret plans", tenant=BOLT)
    ours, pine = put(index, "secret plans"), put(index, "secret plans", client=PINE)
    assert found(index, "secret") == [pine, ours]
    assert found(index, "secret", Scope(ACME, frozenset({HARBOR}))) == [ours]
    assert found(index, "secret", Scope(ACME, frozenset())) == []
    assert found(index, "secret", Scope(ACME, frozenset({HARBOR})), client=PINE) == []
    assert found(index, "secret", Scope(BOLT)) == [theirs]
    assert found(index, "secret", Scope(uuid4())) == []
    assert found(index, "", Scope(ACME, frozenset({PINE})), outcome="fixed") == [pine]
    assert index.mark(ACME, theirs) == Mark()
    index.forget(ACME, theirs)
    assert found(index, "secret", Scope(BOLT)) == [theirs]


def test_filters(index: SearchIndex) -> None:
    """Device, client, technician, time and outcome narrow what is found, with and without words."""
    device = uuid4()
    one = put(index, "toner", at=10, device=device, technicians=(TOM, MIA), outcome="denied")
    two = put(index, "toner", at=20, client=PINE)
    for words in ("toner", ""):
        assert found(index, words, device=device) == [one]
        assert found(index, words, client=PINE) == [two]
        assert found(index, words, technician=MIA) == [one]
        assert found(index, words, technician=TOM) == [two, one]
        assert found(index, words, since=15) == [two]
        assert found(index, words, until=20) == [one]
        assert found(index, words, outcome="denied") == [one]
        assert found(index, words, outcome="denied", client=PINE) == []


def test_pages_follow_each_other_without_gap_or_repetition(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, 20 at once, each session once; a page that looked far enough says how far, and goes on from there."""
    hits = [put(index, "paper jam", "paper", at=n) if n % 3 == 0 else put(index, "quiet", at=n) and None for n in range(150)]
    expected = [hit for hit in reversed(hits) if hit is not None]
    for few in (sqlite.MOST_PROBES, 7):
        for database in (sqlite, finding):
            monkeypatch.setattr(database, "MOST_PROBES", few)
        for more in ({}, {"technician": TOM}):
            seen, before = [], None
            while True:
                page = index.find(Scope(ACME), Wanted(words=parse("paper"), before=before, **more))  # type: ignore[arg-type]
                seen += [one.session for one in page.found]
                assert len(page.found) <= 20
                if page.next is None:
                    break
                before = page.next
            assert seen == expected


def test_lines_are_added_once(index: SearchIndex) -> None:
    """Who adds from where the index no longer stands adds nothing: a repetition, or another process's work."""
    session = put(index, "one")
    about = index.find(Scope(ACME), Wanted(words=parse("one"))).found[0].about
    assert not index.add(ACME, session, about, [Line(0, "output", "one again")], Mark(), Mark(1))
    assert index.add(ACME, session, about, [Line(1, "output", "two")], index.mark(ACME, session), Mark(2))
    assert found(index, "again") == []
    assert found(index, "two") == [session]


def test_what_is_forgotten_is_in_no_row_and_in_no_file(
    index: SearchIndex, tmp_path: Path, address: str, request: pytest.FixtureRequest
) -> None:
    """After `forget` and `purge` neither the text nor any of its words is in the database's files; others' lines stay.

    PostgreSQL may keep bytes in free space of a table's file: no row has them, and the file of words is made anew.
    """
    session = put(index, "the password is Xylophon4711", reason="Xylophon4711 again")
    other = put(index, "nothing special")
    assert b"xylophon" in kept(tmp_path, address, request).lower()
    index.forget(ACME, session)
    until(index.purge, "the purge")
    assert found(index, "xylophon4711") == []
    assert found(index, "special") == [other]
    assert b"xylophon" not in kept(tmp_path, address, request).lower()
    assert index.mark(ACME, session) == Mark(generation=1)


def test_who_comes_next_purges_what_was_forgotten(
    index: SearchIndex, tmp_path: Path, address: str, request: pytest.FixtureRequest
) -> None:
    """A process that is gone before it could purge leaves that to the next one."""
    index.forget(ACME, put(index, "the password is Xylophon4711"))
    assert b"xylophon" in kept(tmp_path, address, request).lower()
    with closing(open_index(tmp_path, address)) as other:
        until(other.purge, "the purge")
    assert b"xylophon" not in kept(tmp_path, address, request).lower()


def kept(folder: Path, address: str, request: pytest.FixtureRequest) -> bytes:
    """Return the index's files; of PostgreSQL the rows, and the file of the words."""
    if not address:
        return b"".join(path.read_bytes() for path in folder.iterdir())
    server: Postgres = request.getfixturevalue("postgres_server")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        rows = connection.execute(
            "SELECT line::text FROM caisey_search.line UNION ALL SELECT session::text FROM caisey_search.session"
        )
        place = connection.execute("SELECT pg_relation_filepath('caisey_search.line_words')").fetchone()
        assert place is not None
        return str(rows.fetchall()).encode() + (server.folder / "data" / place[0]).read_bytes()


def test_what_was_read_before_it_was_forgotten_is_not_added(index: SearchIndex) -> None:
    """Lines that were on their way while a session was forgotten stay away."""
    session = put(index)
    about = index.find(Scope(ACME), Wanted(outcome="fixed")).found[0].about
    before = index.mark(ACME, session)
    index.forget(ACME, session)
    assert not index.add(ACME, session, about, [Line(0, "output", "too late")], before, Mark(5))


def test_words_and_lines_of_any_length(index: SearchIndex) -> None:
    """A word as long as a line, a word that fills a line, and signs that a database does not keep are no error."""
    long, full, odd = put(index, "x" * 4096), put(index, "a b " * 1024), put(index, "nul \0 'quoted' \\ back", reason="\0")
    assert found(index, "x" * 300 + "*") == [long]
    assert found(index, "x" * 300) == []
    assert found(index, '"a b"') == [full]
    assert found(index, "quoted back") == [odd]
