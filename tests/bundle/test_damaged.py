"""Whatever is done to a bundle, all three checkers say no, and the event is named where one was touched."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from checkers import Answer, Files, by_caisey, by_page, by_script, joined, records, unzipped, zipped
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from exporting import World, exported
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from playwright.sync_api import Page

from caisey_core.domain import events as e
from caisey_core.record import checkpoint as notes
from caisey_core.record.bundle import Edit, Lines, decode_shown, encode_shown
from caisey_core.record.merkle import Frontier, leaf_hash
from caisey_core.services.export import Transcript

Damage = Callable[[Files, World], int | None]  # changes the files; returns the event that must be named
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def find(files: Files, kind: type[e.AnyEvent], number: int = 0) -> int:
    """Return where the n-th event of a kind stands."""
    return [i for i, row in enumerate(records(files["events"])) if isinstance(e.decode(row), kind)][number]


def put(files: Files, number: int, event: bytes, *, hint: bool = False) -> int:
    """Put other bytes in the place of an event; `hint`: with its leaf hash, as somebody who knows the format would."""
    rows = records(files["events"])
    rows[number] = event
    files["events"] = joined(rows)
    if hint:
        files["leaves"] = files["leaves"][: 32 * number] + leaf_hash(event) + files["leaves"][32 * number + 32 :]
    return number


def change(files: Files, kind: type[e.AnyEvent], hint: bool = True, **changes: Any) -> int:
    """Change fields of the first event of a kind, and its leaf hash."""
    number = find(files, kind)
    event = e.decode(records(files["events"])[number])
    return put(files, number, e.encode(replace(event, **changes)), hint=hint)


def in_json(name: str, act: Callable[[Any], None]) -> Damage:
    """Change one of the JSON files."""

    def damage(files: Files, _: World) -> None:
        value = json.loads(files[name])
        act(value)
        files[name] = json.dumps(value).encode()

    return damage


def flipped(files: Files, _: World) -> int:
    row = bytearray(records(files["events"])[5])
    row[-1] ^= 1
    return put(files, 5, bytes(row))


def dropped(files: Files, _: World) -> int:
    for name in ("events", "disclosures"):
        rows = records(files[name])
        files[name] = joined(rows[:6] + rows[7:])
    return 6


def doubled(files: Files, _: World) -> int:
    for name in ("events", "disclosures"):
        rows = records(files[name])
        files[name] = joined(rows[:7] + rows[6:])
    return 7


def swapped(files: Files, _: World) -> int:
    for name in ("events", "disclosures"):
        rows = records(files[name])
        rows[6], rows[7] = rows[7], rows[6]
        files[name] = joined(rows)
    return 6


def swapped_with_hints(files: Files, world: World) -> int:
    swapped(files, world)
    leaves = files["leaves"]
    files["leaves"] = leaves[:192] + leaves[224:256] + leaves[192:224] + leaves[256:]
    return 7  # where the clock goes back


def cut(files: Files, _: World) -> int:
    rows = records(files["events"])
    for name in ("events", "disclosures"):
        files[name] = joined(records(files[name])[:-1])
    return len(rows) - 1


def cut_with_everything(files: Files, world: World) -> None:
    """The seal is cut off, and all numbers fit that: what is left was never exported."""
    number = cut(files, world)
    files["leaves"] = files["leaves"][:-32]
    manifest, proofs = json.loads(files["manifest.json"]), json.loads(files["proofs.json"])
    manifest["events"], manifest["sealed"] = number, False
    proofs["session"] = [step for step in proofs["session"] if step["size"] <= number]
    files["manifest.json"], files["proofs.json"] = json.dumps(manifest).encode(), json.dumps(proofs).encode()


def longer(files: Files, _: World) -> int:
    rows = records(files["events"])
    files["events"] = joined([*rows, rows[-1]])
    files["disclosures"] = joined([*records(files["disclosures"]), b""])
    return len(rows)


def spliced(files: Files, world: World) -> int:
    other = unzipped(world.bundles["revoked"])
    return put(files, 6, records(other["events"])[6])


def other_session(files: Files, world: World) -> int:
    """All events are of another session of the same tenant, with its leaves."""
    other = unzipped(world.bundles["revoked"])
    count = json.loads(files["manifest.json"])["events"]
    own, theirs = records(files["events"]), records(other["events"])
    files["events"] = joined((theirs + own)[:count])
    files["disclosures"] = joined((records(other["disclosures"]) + records(files["disclosures"]))[:count])
    files["leaves"] = b"".join(map(leaf_hash, records(files["events"])))
    return 0


def old_checkpoint(files: Files, world: World) -> None:
    """One that the tenant signed before this export."""
    older = unzipped(world.bundles["denied"])["checkpoint"]
    assert int(older.split(b"\n")[1]) < int(files["checkpoint"].split(b"\n")[1])
    files["checkpoint"] = older


def strangers_key(files: Files, _: World) -> None:
    """The log signed again, by somebody else's key, which the bundle brings."""
    body = notes.parse(files["checkpoint"].decode().partition("\n\n")[0] + "\n")
    files["checkpoint"] = notes.sign(body, STRANGER).encode()
    key = notes.vkey(body.origin, STRANGER.public_key().public_bytes_raw())
    files["keys.json"] = json.dumps({**json.loads(files["keys.json"]), "tenant": [key]}).encode()


