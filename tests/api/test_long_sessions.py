"""Reviews of long sessions: parts of the timeline, single entries, verdicts that are kept, the terminal as an asciicast, search."""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from doors import until
from recorded import SECOND, START, Archive, Books, Device, Technician, archive, busy

COMMANDS = 450
SECRET = "correct horse"


async def fill(books: Books) -> dict[str, UUID]:
    """A long session, and a short one in which everything happens in the terminal."""
    device = Device()
    await books.enrol(device)
    long = books.begin(device, at=START)
    long.ask()
    busy(long, COMMANDS, ("ready", "ok"))
    long.run("cat haystack", (b"hay\nhay\nthe nee", b"dle is here\nhay\n"))
    long.finish()
    shown = books.begin(device, at=START + 86_400 * SECOND)
    shown.ask("Look at the lamp")
    shown.resize(100, 30)
    shown.resize(90, 20)
    shown.types("ls\r")
    shown.shows("prompt$ ls\r\nKüche ".encode()[:13], "prompt$ ls\r\nKüche ".encode()[13:], b"\xff!\r\n")
    shown.types(SECRET, hidden=True)
    shown.shows(b"\x1b]52;c;ZXZpbA==", b"\x07\x1b[6nplain\r\n")
    shown.run("printf 'a\\nb'", (b"a\nb\r", b"\n"))
    shown.hand_over(Technician(name="Mia Torres"))
    shown.finish()
    return {"long": await long.write(), "shown": await shown.write()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An installation with these sessions."""
    with archive(tmp_path_factory.mktemp("archive") / "data", fill) as found:
        yield found


def part(served: Archive, **query: object) -> tuple[list[int], dict[str, str]]:
    """Return the positions of a part's entries, and what the part says of itself."""
    answer = served.browser.client.get(served.review("long") + "/entries", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    head = re.search(r"<ol ([^>]*)>", answer.text)
    assert head is not None
    return [int(found) for found in re.findall(r'<li id="e(\d+)"', answer.text)], dict(
        re.findall(r'data-(\w+)="([^"]*)"', head[1])
    )


def test_the_first_screen_holds_one_part(served: Archive) -> None:
    """However long the session, its page has its verdict, its numbers and the first hundred entries."""
    page = served.browser.get(served.review("long")).text
    assert len(re.findall(r'<li id="e\d+"', page)) == 100
    assert f"<dd>{COMMANDS + 1}</dd>" in page
    verdict = until(lambda: re.search("Verified: [0-9]+ events", served.browser.get(served.review("long")).text), "the verdict")
    assert verdict[0] == f"Verified: {5 * (COMMANDS + 1) + 6} events"


def test_parts_follow_each_other(served: Archive) -> None:
    """All parts together are all entries, in order, each once."""
    seen: list[int] = []
    while True:
        found, about = part(served, start=len(seen))
        seen += found
        if len(seen) == int(about["matches"]):
            break
    assert len(seen) == int(about["total"]) == COMMANDS + 6
    assert seen == sorted(set(seen))


def test_the_server_finds_the_place(served: Archive) -> None:
    """The part with an event, also one inside of a command's output; with a time; with words, also across two pieces of output."""
    accepted = 4 + 5 * 300
    for position in (accepted, accepted + 2):
        found, about = part(served, at=position)
        assert (about["at"], accepted in found) == (f"e{accepted}", True)
    found, about = part(served, time=START + 1000 * (accepted + 1))
    assert about["at"] == f"e{accepted}"
    assert part(served, q="Needle HERE")[0] == [4 + 5 * COMMANDS]
    assert part(served, q="needle nowhere")[0] == []
    assert part(served, q="number")[1]["matches"] == "0"
    consent, about = part(served, group="consent")
    assert (len(consent), about["total"]) == (3, str(COMMANDS + 6))
    assert part(served, group="none")[0] == []
    assert part(served, q="echo", group="consent")[0] == []
    found, about = part(served, q="echo 3", at=accepted)
    assert about["at"] == f"e{accepted}"


def test_one_entry_with_its_output(served: Archive) -> None:
    """An entry's texts are read when it is looked at; an event inside of it leads to it; nothing else is there."""
    position = 4 + 5 * COMMANDS
    for at in (position, position + 3):
        text = served.browser.get(f"{served.review('long')}/events/{at}").text
        assert f'data-of="e{position}"' in text
        assert "the needle is here" in text
    for at in (10**7, 99_999_999_999):
        assert served.browser.get(f"{served.review('long')}/events/{at}").status_code == 404


def test_the_terminal_as_an_asciicast(served: Archive) -> None:
    """Sizes, output, marks; a character in two pieces is whole, a broken one U+FFFD; hidden typing and hostile strings are not there."""
    address = f"{served.base}/sessions/{served.sessions['shown']}/terminal.cast"
    answer = served.browser.get(address)
    head, *lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (head["version"], head["width"], head["height"]) == (2, 100, 30)
    assert [text for _, code, text in lines if code == "r"] == ["90x20"]
    assert [text for _, code, text in lines if code == "m"] == [
        "anna agreed",
        "printf 'a\\nb'",
        "From Tom Brandt to Mia Torres",
    ]
    screen = "".join(text for _, code, text in lines if code == "o")
    assert screen == "prompt$ ls\r\nKüche \ufffd!\r\nplain\r\n\r\n\x1b[1m❯ printf 'a\\nb'\x1b[0m\r\na\r\nb\r\n"
    times = [at for at, _, _ in lines]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 1
    assert SECRET not in answer.text
    assert "ZXZpbA" not in answer.text
    assert answer.headers["content-disposition"].startswith("attachment")


def shown(served: Archive, query: str) -> str:
    """Return the page of results."""
    return served.browser.get(f"{served.base}/search?{query}").text


def test_search_leads_to_the_moment(served: Archive) -> None:
    """What a stopped server has in its record is found once it is served; the hit stands in its line and leads to its event."""
    until(lambda: "needle" in shown(served, "q=needle") and "catching up" not in shown(served, "q=needle"), "the index")
    position = 4 + 5 * COMMANDS
    text = shown(served, "q=needle")
    assert f'/review?mark=needle#e{position + 2}"' in text
    assert "the <mark>needle</mark> is here" in text
    assert "lamp" in shown(served, "q=%22at+the+lamp%22")
    assert "Nothing fits" in shown(served, f"q=%22{SECRET.replace(' ', '+')}%22")
    assert "Nothing fits" in shown(served, "q=ZXZpbA")
    assert "Nothing fits" in shown(served, "q=needle&since=2026-01-06")
    assert "needle</mark>" in shown(served, "q=needle&since=2026-01-05&until=2026-01-05&outcome=fixed")
    for bad in ("q=%22%22%22*(", "q=needle&client=nonsense", "since=yesterday&q=needle", "q=%00", "q=needle&before=x"):
        assert served.browser.get(f"{served.base}/search?{bad}").status_code == 200


def test_the_index_is_made_again_from_the_record(served: Archive) -> None:
    """After a kill -9 and with the index gone, the record has all of it."""
    assert served.server.process is not None
    served.server.process.kill()
    served.server.process.wait()
    for path in served.server.data.glob("search.db*"):
        path.unlink()
    served.server.start()
    served.browser.client.base_url = served.server.url
    until(lambda: "needle</mark>" in shown(served, "q=needle"), "the index")


def flip(data: Path, table: str, column: str, where: str) -> None:
    """Change one byte of the record while it is served."""
    with sqlite3.connect(data / "record.db", timeout=10) as database:
        identity, content = database.execute(f"SELECT rowid, {column} FROM {table} WHERE {where}").fetchone()
        changed = bytearray(content)
        changed[-1] ^= 1
        database.execute(f"UPDATE {table} SET {column}=? WHERE rowid=?", (bytes(changed), identity))
    database.close()


def test_a_kept_verdict_is_honest(tmp_path: Path) -> None:
    """The page says when it was checked; what is shown is compared with what was read; checking again finds the changed byte."""
    with archive(tmp_path / "data", fill) as served:
        review = served.review("long")

        def page(path: str = "") -> Any:
            return served.browser.get(review + path).text

        first = until(lambda: re.search(r'Checked <time datetime="([^"]+)"', page()), "the verdict")[1]
        assert re.search(r'Checked <time datetime="([^"]+)"', page())[1] == first  # type: ignore[index]
        position = 4 + 5 * 200
        assert "does not hold" not in page("/verdict")
        assert "What the database holds here is not" not in page(f"/events/{position}")
        (stream,) = (
            sqlite3.connect(served.server.data / "record.db")
            .execute("SELECT id FROM stream WHERE name=?", (f"session/{served.sessions['long']}",))
            .fetchone()
        )
        flip(served.server.data, "event", "texts", f"id={(stream << 40) + position + 2}")
        assert "What the database holds here is not" in page(f"/events/{position}")
        assert f"event {position + 2}: its text is not what was committed to" in page("/verdict")
        flip(served.server.data, "event", "texts", f"id={(stream << 40) + position + 2}")
        assert "Verified: " in page("/verdict")
        flip(served.server.data, "event", "texts", f"id={(stream << 40) + position + 12}")
        assert "Verified: " in page("/verdict")  # kept: nobody looked there, and nothing was added
        again = served.browser.client.post(
            review + "/check",
            data={"_csrf_token": served.browser.client.cookies["caisey-csrf"]},
            headers={"hx-request": "true"},
        )
        assert f"event {position + 12}: its text is not what was committed to" in again.text


def test_a_fork_of_the_log_is_noticed_without_checking_again(tmp_path: Path) -> None:
    """A checkpoint that is smaller than one that was verified, or leaves that were cut, break the next verdict."""
    with archive(tmp_path / "data", fill) as served:
        until(lambda: "Verified: " in served.browser.get(served.review("shown") + "/verdict").text, "the verdict")
        with sqlite3.connect(served.server.data / "record.db", timeout=10) as database:
            database.execute("DELETE FROM checkpoint WHERE size=(SELECT max(size) FROM checkpoint)")
        database.close()
        assert "does not hold" in served.browser.get(served.review("shown") + "/verdict").text
