"""The index finds what was disclosed, for whom it may, and forgets what it must."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caisey_core.search import sqlite
from caisey_core.search.index import About, Line, Mark, Page, Scope, Wanted
from caisey_core.search.sqlite import SqliteIndex
from caisey_core.search.words import parse, spans

ACME, BOLT = uuid4(), uuid4()
HARBOR, PINE = uuid4(), uuid4()
TOM, MIA = uuid4(), uuid4()
OURS = Scope(ACME)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqliteIndex]:
    """An empty index."""
    made = SqliteIndex(tmp_path / "search.db")
    yield made
    made.close()


def put(index: SqliteIndex, *texts: str, tenant: UUID = ACME, client: UUID = HARBOR, at: int = 0, **more: object) -> UUID:
    """Index a session with these lines."""
    known = {"device": uuid4(), "technicians": (TOM,), "outcome": "fixed", "reason": "Why"} | more
    about = About(
        device_name="PC", client=client, client_name="Client", technician_name="Tom", requested_at=at, **known  # type: ignore[arg-type]
    )  # fmt: skip
    session = uuid4()
    lines = [Line(at, "output", text) for at, text in enumerate(texts)]
    assert index.add(tenant, session, about, lines, Mark(), Mark(len(texts)))
    return session


def found(index: SqliteIndex, query: str, scope: Scope = OURS, **more: object) -> list[UUID]:
    """Return the sessions on the first page."""
    return [one.session for one in index.find(scope, Wanted(words=parse(query), **more)).found]  # type: ignore[arg-type]


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
        ("/var/log/cups", True),
        ("log/var", False),
        ("zurich", True),
        ("denied nothing", False),
        ('"access denied', True),
        ("cups AND denied", False),
    ],
)
def test_words_phrases_and_beginnings(index: SqliteIndex, query: str, hit: bool) -> None:
    """Every word must be in one line; quotes make a phrase, a star a beginning; case and accents do not count."""
    session = put(index, "lpd: Access denied to /var/log/cups in Zürich", "and on another line")
    assert found(index, query) == ([session] if hit else [])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.text(max_size=60)
    | st.lists(st.sampled_from(['"', "*", "NEAR(", "AND", "a", "^", ":", "-", "'", "\0"])).map(" ".join)
)
def test_no_query_is_an_error(index: SqliteIndex, query: str) -> None:
    """Whatever is typed finds something or nothing."""
    assert isinstance(index.find(Scope(ACME), Wanted(words=parse(query))), Page)
    spans(query, parse(query))


def test_nobody_finds_what_is_another_tenants_or_clients(index: SqliteIndex) -> None:
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


def test_filters(index: SqliteIndex) -> None:
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


def test_pages_follow_each_other_without_gap_or_repetition(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, 20 at once, each session once; a page that looked far enough says how far, and goes on from there."""
    hits = [put(index, "paper jam", "paper", at=n) if n % 3 == 0 else put(index, "quiet", at=n) and None for n in range(150)]
    expected = [hit for hit in reversed(hits) if hit is not None]
    for few in (sqlite.MOST_PROBES, 7):
        monkeypatch.setattr(sqlite, "MOST_PROBES", few)
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


def test_lines_are_added_once(index: SqliteIndex) -> None:
    """Who adds from where the index no longer stands adds nothing: a repetition, or another process's work."""
    session = put(index, "one")
    about = index.find(Scope(ACME), Wanted(words=parse("one"))).found[0].about
    assert not index.add(ACME, session, about, [Line(0, "output", "one again")], Mark(), Mark(1))
    assert index.add(ACME, session, about, [Line(1, "output", "two")], index.mark(ACME, session), Mark(2))
    assert found(index, "again") == []
    assert found(index, "two") == [session]


def test_what_is_forgotten_is_in_no_file(index: SqliteIndex, tmp_path: Path) -> None:
    """After `forget` and `purge` neither the text nor any of its words is in the database's files; others' lines stay."""
    session = put(index, "the password is Xylophon4711", reason="Xylophon4711 again")
    other = put(index, "nothing special")
    index.forget(ACME, session)
    assert index.purge()
    assert found(index, "xylophon4711") == []
    assert found(index, "special") == [other]
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"xylophon" not in files.lower()
    assert index.mark(ACME, session) == Mark(generation=1)


def test_what_was_read_before_it_was_forgotten_is_not_added(index: SqliteIndex) -> None:
    """Lines that were on their way while a session was forgotten stay away."""
    session = put(index)
    about = index.find(Scope(ACME), Wanted(outcome="fixed")).found[0].about
    before = index.mark(ACME, session)
    index.forget(ACME, session)
    assert not index.add(ACME, session, about, [Line(0, "output", "too late")], before, Mark(5))


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """The index is no treasure: what cannot be read is made again."""
    path = tmp_path / "search.db"
    path.write_bytes(content)
    index = SqliteIndex(path)
    assert found(index, "x") == []
    index.close()