def strangers_signature(files: Files, _: World) -> None:
    body, _, line = files["checkpoint"].decode().partition("\n\n")
    signer, _, encoded = line.strip().rpartition(" ")
    data = base64.b64decode(encoded)[:4] + STRANGER.sign(f"{body}\n".encode())
    files["checkpoint"] = f"{body}\n\n{signer} {base64.b64encode(data).decode()}\n".encode()


def strangers_device(files: Files, _: World) -> None:
    keys = json.loads(files["keys.json"])
    keys["device"] = STRANGER.public_key().public_bytes_raw().hex()
    files["keys.json"] = json.dumps(keys).encode()


def enrolment_forged(files: Files, _: World) -> None:
    """The device's enrolment names another key."""
    proofs = json.loads(files["proofs.json"])
    for told in proofs["told"]:
        event = e.decode(bytes.fromhex(told["event"]))
        if isinstance(event, e.DeviceEnrolled):
            told["event"] = e.encode(replace(event, key=STRANGER.public_key().public_bytes_raw())).hex()
    files["proofs.json"] = json.dumps(proofs).encode()
    strangers_device(files, _)


def without_told(kind: type[e.AnyEvent]) -> Damage:
    """An audit event is left out."""

    def act(proofs: Any) -> None:
        proofs["told"] = [one for one in proofs["told"] if not isinstance(e.decode(bytes.fromhex(one["event"])), kind)]

    return in_json("proofs.json", act)


def consent_forged(files: Files, _: World) -> int:
    asked = e.decode(records(files["events"])[find(files, e.ConsentAsked)])
    granted = e.decode(records(files["events"])[find(files, e.ConsentGranted)])
    assert isinstance(asked, e.ConsentAsked)
    assert isinstance(granted, e.ConsentGranted)
    signature = STRANGER.sign(b"caisey consent v1\n" + len(asked.request).to_bytes(8, "big") + asked.request + granted.answer)
    return change(files, e.ConsentGranted, signature=signature)


def visible_line(files: Files, _: World) -> int:
    """A visible line is edited where it is shown."""
    number = find(files, e.CommandAccepted)
    rows = records(files["disclosures"])
    shown: Any = decode_shown(rows[number])
    rows[number] = encode_shown(replace(shown, texts=(b"echo nothing happened",)))
    files["disclosures"] = joined(rows)
    return number


def text_beside_nothing(files: Files, _: World) -> int:
    rows = records(files["disclosures"])
    number = find(files, e.ConsentAsked)
    rows[number] = rows[0]
    files["disclosures"] = joined(rows)
    return number


def words_over_a_visible_line(files: Files, _: World) -> int:
    """A reviewer's words stand where the recorded line is shown."""
    number = find(files, e.CommandAccepted)
    files["edits.json"] = msgspec.json.encode([Edit(event=number, line=0, text="echo nothing")])
    return number


def hint_damaged(files: Files, _: World) -> int:
    files["leaves"] = files["leaves"][:160] + bytes(32) + files["leaves"][192:]
    return 5


def in_file(name: str) -> Damage:
    """One byte of a file for reading."""

    def damage(files: Files, _: World) -> None:
        files[name] = files[name].replace(b"e", b"a", 1)

    return damage


def in_file_and_manifest(files: Files, _: World) -> None:
    """The page for reading is another, and the manifest agrees."""
    frontier = Frontier()
    files["index.html"] = files["index.html"].replace(b"agreed", b"shrugged")
    frontier.append(leaf_hash(files["index.html"]))
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["index.html"] = frontier.root.hex()
    files["manifest.json"] = json.dumps(manifest).encode()


