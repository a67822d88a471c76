"""Whatever a session has and whatever a reviewer withholds: nothing that the link serves says it, and the bundle verifies."""

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from companies import Companies, Company
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing import Review, forms, holds, ran, served

from caisey_agent.protocol import frames as f

SCRIPT = Path(__file__).parents[2] / "docs" / "verify.py"
NUMBERS = count(0x10000)
TAIL = st.text(
    st.one_of(st.characters(codec="utf-8", exclude_characters="\n\r\0"), st.sampled_from("<>&\"' \x1b[m")), max_size=12
)


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """A company with a device that says whatever a test tells it to."""
    companies.raw_device(companies.acme, "DESK", "Harbor")
    return companies.acme


def words(draw: Any) -> str:
    """Return words that stand nowhere else."""
    return f"{draw.draw(TAIL).strip()} tk{next(NUMBERS):x}zq {draw.draw(TAIL)}".strip()


def pieces(draw: Any, data: bytes) -> tuple[bytes, ...]:
    """Cut bytes anywhere."""
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if b > a)


def play(acme: Company, draw: Any) -> str:
    """A session with texts of every kind: reason, commands, outputs and terminal in pieces, refusals, a file, notes."""
    desk, tom = acme.raw["DESK"], acme.people["tom"]
    session = acme.active("DESK", reason=f"reason tk{next(NUMBERS):x}zq")
    for _ in range(draw.draw(st.integers(1, 3))):
        lines = "".join(words(draw) + "\n" for _ in range(draw.draw(st.integers(0, 4))))
        line = words(draw).replace("\n", " ").strip() or "true"
        ran(acme, desk, session, line, *pieces(draw, lines.encode()), directory=f"/srv/tk{next(NUMBERS):x}zq")
    for piece in pieces(draw, f"\x1b]0;title tk{next(NUMBERS):x}zq\x07$ {words(draw)}\r\n{words(draw)}".encode()):
        desk.say(f.Output(session=UUID(session), command=None, data=piece))
    refused = tom.post(f"/sessions/{session}/commands", {"line": words(draw)})["id"]
    run = desk.hear(f.Run)
    desk.settled(desk.say(f.NotRun(session=run.session, subject=UUID(refused), reason=f"no tk{next(NUMBERS):x}zq", lost=False)))
    path = f"/home/x/tk{next(NUMBERS):x}zq"
    transfer = tom.post(f"/sessions/{session}/files/download", {"path": path})["id"]
    asked = desk.hear(f.GetFile)
    desk.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=0, data=b"content"))
    desk.settled(desk.say(desk.transferred(asked.session, UUID(transfer), asked.path, b"content", asked.seed)))
    notes = {"notes": words(draw) + "\n" + words(draw), "checked": words(draw)}
    tom.post(f"/sessions/{session}/complete", {"resolution": "workaround", **notes})
    return session


def tokens(text: str) -> list[str]:
    """Return the words of a text that stand nowhere else."""
    return [
        word
        for word in text.replace("⟨", " ").replace("⟩", " ").replace("”", " ").split()
        if word.startswith("tk") and word.endswith("zq")
    ]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_nothing_that_is_withheld_is_served(acme: Company, tmp_path_factory: pytest.TempPathFactory, draw: Any) -> None:
    """Lines, parts of lines, whole events and files; in no form that the page, the bundle, the recording or a header has."""
    review = Review.of(acme.people["dispatcher"], play(acme, draw)).keep_marks()
    lines = {line["id"]: line for line in review.page()["lines"]}
    chosen = draw.draw(st.sets(st.sampled_from(sorted(lines)), min_size=1, max_size=len(lines)))
    gone: set[str] = set()
    for one in sorted(chosen):
        line = lines[one]
        found = tokens(line["text"])
        if line["pieces"] and found and draw.draw(st.booleans()):
            at = line["text"].index(found[0])
            review.cuts[one] = {"spans": [[at, at + len(found[0])]]}
            if draw.draw(st.booleans()):
                review.cuts[one]["text"] = draw.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20))
            gone.add(found[0])
        else:
            review.withhold(one)
            gone |= set(found)
    review.follow()
    shown = served(review.publish()["link"])
    everything = shown.everything
    for word in gone:
        for form in forms(word):
            assert form not in everything, (word, form, [name for name, part in shown.parts.items() if form in part])
    holds(shown.bundle)
    path = tmp_path_factory.mktemp("bundle") / "transcript.zip"
    path.write_bytes(shown.bundle)
    done = subprocess.run([sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
