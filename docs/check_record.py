"""Checks a record of Caisey without anything of Caisey's: python3 check_record.py record.db [VERIFIER-KEY]

Written from record-format.md. Needs `msgspec` (reads msgpack) and `cryptography` (Ed25519). It checks every text against its
commitment, every event against its stream's roots, every root against the tenant's log, every checkpoint's signature, and that the
device's key signed each consent. `caisey verify` checks more; this one owes it nothing.
"""

import base64
import hashlib
import sqlite3
import sys

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class DoesNotHold(Exception):
    """The first thing that does not hold, in words."""


def need(holds, words):
    if not holds:
        raise DoesNotHold(words)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def signed(key, signature, data, words):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except InvalidSignature:
        raise DoesNotHold(words) from None


def root_of(leaves):
    """RFC 6962, section 2.1, by the letter."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\1", root_of(leaves[:k]), root_of(leaves[k:]))


def lines_of(text):
    while text:
        end = text.find(b"\n", 0, 4096) + 1 or 4096
        yield text[:end]
        text = text[end:]


def commitments(seed, texts):
    """The contents that these texts should have."""
    cut = [list(lines_of(text)) for text in texts]
    salts = hashlib.shake_256(seed).digest(16 * sum(map(len, cut)))
    salt = (salts[at : at + 16] for at in range(0, len(salts), 16))
    return [
        {
            "root": root_of([sha256(b"\0", next(salt), line) for line in lines]),
            "lines": len(lines),
            "size": sum(map(len, lines)),
        }
        for lines in cut
    ]


def root_in(note, size, origin, key):
    """The root that a checkpoint signs."""
    body, _, signatures = note.partition("\n\n")
    key_id = sha256(origin.encode(), b"\n\1", key)[:4]
    for line in signatures.splitlines():
        _, name, encoded = line.split(" ")
        data = base64.b64decode(encoded)
        if name == origin and data[:4] == key_id:
            signed(key, data[4:], (body + "\n").encode(), f"checkpoint {size}: it is not signed by the tenant's key")
            said = body.split("\n")
            need(said[:2] == [origin, str(size)], f"checkpoint {size}: it is for something else")
            return base64.b64decode(said[2])
    raise DoesNotHold(f"checkpoint {size}: the tenant's key did not sign it")


def check_event(event, seed, texts, devices, session):
    """Check an event's texts, and its signature if it is a consent."""
    contents = [v for v in event.values() if isinstance(v, dict) and v.keys() == {"root", "lines", "size"} and v["root"]]
    made = [] if seed is None else commitments(seed, msgspec.msgpack.decode(texts))
    need(contents == made, "its text is not what was committed to")
    session.update({name: event[name] for name in ("device", "request") if name in event})
    if event["kind"] == "device-enrolled":
        devices[event["device"]] = event["key"]
    elif event["kind"] == "consent-asked" and seed is not None:
        words = sha256(seed, *msgspec.msgpack.decode(texts))
        need(msgspec.msgpack.decode(event["request"])["reason"] == words, "the reason is not the one that was asked with")
    elif event["kind"] == "consent-granted":
        request, answer = session["request"], event["answer"]
        data = b"caisey consent v1\n" + len(request).to_bytes(8, "big") + request + answer
        signed(devices[session["device"]], event["signature"], data, "the device did not sign this consent")


def check_stream(rows, claims, devices):
    """Check events against the roots that the log claims; return their number."""
    leaves, session = [], {}
    for place, (position, data, seed, texts) in enumerate(rows):
        need(position == place, f"event {place} is missing")
        try:
            check_event(msgspec.msgpack.decode(data), seed, texts, devices, session)
        except (DoesNotHold, KeyError, TypeError, ValueError) as error:
            raise DoesNotHold(f"event {place}: {error}") from error
        leaves.append(sha256(b"\0", data))
        if len(leaves) in claims:
            need(claims[len(leaves)] == root_of(leaves), f"event {place}, or one before it, is not what was signed")
    need(max(claims) == len(leaves), "events are missing, or were never signed")
    return len(leaves)


def check(path, wanted=""):
    """Raise DoesNotHold at the first thing that does not hold; return what was checked."""
    record, events, streams = sqlite3.connect(path), 0, 0
    for tenant, origin, key in record.execute("SELECT tenant, origin, public FROM tenant_key").fetchall():
        key_id = sha256(origin.encode(), b"\n\1", key)[:4]
        vkey = f"{origin}+{key_id.hex()}+{base64.b64encode(bytes([1]) + key).decode()}"
        need(wanted in ("", vkey), f"the record is signed by {vkey}")
        log, claims, size = [], {}, -1
        mine = "FROM log_leaf WHERE tenant=? ORDER BY position"
        for stream, length, root in record.execute(f"SELECT stream, size, root {mine}", (tenant,)):
            log.append(sha256(b"\0", f"caisey log leaf v1\n{stream}\n{length}\n{root.hex()}\n".encode()))
            claims.setdefault(stream, {})[length] = root
        for size, note in record.execute("SELECT size, note FROM checkpoint WHERE tenant=? ORDER BY size", (tenant,)):
            need(root_in(note, size, origin, key) == root_of(log[:size]), f"checkpoint {size}: the log is not what was signed")
        need(size == len(log), "the newest leaves were never signed")
        heads = record.execute("SELECT id, name FROM stream WHERE tenant=? ORDER BY name<>'audit', id", (tenant,)).fetchall()
        need({name for _, name in heads} == claims.keys(), "a stream is missing, or was never signed")
        devices = {}
        for number, name in heads:
            rows = "SELECT id & 0xffffffffff, bytes, seed, texts FROM event WHERE id >> 40 = ? ORDER BY id"
            try:
                events += check_stream(record.execute(rows, (number,)), claims[name], devices)
            except DoesNotHold as error:
                raise DoesNotHold(f"{name}: {error}") from error
            streams += 1
    record.close()
    return f"{events} events in {streams} streams hold."


if __name__ == "__main__":
    try:
        print(check(*sys.argv[1:]))
    except DoesNotHold as error:
        sys.exit(f"DOES NOT HOLD: {error}")