DAMAGES: dict[str, Damage] = {
    "an event's byte flipped": flipped,
    "an event dropped": dropped,
    "an event doubled": doubled,
    "two events swapped": swapped,
    "two events swapped, and their leaf hashes": swapped_with_hints,
    "the end cut off": cut,
    "the end cut off, all numbers fitting": cut_with_everything,
    "an event appended": longer,
    "an event spliced in from another session": spliced,
    "another session's events": other_session,
    "an old checkpoint": old_checkpoint,
    "the log signed by a stranger": strangers_key,
    "a stranger's signature under the tenant's name": strangers_signature,
    "another device's key": strangers_device,
    "a forged enrolment": enrolment_forged,
    "no enrolment": without_told(e.DeviceEnrolled),
    "no beginning of the tenant": without_told(e.TenantCreated),
    "no export": without_told(e.SessionExported),
    "a forged consent": consent_forged,
    "a widened scope": lambda files, _: change(files, e.ConsentGranted, scopes=("run", "files", "admin")),
    "a narrowed scope": lambda files, _: change(files, e.ConsentGranted, scopes=("look",)),
    "a moved time of the consent": lambda files, _: change(files, e.ConsentGranted, at=1_700_000_000_000_000),
    "a longer consent": lambda files, _: change(files, e.ConsentGranted, until=1_999_000_000_000_000),
    "a moved time of a command": lambda files, _: change(files, e.CommandAccepted, at=1_999_000_000_000_000),
    "another person's name on a command": lambda files, _: change(files, e.CommandAccepted, actor=e.SERVER),
    "a folder after a command": lambda files, _: change(files, e.CommandFinished, directory=e.NOTHING),
    "a receipt's signature": lambda files, _: change(files, e.CommandFinished, signature=bytes(64)),
    "a receipt damaged": lambda files, _: change(files, e.CommandFinished, receipt=b"\x80"),
    "an exit code": lambda files, _: change(files, e.CommandFinished, exit_code=1),
    "a file's hash": lambda files, _: change(files, e.TransferFinished, content=hashlib.sha256(b"other").digest()),
    "the seal's number": lambda files, _: change(files, e.Sealed, events=3),
    "a visible line edited": visible_line,
    "a text beside an event that has none": text_beside_nothing,
    "a reviewer's words over a visible line": words_over_a_visible_line,
    "a leaf hash": hint_damaged,
    "a step's root": in_json("proofs.json", lambda proofs: proofs["session"][-1].update(root="00" * 32)),
    "a step's place": in_json("proofs.json", lambda proofs: proofs["session"][-1].update(leaf=0)),
    "a step's path": in_json("proofs.json", lambda proofs: proofs["session"][-1]["path"].pop()),
    "the audit stream's root": in_json("proofs.json", lambda proofs: proofs["audit"].update(root="11" * 32)),
    "another tenant's name": in_json("manifest.json", lambda manifest: manifest.update(tenant="Somebody else")),
    "another session's number": in_json("manifest.json", lambda manifest: manifest.update(session="0" * 36)),
    "another number of events": in_json("manifest.json", lambda manifest: manifest.update(events=manifest["events"] - 1)),
    "told to be open": in_json("manifest.json", lambda manifest: manifest.update(sealed=False)),
    "the page for reading": in_file("index.html"),
    "the page for reading, and the manifest": in_file_and_manifest,
    "the JSON lines": in_file("events.jsonl"),
    "the asciicast": in_file("terminal.cast"),
    "the checker": in_file("check.html"),
}


def asked(data: bytes, page: Page, folder: Path) -> list[Answer]:
    """Ask all three."""
    return [by_caisey(data), by_script(data, folder), by_page(page, data)]


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(world: World, page: Page, tmp_path: Path, name: str) -> None:
    """All three say no; where one event was touched, all three name it."""
    files = unzipped(world.bundles["finished"])
    number = DAMAGES[name](files, world)
    answers = asked(zipped(files), page, tmp_path)
    assert not any(answer.ok for answer in answers), answers
    if number is None:
        return
    by_us, by_them, in_page = (answer.event for answer in answers)
    assert by_us is not None, answers
    assert by_us == in_page, answers
    assert by_us <= number <= _last_doubted(answers[0]), answers
    # the script knows the session's last root only: a change that keeps the meaning is not placed by it
    assert by_them in (by_us, None), answers


def _last_doubted(answer: Answer) -> int:
    """Where a leaf hash was changed as well, the checker knows between which two commits."""
    if "one of the events" in answer.words:
        return int(answer.words.split(" is not what was signed")[0].rsplit(" ", 1)[1])
    assert answer.event is not None
    return answer.event


