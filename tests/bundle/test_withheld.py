"""Events that are withheld as a whole: they are proven to be there, nothing is concluded from them, all three checkers agree."""

from pathlib import Path

import msgspec
import pytest
from checkers import Answer, by_caisey, by_page, by_script, joined, records, unzipped, zipped
from exporting import World, exported
from playwright.sync_api import Page

from caisey_core.domain import events as e
from caisey_core.services.export import Transcript


def asked(data: bytes, page: Page, folder: Path) -> list[Answer]:
    """Ask all three."""
    return [by_caisey(data), by_script(data, folder), by_page(page, data)]


def positions(world: World, *kinds: type[e.AnyEvent]) -> frozenset[int]:
    """Return where all events of these kinds stand in the finished session."""
    rows = records(unzipped(world.bundles["finished"])["events"])
    return frozenset(i for i, row in enumerate(rows) if isinstance(e.decode(row), kinds))


HIDDEN: dict[str, tuple[type[e.AnyEvent], ...]] = {
    "the request": (e.SessionRequested, e.ConsentAsked),
    "the consent": (e.ConsentGranted,),
    "the receipts": (e.CommandFinished, e.TransferFinished),
    "the output": (e.OutputReceived,),
    "the commands": (e.CommandAccepted, e.TransferAccepted),
    "the end": (e.SessionCompleted,),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_events_withheld_as_a_whole(world: World, folder: Path, page: Page, tmp_path: Path, name: str) -> None:
    """The rest verifies; of the event nothing is in the bundle but its leaf hash; the readers are told how many there are."""
    hidden = positions(world, *HIDDEN[name])
    data = exported(folder, world.sessions["finished"], Transcript(hidden=hidden))
    answers = asked(data, page, tmp_path)
    assert all(answer.ok for answer in answers), answers
    for answer in answers:
        assert f"{len(hidden)} " in answer.words
        assert "withheld as a whole" in answer.words
    before, after = unzipped(world.bundles["finished"]), unzipped(data)
    assert all(records(after["events"])[at] == b"" for at in hidden)
    assert after["leaves"] == before["leaves"]
    for at in hidden:
        row = records(before["events"])[at]
        for content in after.values():
            assert row not in content
            assert row.hex().encode() not in content
    assert "withheld as a whole" in after["index.html"].decode()


def test_consent_is_never_concluded(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """A bundle that withholds the consent verifies, and no checker says that there was one."""
    everything = asked(world.bundles["finished"], page, tmp_path)
    assert "device signed the consent" in everything[0].words
    assert "device signed the consent" in everything[2].words
    assert "No consent is shown" not in everything[1].words
    for kinds in ((e.ConsentAsked,), (e.ConsentGranted,), (e.ConsentAsked, e.ConsentGranted)):
        data = exported(folder, world.sessions["finished"], Transcript(hidden=positions(world, *kinds)))
        answers = asked(data, page, tmp_path)
        assert all(answer.ok for answer in answers), answers
        assert "device signed the consent" not in answers[0].words + answers[2].words
        assert "consent before the work cannot be seen here" in answers[0].words
        assert "consent before the work cannot be seen here" in answers[2].words
        assert "No consent is shown" in answers[1].words


def test_without_the_enrolment(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """Where the device's enrolment is withheld, no checker says that the device signed anything."""
    data = exported(folder, world.sessions["finished"], Transcript(device=False))
    answers = asked(data, page, tmp_path)
    assert all(answer.ok for answer in answers), answers
    assert all("enrolment of the device is withheld" in answer.words for answer in answers)
    assert "device signed the consent" not in answers[0].words + answers[2].words
    assert b'"device":""' in unzipped(data)["keys.json"].replace(b" ", b"")


def test_what_stands_in_the_place_of_an_event(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """An event that was signed cannot be taken out with another leaf; no text lies beside an event that is not shown."""
    hidden = positions(world, e.ShellStarted)
    (at,) = hidden
    files = unzipped(exported(folder, world.sessions["finished"], Transcript(hidden=hidden)))
    text = unzipped(world.bundles["finished"])["disclosures"]
    beside = [*records(files["disclosures"])]
    beside[at] = next(row for row in records(text) if row)
    other = bytearray(files["leaves"])
    other[32 * at] ^= 1
    edits = msgspec.json.encode([{"event": at, "line": 0, "text": "nothing here"}])
    for name, content in {"disclosures": joined(beside), "leaves": bytes(other), "edits.json": edits}.items():
        answers = asked(zipped({**files, name: content}), page, tmp_path)
        assert not any(answer.ok for answer in answers), (name, answers)


def test_a_withheld_event_widens_nothing(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """Acts that depend on what is withheld are counted as not judged; those after the end are not taken for consented."""
    data = exported(folder, world.sessions["finished"], Transcript(hidden=positions(world, e.ConsentGranted)))
    judged = [by_caisey(data).words, by_script(data, tmp_path).words, by_page(page, data).words]
    assert all("0 events that are shown depend" not in words and " 0 depend on" not in words for words in judged), judged
    assert "lies within its scope" not in judged[0] + judged[2]
