"""An independent checker of Caisey's bundles:  python3 verify.py FILE [KEY]
It imports nothing of Caisey, only two packages that everybody knows: `cryptography` (Ed25519) and `msgpack` (events).
It follows docs/record-format.md. Exit code 0: everything holds; 1: the first thing that does not is named."""

import base64
import hashlib
import json
import re
import sys
import zipfile
from datetime import UTC, datetime
from functools import partial

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_EVENTS, LARGEST_RECORD, MIB = 500_000, 8 << 20, 1 << 20
LARGE, CONTENT = {"events", "disclosures", "index.html", "events.jsonl", "terminal.cast"}, {"root", "lines", "size"}
READABLE = {"index.html", "events.jsonl", "terminal.cast", "edits.json", "check.html"}
NAMES = READABLE | {"manifest.json", "checkpoint", "keys.json", "proofs.json", "leaves", "events", "disclosures"}
unpack = partial(msgpack.unpackb, strict_map_key=False)


def require(condition, what):
    if not condition:
        raise ValueError(what)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def signed(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def root_of(level):  # RFC 6962 section 2.1: pairs are hashed level by level, a last one without a partner moves up as it is
    while len(level) > 1:
        above = [sha(b"\1", left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
    return level[0] if level else sha()


def through(leaf, index, size, path):  # RFC 6962 section 2.1.1, read from the root's end of the path
    require((size > 1) == bool(path), "an audit path has another length")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return sha(b"\1", through(leaf, index, half, path[:-1]), path[-1])
    return sha(b"\1", path[-1], through(leaf, index - half, size - half, path[:-1]))


def included(leaf, index, size, path, root):
    return 0 <= index < size and through(leaf, index, size, [bytes.fromhex(node) for node in path]).hex() == root


def records(stream):
    while head := stream.read(4):
        size = int.from_bytes(head, "big")
        require(len(head) == 4 and size <= LARGEST_RECORD, "a record is too large")
        yield stream.read(size)  # one that is cut short has another hash


def checkpoint(note, vkey):  # C2SP signed-note with an Ed25519 signature over a C2SP tlog-checkpoint
    name, key_id, encoded = vkey.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    require(key[:1] == b"\1" and len(key) == 33 and sha(name.encode(), b"\n", key)[:4].hex() == key_id, "this is no key")
    body, _, signatures = note.partition("\n\n")
    origin, size, root = body.split("\n")
    for line in signatures.removesuffix("\n").split("\n"):
        signer, _, signature = line.removeprefix("— ").rpartition(" ")
        data = base64.b64decode(signature, validate=True)
        require(line.startswith("— ") and base64.b64encode(data).decode() == signature, "a signature line is malformed")
        if signer == name and data[:4].hex() == key_id and signed(key[1:], data[4:], f"{body}\n".encode()):
            require(base64.b64encode(base64.b64decode(root)).decode() == root and str(int(size)) == size, "no checkpoint")
            return origin, int(size), base64.b64decode(root).hex()
    raise ValueError("the checkpoint is not signed by this key")


def lines_of(text):  # with their line feeds, none longer than 4096 bytes
    return re.findall(rb"[^\n]{0,4095}\n|[^\n]{1,4096}", text)


def texts_of(shown, contents):  # each text's lines, None for a withheld one, checked against the event's commitments
    if shown[0] == "all":
        _, seed, texts = shown
        salts = iter(hashlib.shake_256(seed).digest(16 * sum(len(lines_of(text)) for text in texts)))
        split = [[(bytes(next(salts) for _ in range(16)), line) for line in lines_of(text)] for text in texts]
    else:
        _, split = shown
    whole = len(split) == len(contents) and (len(seed) == 32 if shown[0] == "all" else shown[0] == "some")
    require(whole, "its text is not what was committed to")
    for lines, content in zip(split, contents, strict=True):
        leaves, left, withheld = [], content["size"], 0
        for number, line in enumerate(lines, 1):
            if isinstance(line, bytes):
                leaves.append(line if len(line) == 32 else b"")  # which no root holds
                withheld += 1
                continue
            salt, text = line
            whole = text.endswith(b"\n") or len(text) == 4096 or number == content["lines"]
            fits = len(salt) == 16 and 0 < len(text) <= 4096 and b"\n" not in text[:-1] and whole
            require(fits, "its text is not what was committed to")
            leaves.append(sha(b"\0", salt, text))
            left -= len(text)
        fits = withheld <= left <= 4096 * withheld and len(lines) == content["lines"] and root_of(leaves) == content["root"]
        require(fits, "its text is not what was committed to")
    return [[None if isinstance(line, bytes) else line[1] for line in lines] for lines in split]


ANSWERS = {"consent-granted": "granted", "consent-denied": "denied", "consent-postponed": "later"}
WORK = {"command-accepted": "run", "terminal-typed": "run", "terminal-resized": "run", "transfer-accepted": "files"}


class Session:
    def __init__(self, stream, devices):
        self.stream, self.devices = stream, devices
        self.started = self.ask = self.until = None
        self.ended = self.sealed = self.over = False
        self.frame, self.mono, self.events, self.previous, self.scopes = 0, 0, 0, bytes(32), ()
        self.nonces, self.kept, self.gaps, self.unjudged = set(), {}, 0, 0

    def device_signed(self, event, request, data):
        before = b"caisey consent v1\n" + len(request).to_bytes(8, "big") + request if request else b"caisey receipt v1\n"
        for key in self.devices.values():  # none, if its enrolment is withheld, as is told at the end
            require(signed(key, event["signature"], before + data), "this is not signed by the device's key")
        return unpack(data)

    def order(self, event):  # consent before work, in scope and time; after the end only what the device still tells; one seal
        kind, at, asked, agreed = event["kind"], event["at"], self.ask is not None, self.until is not None
        open_ = agreed and not self.over and not self.ended
        may = {
            "session-requested": self.started is None and f"session/{event.get('session')}" == self.stream,
            **dict.fromkeys(["nudged", "prompt-shown", *ANSWERS], asked and not self.ended),
            "consent-asked": not asked and not self.ended,
            "request-cancelled": not agreed and not self.ended,
            "request-expired": asked and not self.ended and at >= self.ask[1],
            **dict.fromkeys(["consent-withdrawn", "session-completed"], agreed and not self.ended),
            "consent-ended": open_ and at >= self.until,
            **{k: open_ and at < self.until and v in self.scopes for k, v in WORK.items()},
            **dict.fromkeys(["reassigned", "session-interrupted", "session-resumed"], not self.ended),
            "sealed": self.ended,
        }
        in_time = event.get("mono", 0) >= self.mono and event.get("frame", self.frame + 1) > self.frame and not self.sealed
        fits = (may.get(kind, True) or self.gaps) and (kind != "sealed" or event["events"] == self.events)
        require(in_time and fits, f"{kind} cannot follow here (consent, scope, time, order)")
        return may.get(kind, True) or kind in ("consent-asked", "sealed")

    def follow(self, event, text, seed):  # the event's first text, None if something of it is withheld; seed: all is shown
        kind, at = event["kind"], event["at"]
        judged = self.order(event)
        if kind in ANSWERS and self.gaps:  # what was asked may be withheld; an answer to it must not widen what was agreed
            judged = judged and unpack(event["answer"])["request"] == sha(self.ask[0])
        self.unjudged += not judged
        self.mono, self.frame, self.events = event.get("mono", 0), event.get("frame", self.frame), self.events + 1
        self.ended = self.ended or kind in ("consent-withdrawn", "session-completed")
        if not judged:
            return
        if kind == "session-requested":
            require(not self.devices or event["device"] in self.devices, "another device enrolled")
            self.started = event
        elif kind == "consent-asked":
            asked = unpack(event["request"])
            fits = f"session/{asked['session']}" == self.stream and (not seed or asked["reason"] == sha(seed, text))
            require(
                fits and asked["nonce"] not in self.nonces,
                "the request for consent is for another session, has another reason, or repeats a nonce",
            )
            self.nonces.add(asked["nonce"])
            self.ask = [event["request"], event["expires_at"]]
        elif kind in ANSWERS:
            said, asked = self.device_signed(event, self.ask[0], event["answer"]), unpack(self.ask[0])
            exact = [said["decision"], said["session"], said["request"]] == [ANSWERS[kind], asked["session"], sha(self.ask[0])]
            if kind == "consent-granted":
                names, seconds = ("scopes", "who", "how"), said["duration_seconds"]
                exact = exact and all(said[name] == event[name] for name in names) and said["at"] == event["device_at"]
                exact = exact and set(said["scopes"]) <= set(asked["scopes"]) and seconds <= asked["duration_seconds"]
                exact = exact and event["until"] == at + seconds * 10**6 and event["skew_us"] == event["device_at"] - at
                self.until, self.scopes, self.request, self.over = event["until"], event["scopes"], self.ask[0], False
            require(exact, "the answer is not what the device signed")
            self.ask = [self.ask[0], event["expires_at"]] if kind == "consent-postponed" else None
            self.ended = kind == "consent-denied" and self.until is None
        elif kind == "consent-withdrawn":
            # if something is withheld, a consent that was given later may be it
            said = unpack(event["withdrawal"]) if self.gaps else self.device_signed(event, self.request, event["withdrawal"])
            require((said["who"], said["at"]) == (event["who"], event["device_at"]), "the device signed another withdrawal")
        elif kind in ("command-accepted", "transfer-accepted"):
            hashes = [sha(seed, text), hashlib.sha256(seed)] if seed else [None, None]  # receipts' hashes begin with the seed
            self.kept[event.get("command", event.get("transfer"))] = [*hashes, 0, self.gaps]
        elif kind == "output-received" and event["command"] in self.kept:
            _, output, size, _ = self.kept[event["command"]]
            self.kept[event["command"]][1:3] = [text and output, size + event["output"]["size"]]
            (output or hashlib.sha256()).update(text or b"")
        elif kind in ("command-finished", "transfer-finished"):
            what = kind.split("-")[0]
            said = self.device_signed(event, None, event["receipt"])
            text, output, size, gaps = self.kept.get(event[what], [None if self.gaps else b"", None, 0, 0])
            follows = f"session/{said['session']}" == self.stream and self.previous in (None, said["previous"])
            require(follows and said[what] == event[what], "the receipt does not follow the one before it")
            names, mine = (["exit_code", "duration_ns"], "line") if what == "command" else (["content", "size"], "path")
            exact = text in (None, said[mine]) and all(said[name] == event[name] for name in names)
            if what == "command" and gaps == self.gaps:  # else some of its output may be withheld
                exact = exact and said["output_size"] == size and (output is None or output.digest() == said["output"])
            require(exact, "what is recorded is not what the device signed")
            self.previous = sha(event["receipt"])
        elif kind in ("request-expired", "request-cancelled"):
            self.ask, self.ended = None, self.until is None
        self.over, self.sealed = self.over or kind == "consent-ended", kind == "sealed"


def proven(read, given):  # the checkpoint, both streams' roots and the audit events
    manifest, keys, proofs, edits = (json.loads(read(f"{name}.json")) for name in ("manifest", "keys", "proofs", "edits"))
    require((manifest["format"], manifest["version"]) == ("caisey bundle", 1), "this is no bundle of format version 1")
    vkey, stream, devices, found = keys["tenant"][-1], f"session/{manifest['session']}", {}, set()
    require(given in (None, vkey), "the key of this bundle is not the one that was given")
    origin, size, root = checkpoint(read("checkpoint").decode(), vkey)
    require(origin == manifest["origin"] == vkey.split("+")[0], "the checkpoint is for another log")
    for name, step in [*((stream, step) for step in proofs["session"]), ("audit", proofs["audit"])]:
        leaf = sha(b"\0", f"caisey log leaf v1\n{name}\n{step['size']}\n{step['root']}\n".encode())
        require(included(leaf, step["leaf"], size, step["path"], root), f"{name}: its root is not in the tenant's log")
    last = proofs["session"][-1]
    require(last["size"] == manifest["events"] <= MOST_EVENTS, "the proofs are for another number of events")
    listing = "".join(f"{name} {manifest['files'][name]}\n" for name in sorted(manifest["files"]))
    for told in proofs["told"]:
        data, position = bytes.fromhex(told["event"]), told["position"]
        there = included(sha(b"\0", data), position, step["size"], told["path"], step["root"])
        require(there, f"audit, event {position}: this event is not in the audit log")
        event = unpack(data)
        found.add(event["kind"])
        if event["kind"] == "tenant-created":
            require((event["key"], event["name"]) == (keys["tenant"][0], manifest["tenant"]), "it began with another key")
        elif event["kind"] == "device-enrolled":
            require(event["key"].hex() == keys["device"], "the device enrolled with another key")
            devices[event["device"]] = event["key"]
        elif event["kind"] == "session-exported":
            exact = (event["session"], event["events"]) == (manifest["session"], manifest["events"])
            require(exact and event["files"] == sha(listing.encode()), "this is not what was exported")
    require(devices or not keys["device"], "the bundle does not prove the device's key")
    require({"tenant-created", "session-exported"} <= found and len(keys["tenant"]) == 1, "the audit log does not tell enough")
    return vkey, manifest, last["root"], edits, Session(stream, devices)


def main(path, given=None):
    place, counts = "", [0, 0]
    try:
        bundle = zipfile.ZipFile(path)
        names = bundle.namelist()
        bundle.fp.seek(-22, 2)  # the plainest form of zip: nothing before it, behind it, or twice in it
        fits = bundle.infolist()[0].header_offset == 0 and bundle.fp.read(4) == b"PK\5\6"
        fits = fits and sum(entry.compress_size for entry in bundle.infolist()) < bundle.start_dir
        fits = fits and all(e.file_size <= (1024 if e.filename in LARGE else 16) * MIB for e in bundle.infolist())
        complete = len(names) == len(set(names)) and NAMES - {"terminal.cast"} <= set(names) <= NAMES
        require(complete and fits, "these are not the files of a bundle, or they are too large")
        vkey, manifest, root, edits, session = proven(bundle.read, given)
        hints, shown, n = bundle.read("leaves"), records(bundle.open("disclosures")), -1
        leaves = [hints[at : at + 32] for at in range(0, len(hints), 32)]
        for n, data in enumerate(records(bundle.open("events"))):
            place = f"{session.stream}, event {n}: "
            require(n < len(leaves) and (not data or sha(b"\0", data) == leaves[n]), "this event is not what was signed")
            packed = next(shown)
            if not data:  # withheld as a whole: its leaf is in the tree; nothing is concluded from what it may have said
                require(not packed and not session.sealed and all(x["event"] != n for x in edits), "its place is taken")
                session.events, session.gaps, session.previous = session.events + 1, session.gaps + 1, None
                continue
            event = unpack(data)
            place = f"{place}({datetime.fromtimestamp(event['at'] / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC) "
            contents = [c for c in event.values() if isinstance(c, dict) and c.keys() == CONTENT and c["root"]]
            require(contents or not packed, "a text lies beside an event that has none")
            told = unpack(packed) if packed else ["nothing", None]
            texts = texts_of(told, contents) if packed else [[None] * c["lines"] for c in contents]
            lines = [line for text in texts for line in text]
            counts = [counts[0] + len(lines) - lines.count(None), counts[1] + lines.count(None)]
            require(all(lines[x["line"]] is None for x in edits if x["event"] == n), "a reviewer's text replaces a line shown")
            text = b"".join(texts[0]) if packed and None not in texts[0] else None
            session.follow(event, text, told[1] if told[0] == "all" else None)
        place = f"{session.stream}: "
        whole = n + 1 == len(leaves) == manifest["events"] and root_of(leaves).hex() == root
        require(whole, f"{n + 1} events are not what was signed")
        require(all(edit["event"] < len(leaves) for edit in edits), "a reviewer's text is for an event that is not there")
        require(next(shown, None) is None and session.sealed == manifest["sealed"], "disclosures or seal do not fit")
        require(set(manifest["files"]) == READABLE & set(names), "the manifest does not name the files for reading")
        for name, told in manifest["files"].items():
            leaves = [sha(b"\0", piece) for piece in iter(partial(bundle.open(name).read, MIB), b"")]
            require(root_of(leaves).hex() == told, f"the file {name} is not the one that was exported")
    except Exception as error:  # whatever a hostile file makes of this program, the answer is no
        sys.exit(f"NOT VERIFIED: {place}{error}")
    print(f"Verified: {n + 1} events, {counts[0]} lines shown, {counts[1]} withheld or erased")
    print(f"Under {'the key that you gave' if given else 'a key that the bundle brings (compare it)'}: {vkey}")
    notes = {
        f"{session.gaps} events are withheld as a whole, {session.unjudged} depend on them and were not judged.": session.gaps,
        "The enrolment of the device is withheld: nothing that the device signed was checked.": not session.devices,
    }
    print(*(note for note, told in notes.items() if told), "" if session.until else "No consent is shown.", sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
