"""A bundle of 100,000 events, checked, against SHA-256 over the same bytes and one signature."""

import hashlib
import io
import shutil
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import running
from figures import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "bundle"))

from checkers import records, unzipped
from exporting import forged, seal_counts
from forgeries import Row as Recorded

from caisey_core.domain import events as e
from caisey_core.services.bundle_verdict import verify_bundle

ROUNDS = 5
EVENTS = 100_000


def chatty(rows: list[Recorded]) -> list[Recorded]:
    """A line of the terminal for each event that is still missing, before the seal."""
    *before, seal = rows
    last = before[-1][0]
    frame = max(event.frame for event, _ in rows if isinstance(event, e.FromDevice))
    said = []
    for i in range(EVENTS - len(rows)):
        content = e.Content(b"x", 0, 0)
        event = e.OutputReceived(
            actor=last.actor, at=last.at, mono=last.mono, frame=frame + 1 + i, command=None, output=content
        )
        said.append((event, (f"line {i} of what the terminal said\r\n".encode(),)))
    return seal_counts(EVENTS - 1)([*before, *said, seal])


def measure(folder: Path) -> list[Row]:
    """Take turns."""
    data, other = folder / "data", folder / "other"
    with running(data) as caisey:
        session = caisey.active()
        caisey.run(session, "uname")
        caisey.finish(session)
        caisey.stop()
    shutil.copytree(data, other)
    bundle = forged(data, other, session, chatty)
    files = unzipped(bundle)
    events, disclosures = records(files["events"]), records(files["disclosures"])
    assert len(events) == EVENTS
    key = Ed25519PrivateKey.generate()
    signature, public = key.sign(files["checkpoint"]), key.public_key()
    ours, plain = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for event, shown in zip(events, disclosures, strict=True):
            hashlib.sha256(event).digest()
            hashlib.sha256(shown).digest()
        public.verify(signature, files["checkpoint"])
        plain.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        verdict = verify_bundle(io.BytesIO(bundle))
        ours.append(time.perf_counter() - begun)
        assert verdict.ok, verdict.broken
    note = (
        f"a bundle of {len(bundle) / 1e6:.0f} MB: unpacked, hashed, committed texts, trees, meaning, and the files for reading"
    )
    against = "s, SHA-256 of the same and one signature"
    return [Row(what="verify 100,000 events", unit="s", ours=ours, reference=plain, against=against, aim=10, note=note)]
