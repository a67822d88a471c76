"""Search over a million recorded lines, and the review page of a session with 10,000 commands, as a browser gets them.

Records are written while nothing is served; the index is made from them by the server itself, as after a loss, and how long
that takes is shown. Each kind of query is asked many times, as people type them: common and rare words, phrases, beginnings,
filters that leave little. The first opening of a review after a start is shown apart from the later ones.
"""

import http.client
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID

from doors import until
from figures import Row, quantile
from recorded import SECOND, START, Archive, Books, Device, Technician, archive, busy

SESSIONS, COMMANDS, LINES = 1_000, 20, 48  # about 1,000,000 lines with the commands themselves
LONG = 10_000  # commands of the long session
ROUNDS, EACH = 5, 20
INDEXED = "SELECT coalesce(sum(lines), 0) FROM session"
LIMIT = 100.0  # ms, at the 95th percentile
QUERIES = (
    ("common", "q=w0"),
    ("three common", "q=w0+w1+w2"),
    ("in between", "q=w500"),
    ("rare", "q=w19000"),
    ("common and rare", "q=w0+w19000"),
    ("a phrase", "q=%22w0+w1%22"),
    ("a beginning", "q=w12*"),
    ("one letter that all begin with", "q=w*"),
    ("one letter beside a rare word", "q=w19000+w*"),
    ("nowhere", "q=zebra"),
    ("one client", "q=w40&client={client}"),
    ("one technician, one day", "q=w3&technician={technician}&since=2026-01-20&until=2026-01-20"),
    ("an outcome that none has", "q=w0&outcome=denied"),
)


def _words(lines: int) -> Iterator[str]:
    """Yield lines of eight words, some of which are everywhere and most nearly nowhere."""
    chance = random.Random(4711)
    vocabulary = [f"w{n}" for n in range(20_000)]
    weights = [1 / (n + 1) for n in range(20_000)]
    while True:
        words = chance.choices(vocabulary, weights, k=8 * lines)
        for at in range(0, len(words), 8):
            yield " ".join(words[at : at + 8])


async def fill(books: Books) -> dict[str, UUID]:
    devices = [Device(name=f"PC-{n}", client=UUID(int=1 + n % 20)) for n in range(100)]
    technicians = [Technician(id=UUID(int=900 + n), name=f"Technician {n}") for n in range(10)]
    await books.enrol(*devices)
    text = _words(10_000)
    for number in range(SESSIONS):
        writing = books.begin(devices[number % 100], technicians[number % 10], START + number * 3_600 * SECOND)
        writing.ask(f"Reason {number}")
        for command in range(COMMANDS):
            writing.run(f"command {command}", ["".join(f"{next(text)}\r\n" for _ in range(LINES)).encode()])
        writing.finish()
        await writing.write()
    long = books.begin(devices[0], technicians[0], START + SESSIONS * 3_600 * SECOND)
    long.ask()
    busy(long, LONG)
    long.finish()
    return {"long": await long.write()}


class Asking:
    """One connection, as a browser keeps it."""

    def __init__(self, served: Archive) -> None:
        parts = urlsplit(served.server.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        cookies = "; ".join(f"{name}={value}" for name, value in served.browser.client.cookies.items())
        self._headers = {"cookie": cookies, "accept": "text/html", "accept-encoding": "gzip"}

    def __call__(self, path: str) -> float:
        """Return how long the server took, in milliseconds."""
        begun = time.perf_counter()
        self._connection.request("GET", quote(path, safe="/?&=%+*-"), headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)
        return (time.perf_counter() - begun) * 1000


def _indexed(data: Path) -> int:
    with sqlite3.connect(data / "search.db") as database:
        return int(database.execute(INDEXED).fetchone()[0])


def search(served: Archive, indexed: Callable[[], int], where: str = "") -> Iterator[Row]:
    """Wait until the index is made, and ask each kind of query."""
    begun = time.monotonic()
    wanted = SESSIONS * (COMMANDS * (LINES + 1) + 3) + LONG * 3
    until(lambda: indexed() >= wanted, "the index", 1800)
    note = f"{indexed():,} lines, made from the record in {time.monotonic() - begun:.0f} s beside the server's work"
    ask = Asking(served)
    places = {"client": UUID(int=3), "technician": UUID(int=903)}
    every: list[list[float]] = [[] for _ in range(ROUNDS)]
    rows = []
    for name, query in QUERIES:
        address = f"{served.base}/search?{query.format(**places)}"
        rounds = [[ask(address) for _ in range(EACH)] for _ in range(ROUNDS)]
        for one, all_of in zip(rounds, every, strict=True):
            all_of += one
        ours = [quantile(one, 0.95) for one in rounds]
        rows.append(Row(what=f"search{where}, {name}, p95", unit="ms", ours=ours, reference=[LIMIT], against="ms", must=1))
    ours = [quantile(one, 0.95) for one in every]
    yield Row(what=f"search{where}, all, p95", unit="ms", ours=ours, reference=[LIMIT], against="ms", must=1, note=note)
    yield from rows


def measure(folder: Path) -> list[Row]:
    """Fill, let the index be made, ask."""
    with archive(folder / "data", fill) as served:
        first = Asking(served)(served.review("long"))
        rows = list(search(served, lambda: _indexed(served.server.data)))
        ask = Asking(served)  # the server closes an idle connection
        until(lambda: "Verified" in served.browser.get(served.review("long")).text, "the verdict", 120)
        reviews = [quantile([ask(served.review("long")) for _ in range(EACH)], 0.95) for _ in range(ROUNDS)]
        note = f"first opening after a start, while the index was being made: {first:.0f} ms; its verdict follows"
        rows.append(
            Row(
                what=f"review, {LONG:,} commands, p95",
                unit="ms",
                ours=reviews,
                reference=[LIMIT],
                against="ms",
                must=1,
                note=note,
            )
        )
        for what, query in (("a jump in it", f"at={4 + 5 * 9000}"), ("a search in it", "q=cups-96+status")):
            address = f"{served.review('long')}/entries?{query}"
            ours = [quantile([ask(address) for _ in range(EACH)], 0.95) for _ in range(ROUNDS)]
            rows.append(Row(what=f"{what}, p95", unit="ms", ours=ours, reference=[LIMIT], against="ms"))
    return rows