def withheld_pin(world: World, folder: Path) -> tuple[Files, int, int]:
    """A transcript in which the line with the PIN is withheld, where it was typed and where it came out."""
    rows = records(unzipped(world.bundles["finished"])["events"])
    texts = records(unzipped(world.bundles["finished"])["disclosures"])
    withheld: dict[int, frozenset[int] | None] = {}
    found = (0, 0)
    for number, packed in enumerate(texts):
        shown: Any = decode_shown(packed)
        if shown is None or not any(b"4711" in text for text in shown.texts):
            continue
        lines = shown.texts[0].splitlines(keepends=True)
        withheld[number] = frozenset(i for i, line in enumerate(lines) if b"4711" in line)
        if isinstance(e.decode(rows[number]), e.OutputReceived) and lines[min(withheld[number] or ())] == b"pin 4711\r\n":
            found = (number, min(withheld[number] or ()))
    data = exported(folder, world.sessions["finished"], Transcript(withheld=withheld))
    assert by_caisey(data).ok
    return unzipped(data), *found


def test_a_withheld_line_cannot_be_put_back(world: World, folder: Path, page: Page, tmp_path: Path) -> None:
    """Whoever guesses a withheld line, even rightly, cannot show it: without its salt nothing fits."""
    files, number, line = withheld_pin(world, folder)
    rows = records(files["disclosures"])
    shown: Any = decode_shown(rows[number])
    texts = list(shown.texts[0])
    assert isinstance(texts[line], bytes)
    salt = next(one[0] for one in texts if not isinstance(one, bytes))
    for guess in (b"pin 4711\r\n", b"pin 0000\r\n"):
        for tried in (salt, bytes(16)):
            texts[line] = (tried, guess)
            rows[number] = encode_shown(Lines((tuple(texts), *shown.texts[1:])))
            answers = asked(zipped({**files, "disclosures": joined(rows)}), page, tmp_path)
            assert [(answer.ok, answer.event) for answer in answers] == [(False, number)] * 3, answers


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_one_byte_of_the_proof(data: st.DataObject, world: World) -> None:
    """One byte of events, what is shown, leaves, keys, proofs, checkpoint: never a good bundle that says anything else."""
    files = unzipped(world.bundles[data.draw(st.sampled_from(sorted(world.bundles)))])
    before = dict(files)
    name = data.draw(st.sampled_from(sorted(files.keys() - {"edits.json"})))
    spoiled = bytearray(files[name])
    spoiled[data.draw(st.integers(0, len(spoiled) - 1), "byte")] ^= data.draw(st.integers(1, 255), "change")
    files[name] = bytes(spoiled)
    answer = by_caisey(zipped(files))
    if answer.ok:  # a space in JSON, or a letter of a hex number in its other case
        assert name in ("manifest.json", "proofs.json", "keys.json"), name
        assert _meaning(files[name]) == _meaning(before[name])


def _meaning(data: bytes) -> Any:
    return json.loads(data.lower())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_one_byte_of_the_file(data: st.DataObject, world: World) -> None:
    """One byte of the zip as it lies on a disk: refused in words, or nothing of what it says is another."""
    bundle = world.bundles["denied"]
    spoiled = bytearray(bundle)
    spoiled[data.draw(st.integers(0, len(spoiled) - 1), "byte")] ^= data.draw(st.integers(1, 255), "change")
    answer = by_caisey(bytes(spoiled))
    assert not answer.ok or answer == by_caisey(bundle)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_events_moved_about(data: st.DataObject, world: World) -> None:
    """Dropped, doubled, swapped at any place, with their texts and leaf hashes: no, and one of the events touched is near."""
    files = unzipped(world.bundles["finished"])
    size = len(records(files["events"]))
    one, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    act = data.draw(st.sampled_from(["drop", "double", "swap"]))
    leaves = [files["leaves"][at : at + 32] for at in range(0, len(files["leaves"]), 32)]
    for name, rows in (("events", None), ("disclosures", None), ("leaves", leaves)):
        rows = rows if rows is not None else records(files[name])
        if act == "drop":
            del rows[one]
        elif act == "double":
            rows[other] = rows[one]
        else:
            rows[one], rows[other] = rows[other], rows[one]
        files[name] = b"".join(rows) if name == "leaves" else joined(rows)
    answer = by_caisey(zipped(files))
    assert not answer.ok
    assert "session/" in answer.words or "leaves" in answer.words
