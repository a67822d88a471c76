"""A bundle of 100 MB is made and checked in little memory."""

import base64
import os
from pathlib import Path

from exporting import Forge, World, seal_counts
from forgeries import Row
from test_hostile import MUCH, resident

from caisey_core.domain import events as e

CHUNK = 32 * 1024
CHUNKS = 1500


def noisy(rows: list[Row]) -> list[Row]:
    """The terminal says 48 MB before the seal, of the sort that packs badly."""
    *before, seal = rows
    frame = max(event.frame for event, _ in rows if isinstance(event, e.FromDevice))
    actor, mono, at = before[-1][0].actor, before[-1][0].mono, before[-1][0].at
    noise = [
        e.OutputReceived(actor=actor, at=at, mono=mono, frame=frame + 1 + i, command=None, output=e.Content(b"x", 0, 0))
        for i in range(CHUNKS)
    ]
    said = [base64.encodebytes(os.urandom(CHUNK * 3 // 4)) for _ in noise]
    return seal_counts(len(before) + CHUNKS)([*before, *((one, (text,)) for one, text in zip(noise, said, strict=True)), seal])


def test_a_hundred_megabytes(world: World, forge: Forge, tmp_path: Path) -> None:
    """`caisey verify` needs no more than a few megabytes above what a small bundle needs."""
    data = forge(noisy)
    assert len(data) > 100 << 20
    small = resident(world.bundles["denied"], tmp_path)
    assert resident(data, tmp_path) < small + MUCH
