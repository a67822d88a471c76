"""Every good bundle verifies, by all three checkers, and says what a reader must know."""

import contextlib
import hashlib
import json
import re
import sqlite3
from pathlib import Path

import pytest
from checkers import Answer, by_caisey, by_page, by_script, joined, records, unzipped, zipped
from doors import caisey as command_line
from exporting import World, exported
from playwright.sync_api import Page

from caisey_core.domain import events as e
from caisey_core.record.bundle import Edit, decode_shown
from caisey_core.services.export import Transcript


def asked(data: bytes, page: Page, folder: Path) -> list[Answer]:
    """Ask all three."""
    return [by_caisey(data), by_script(data, folder), by_page(page, data)]


def at(data: bytes, kind: type[e.AnyEvent], number: int = 0) -> int:
    """Return where the n-th event of a kind stands."""
    found = [i for i, row in enumerate(records(unzipped(data)["events"])) if isinstance(e.decode(row), kind)]
    return found[number]


def told_pin(world: World) -> tuple[int, int]:
    """Return event and line of the output that has the PIN."""
    files = unzipped(world.bundles["finished"])
    for number, packed in enumerate(records(files["disclosures"])):
        shown = decode_shown(packed)
        if shown is not None and b"pin 4711\r\n" in shown.texts[0]:  # type: ignore[operator]
            lines = shown.texts[0].split(b"\n")  # type: ignore[union-attr]
            if not isinstance(e.decode(records(files["events"])[number]), e.CommandAccepted):
                return number, next(i for i, line in enumerate(lines) if line == b"pin 4711\r")
    raise AssertionError("no such output")


@pytest.mark.parametrize("name", ["finished", "denied", "revoked", "running"])
def test_what_the_api_gives_verifies(world: World, page: Page, tmp_path: Path, name: str) -> None:
    """A finished, a denied, a revoked and a running session, each as it was exported."""
    answers = asked(world.bundles[name], page, tmp_path)
    assert all(answer.ok for answer in answers), answers
    said = answers[0].words
    assert ("sealed" in said) == (name != "running")
    assert "key was taken from the bundle itself" in said
    assert ("device signed the consent" in said) == (name != "denied")
    assert said.replace("✓ ", "").split("\n")[1] in answers[2].words


