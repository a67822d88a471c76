"""A bundle that was made to hurt whoever checks it is refused in words: at once, in little memory, by all three checkers."""

import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from checkers import Files, by_caisey, by_page, by_script, joined, records, unzipped, zipped
from exporting import World
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from caisey_core.record.container import LIMITS

MUCH = 64 << 20  # bytes: what a checker that unpacked too much would hold
MEASURE = """
import resource, sys
from caisey_core.cli import main
code = main(["verify", sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def with_entry(files: Files, name: str, data: bytes = b"x", **fields: Any) -> bytes:
    """Return a bundle with another file in the place of the one that may be missing."""
    out = io.BytesIO(zipped({known: content for known, content in files.items() if known != "terminal.cast"}))
    with zipfile.ZipFile(out, "a") as packed:
        entry = zipfile.ZipInfo(name)
        for field, value in fields.items():
            setattr(entry, field, value)
        packed.writestr(entry, data, fields.get("compress_type", zipfile.ZIP_DEFLATED))
    return out.getvalue()


def patched(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """Return a bundle in whose directory one field of a file is another."""
    at = data.rindex(name.encode(), 0, len(data)) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return data[: at + offset] + value + data[at + offset + len(value) :]


def declared_bomb(files: Files) -> bytes:
    """The directory says that the manifest has 4 GB."""
    return patched(zipped(files), "manifest.json", 24, b"\xf0\xff\xff\xff")


def real_bomb(files: Files) -> bytes:
    """The manifest unpacks to a quarter of a gigabyte and says that it has a hundred bytes."""
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece, packed = bytes(1 << 20), []
    for _ in range(256):
        packed.append(compress.compress(piece))
    packed.append(compress.flush())
    body = b"".join(packed)
    out, directory = io.BytesIO(), []
    for name, data in files.items():
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        stored, size = (body, 100) if name == "manifest.json" else (raw.compress(data) + raw.flush(), len(data))
        crc = zlib.crc32(bytes(100) if name == "manifest.json" else data)
        common = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, crc, len(stored), size, len(name), 0)
        directory.append(
            b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<3H2L", 0, 0, 0, 0, out.tell()) + name.encode()
        )
        out.write(b"PK\x03\x04" + common + name.encode() + stored)
    start = out.tell()
    out.write(b"".join(directory))
    count, size = len(files), out.tell() - start
    out.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, size, start, 0))
    return out.getvalue()


def many_names(files: Files) -> bytes:
    """A directory of sixty thousand names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for i in range(60_000):
            packed.writestr(zipfile.ZipInfo(f"{i}"), b"")
    return out.getvalue()


