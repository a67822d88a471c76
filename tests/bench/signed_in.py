"""What the session check adds to an authenticated request: the cookie's token until the member is known, in milliseconds."""

import asyncio
import time
from pathlib import Path

import uvloop
from companies import _make
from figures import Row, quantile

from caisey_core.app import close_house, open_house
from caisey_core.config import Config, load
from caisey_core.domain.refused import Refused
from caisey_core.services import sign_in
from caisey_core.services.house import House

ROUNDS, EACH, WARM = 5, 1000, 100
MOST_MS = 0.3


def measure(folder: Path) -> list[Row]:
    """Ask for a member who serves all clients, and for one who serves some, which takes a second statement."""
    return uvloop.run(_measure(folder / "data"))


async def _measure(data: Path) -> list[Row]:
    acme, _ = await _make(data, Config())
    house = await open_house(data, load(data))
    try:
        return [
            await _row(house, acme.people[who].sign_in.rpartition("/")[2], what)
            for who, what in (("tom", "session check, all clients"), ("narrow", "session check, some clients"))
        ]
    finally:
        await close_house(house)


async def _row(house: House, link: str, what: str) -> Row:
    signed = await sign_in.by_link(house, link, "192.0.2.1", {})
    assert not isinstance(signed, Refused)
    rounds = []
    for _ in range(ROUNDS):
        taken = []
        for number in range(WARM + EACH):
            begun = time.perf_counter()
            found = await sign_in.by_cookie(house, signed.token)
            if number >= WARM:
                taken.append((time.perf_counter() - begun) * 1000)
            assert found is not None
            await asyncio.sleep(0)
        rounds.append(quantile(taken, 0.5))
    return Row(what=f"{what}, p50", unit="ms", ours=rounds, reference=[1.0], must=MOST_MS, against="ms (the goal is absolute)")