def test_lines_withheld(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """A transcript shows each line either exactly, with proof, or as withheld; a reviewer's words are marked as theirs."""
    number, line = told_pin(world)
    second = at(world.bundles["finished"], e.CommandAccepted, 1)
    done = at(world.bundles["finished"], e.SessionCompleted)
    transcript = Transcript(
        withheld={number: frozenset({line}), second: None, done: frozenset({1})},
        edits=(Edit(event=number, line=line, text="pin <b>****</b>"),),
    )
    data = exported(folder, world.sessions["finished"], transcript)
    answers = asked(data, page, tmp_path)
    assert all(answer.ok for answer in answers), answers
    assert "3 are withheld or erased" in answers[0].words
    assert "1 texts in them are a reviewer's" in answers[0].words
    shown = page.locator("#events").inner_text()
    assert "a reviewer's words, no part of the proof: pin <b>****</b>" in shown
    assert "name anna" in shown
    reading = unzipped(data)["index.html"].decode()
    assert "pin &lt;b&gt;****&lt;/b&gt;" in reading
    assert "a reviewer’s words" in reading
    # the command that set the line is the reviewer's to withhold too; here only the output was
    for name, content in unzipped(data).items():
        if name in ("index.html", "events.jsonl", "terminal.cast", "disclosures"):
            assert b"pin 4711\r\n" not in content, name
            assert b"A test page came out." not in content, name


def test_content_that_was_erased(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """Texts that are no longer kept are missing in their place; everything else still verifies."""
    with contextlib.closing(sqlite3.connect(folder / "record.db")) as record:
        record.execute("UPDATE event SET seed = NULL, texts = NULL WHERE id >> 40 > 1")
        record.commit()
    data = exported(folder, world.sessions["finished"])
    answers = asked(data, page, tmp_path)
    assert all(answer.ok for answer in answers), answers
    assert "0 lines are shown" in answers[0].words
    assert b"anna" not in unzipped(data)["index.html"]


def test_the_key_that_was_given(world: World, page: Page, tmp_path: Path) -> None:
    """With the key that the reader has by another way it is proven; another key is refused by all three."""
    data = world.bundles["finished"]
    right = json.loads(unzipped(data)["keys.json"])["tenant"][0]
    path = tmp_path / "bundle.zip"
    path.write_bytes(data)
    done = command_line("verify", str(path), "--key", right)
    assert done.returncode == 0
    assert "The key is the one that you gave." in done.stdout
    assert by_script(data, tmp_path, right).ok
    page.fill("#key", right)
    assert "The key is the one that you gave." in by_page(page, data).words
    wrong = "name+1c5fcdcb+AfsMFNbaQ5wdHAuLaDEaBBdsJdCxKQ1wCGnHM0NSrZ3F"
    done = command_line("verify", str(path), "--key", wrong)
    assert done.returncode == 1
    assert not by_script(data, tmp_path, wrong).ok
    page.fill("#key", wrong)
    assert not by_page(page, data).ok
    page.fill("#key", "")


def test_the_command_line(world: World, tmp_path: Path) -> None:
    """A line for each promise and 0; at the first that fails 1, with the event's number and time; no installation is needed."""
    path = tmp_path / "bundle.zip"
    path.write_bytes(world.bundles["finished"])
    done = command_line("verify", str(path))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 8
    assert re.search(r"\d receipts of the device, chained and signed", done.stdout)
    assert command_line("verify", str(tmp_path / "missing.zip")).returncode == 1
    assert command_line("verify").returncode == 2
    files = unzipped(path.read_bytes())
    rows = records(files["events"])
    path.write_bytes(path.read_bytes()[:-1])
    assert "This is no bundle that can be checked" in command_line("verify", str(path)).stderr
    spoiled = bytearray(rows[9])
    spoiled[-1] ^= 1
    path.write_bytes(zipped({**files, "events": joined([*rows[:9], bytes(spoiled), *rows[10:]])}))
    done = command_line("verify", str(path))
    assert done.returncode == 1
    assert re.search(r"event 9: .* \((at|after) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)", done.stderr), done.stderr


def test_files_for_reading(world: World, page: Page, tmp_path: Path) -> None:
    """The page is escaped, without scripts, under a policy; the JSON lines and the asciicast are what their readers expect."""
    files = unzipped(world.bundles["finished"])
    reading = files["index.html"].decode()
    assert "<script" not in reading
    assert "&lt;b&gt;Grüße&lt;/b&gt;" in reading
    assert "default-src 'none'" in reading
    lines = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    assert [line["event"] for line in lines] == list(range(len(records(files["events"]))))
    texts = [text for line in lines for field in line.values() if isinstance(field, dict) for text in field.get("text", ())]
    assert "pin 4711\r\n" in texts
    head, *frames = [json.loads(line) for line in files["terminal.cast"].splitlines()]
    assert head["version"] == 2
    assert all(kind in "orm" and time >= 0 for time, kind, _ in frames)
    assert [time for time, _, _ in frames] == sorted(time for time, _, _ in frames)
    path = tmp_path / "index.html"
    path.write_bytes(files["index.html"])
    other = page.context.browser.new_page(viewport={"width": 390, "height": 844})  # type: ignore[union-attr]
    trouble: list[str] = []
    other.on("console", lambda said: trouble.append(said.text))
    other.goto(path.as_uri())
    assert "agreed" in other.inner_text("body")
    assert other.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    other.close()
    assert not trouble, trouble


def test_the_audit_log_names_who_exported(world: World) -> None:
    """Each export is an event that stands for exactly the files for reading that were given away."""
    files = unzipped(world.bundles["finished"])
    told = [e.decode(bytes.fromhex(one["event"])) for one in json.loads(files["proofs.json"])["told"]]
    (event,) = [event for event in told if isinstance(event, e.SessionExported)]
    assert event.actor.name == "Tom Brandt"
    assert event.everything
    named = json.loads(files["manifest.json"])["files"]
    assert event.files == hashlib.sha256("".join(f"{n} {named[n]}\n" for n in sorted(named)).encode()).digest()