def duplicate(files: Files) -> bytes:
    """Two manifests: one for this reader, one for that."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        return with_entry(files, "manifest.json", b"{}")


def tiny_events(count: int, told: int | None = None) -> Callable[[Files], bytes]:
    """So many events of a byte each."""

    def make(files: Files) -> bytes:
        manifest = json.loads(files["manifest.json"])
        manifest["events"] = told if told is not None else manifest["events"]
        record = b"\0\0\0\x01\x80"
        files = {**files, "manifest.json": json.dumps(manifest).encode()}
        return zipped({**files, "events": record * count, "disclosures": bytes(4) * count})

    return make


def replaced(name: str, data: bytes) -> Callable[[Files], bytes]:
    """Another content for one file."""
    return lambda files: zipped({**files, name: data})


def in_disclosure(data: bytes) -> Callable[[Files], bytes]:
    """What is shown of the first event is this."""
    return lambda files: zipped({**files, "disclosures": joined([data, *records(files["disclosures"])[1:]])})


HOSTILE: dict[str, Callable[[Files], bytes]] = {
    "nothing": lambda _: b"",
    "no zip": lambda _: b"<html>" * 1000,
    "cut off": lambda files: zipped(files)[:-30],
    "something behind it": lambda files: zipped(files) + b"x",
    "something before it": lambda files: b"x" + zipped(files),
    "a bomb by what it declares": declared_bomb,
    "a bomb by what it is": real_bomb,
    "a directory of sixty thousand names": many_names,
    "a path that leaves the folder": lambda files: with_entry(files, "../../etc/cron.d/x"),
    "an absolute path": lambda files: with_entry(files, "/etc/passwd"),
    "an unknown file": lambda files: with_entry(files, "readme.txt"),
    "a name with a zero byte": lambda files: patched(zipped(files), "checkpoint", 46, b"check\0oint"),
    "a file twice": duplicate,
    "a file missing": lambda files: zipped({name: data for name, data in files.items() if name != "leaves"}),
    "another packing": lambda files: patched(zipped(files), "leaves", 10, b"\x0c\0"),
    "encrypted": lambda files: patched(zipped(files), "leaves", 8, b"\x01\0"),
    "a file that lies elsewhere": lambda files: patched(zipped(files), "leaves", 42, b"\xff\xff\xff\x7f"),
    "a file over another": lambda files: patched(zipped(files), "leaves", 42, bytes(4)),
    "more packed than there is": lambda files: patched(zipped(files), "check.html", 20, b"\xff\xff\xff\x7f"),
    "a wrong sum": lambda files: patched(zipped(files), "leaves", 16, b"\1\2\3\4"),
    "a million tiny events": tiny_events(1_000_000, 1_000_000),
    "a million tiny events, told to be few": tiny_events(1_000_000),
    "no events": tiny_events(0, 0),
    "events that end within one": replaced("events", b"\0\0\0\xff"),
    "an event of four gigabytes": replaced("events", b"\xff\xff\xff\xff" + bytes(100)),
    "a manifest that is a list": replaced("manifest.json", b"[]"),
    "a manifest of nothing": replaced("manifest.json", b"null"),
    "no JSON": replaced("proofs.json", b"{"),
    "no text": replaced("keys.json", b"\xff\xfe\x00"),
    "JSON nested deeply": replaced("proofs.json", b"[" * 500_000),
    "keys that are numbers": replaced("keys.json", b'{"tenant":[1],"device":2}'),
    "no key": replaced("keys.json", b'{"tenant":[],"device":""}'),
    "a checkpoint of bytes": replaced("checkpoint", bytes(range(256))),
    "edits that are none": replaced("edits.json", b'[{"event":"0"}]'),
    "a disclosure that nests": in_disclosure(b"\x91" * 100_000),
    "a disclosure that announces four billion": in_disclosure(b"\xdd\xff\xff\xff\xff"),
    "a disclosure of numbers": in_disclosure(msgspec.msgpack.encode(["all", 1, 2])),
    "a disclosure with numbers for lines": in_disclosure(msgspec.msgpack.encode(["some", [[1, 2, 3]]])),
    "a disclosure of another kind": in_disclosure(msgspec.msgpack.encode(["none", []])),
    "a disclosure with a short salt": in_disclosure(msgspec.msgpack.encode(["some", [[[b"", b"x"]]]])),
}


WHY = {  # what `caisey verify` and the page say of it
    "a bomb by what it declares": "more than it may",
    "a bomb by what it is": "unpacks to more than it declares",
    "a directory of sixty thousand names": "60000 files",
    "a path that leaves the folder": "does not belong into a bundle",
    "an absolute path": "does not belong into a bundle",
    "an unknown file": "does not belong into a bundle",
    "a file twice": "is in it twice",
    "a file missing": "the file leaves is missing",
    "another packing": "packed in a way",
    "encrypted": "packed in a way",
    "a file over another": "another name in its own header",
    "a wrong sum": "does not unpack to what it declares",
    "a million tiny events": "it tells of 1000000 events",
    "an event of four gigabytes": "larger than it may be",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_words(world: World, page: Page, tmp_path: Path, name: str) -> None:
    """No, with a reason; the page stays alive and checks a good bundle afterwards."""
    data = HOSTILE[name](unzipped(world.bundles["finished"]))
    answers = [by_caisey(data), by_script(data, tmp_path), by_page(page, data)]
    assert not any(answer.ok for answer in answers), answers
    assert all(len(answer.words) > 20 for answer in answers), answers
    assert all(WHY.get(name, "") in answer.words for answer in (answers[0], answers[2])), answers
    assert "undefined" not in answers[2].words.split("\n")[0], answers[2].words


def test_the_page_is_alive(world: World, page: Page) -> None:
    """After all that."""
    assert by_page(page, world.bundles["finished"]).ok


@pytest.mark.parametrize("name", ["a bomb by what it declares", "a bomb by what it is", "a million tiny events"])
def test_memory_stays_small(world: World, tmp_path: Path, name: str) -> None:
    """The command line refuses it without unpacking it."""
    small = resident(world.bundles["denied"], tmp_path)
    assert resident(HOSTILE[name](unzipped(world.bundles["finished"])), tmp_path) < small + MUCH


def resident(data: bytes, folder: Path) -> int:
    """Return the most memory that `caisey verify` had for this bundle, in bytes."""
    import subprocess

    path = folder / "measured.zip"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=300)
    return int(done.stderr.strip().rsplit("\n", 1)[-1]) * 1024


WRONG = st.sampled_from([None, True, 1, -1, 2**70, 1.5, "", "x", [], [None], {}, {"a": 1}, "0" * 64])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_wrong_types_anywhere(data: st.DataObject, world: World) -> None:
    """Any field of any JSON file with a value of another type: an answer in words, never an exception."""
    files = unzipped(world.bundles["finished"])
    name = data.draw(st.sampled_from(["manifest.json", "keys.json", "proofs.json"]))
    document = place = json.loads(files[name])
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        before, place[key] = place[key], data.draw(WRONG)
        break
    files[name] = json.dumps(document).encode()
    assert by_caisey(zipped(files)).ok == (before == place[key] and type(before) is type(place[key]))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(LIMITS)))
def test_any_bytes_in_any_file(world: World, data: bytes, name: str) -> None:
    """Whatever stands in a file: an answer in words, never an exception."""
    files = unzipped(world.bundles["finished"])
    assert not by_caisey(zipped({**files, name: data})).ok or data == files[name]
