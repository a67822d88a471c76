"""Guessing a passcode is slowed for the share, not for the world, and never for who was not wrong."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.services.sharing import (
    BUSY,
    BUSY_SECONDS,
    FREE,
    LONGEST_SECONDS,
    MOST_KEPT,
    MOST_OPENINGS,
    WINDOW_SECONDS,
    Guesses,
    Openings,
    group_of,
)

SHARE, OTHER = uuid4(), uuid4()
MANY = "2001:db8:1:2::{}"


def wrong(guesses: Guesses, share: UUID, address: str, times: int, now: float = 0.0) -> None:
    """Be wrong so often."""
    for _ in range(times):
        guesses.wrong(share, address, now)


def test_the_pauses() -> None:
    """Five for nothing, then 1, 2, 4 … seconds up to five minutes; after an hour all is forgotten."""
    guesses = Guesses()
    pauses = []
    for _ in range(FREE + 12):
        pauses.append(guesses.wait_seconds(SHARE, "10.0.0.1", 0.0))
        guesses.wrong(SHARE, "10.0.0.1", 0.0)
    assert pauses[: FREE + 4] == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0]
    assert max(pauses) == LONGEST_SECONDS
    assert guesses.wait_seconds(SHARE, "10.0.0.1", LONGEST_SECONDS + 1) == 0.0
    assert guesses.wait_seconds(SHARE, "10.0.0.1", WINDOW_SECONDS + 1) == 0.0


def test_for_the_share_and_not_for_the_world() -> None:
    """However many are wrong at one share: another share, and an address that was not wrong, are not kept waiting."""
    guesses = Guesses()
    for number in range(BUSY * 3):
        wrong(guesses, SHARE, f"10.0.{number // 200}.{number % 200}", 1)
    assert guesses.wait_seconds(SHARE, "10.0.0.1", 0.0) == BUSY_SECONDS
    assert guesses.wait_seconds(SHARE, "192.0.2.7", 0.0) == 0.0
    assert guesses.wait_seconds(OTHER, "10.0.0.1", 0.0) == 0.0


def test_a_household_is_one_address() -> None:
    """Addresses of one IPv6 network count together; what is no address counts as what it is."""
    guesses = Guesses()
    for number in range(FREE):
        wrong(guesses, SHARE, MANY.format(number + 1), 1)
    assert guesses.wait_seconds(SHARE, MANY.format("ffff"), 0.0) == 1.0
    assert guesses.wait_seconds(SHARE, "2001:db8:1:3::1", 0.0) == 0.0
    assert group_of("::ffff:192.0.2.1") == group_of("192.0.2.1")
    assert group_of("") == ""


def test_the_right_one() -> None:
    """Who types it has no past any more, and was never counted against the others."""
    guesses = Guesses()
    wrong(guesses, SHARE, "10.0.0.1", FREE + 1)
    guesses.right(SHARE, "10.0.0.1")
    assert guesses.wait_seconds(SHARE, "10.0.0.1", 0.0) == 0.0
    for number in range(BUSY * 2):
        guesses.wrong(OTHER, f"10.1.0.{number}", 0.0)
        guesses.right(OTHER, f"10.1.0.{number}")
    wrong(guesses, OTHER, "10.2.0.1", 1)
    assert guesses.wait_seconds(OTHER, "10.2.0.1", 0.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), max_size=60))
def test_no_pause_is_longer_than_said(tries: list[tuple[str, float]]) -> None:
    """Whatever happens, in whatever order."""
    guesses = Guesses()
    now = 0.0
    for address, pause in tries:
        now += pause
        guesses.wrong(SHARE, address, now)
        assert 0.0 <= guesses.wait_seconds(SHARE, address, now) <= LONGEST_SECONDS


def test_memory_is_bounded() -> None:
    """A flood of addresses pushes the oldest out."""
    guesses = Guesses()
    for number in range(MOST_KEPT + 10):
        guesses.wrong(SHARE, f"a{number}", 0.0)
    assert len(guesses._wrong) == MOST_KEPT


def test_openings() -> None:
    """So many in a minute, of each share."""
    openings = Openings()
    assert all(openings.admit(SHARE, 0.0) for _ in range(MOST_OPENINGS))
    assert not openings.admit(SHARE, 59.0)
    assert openings.admit(OTHER, 59.0)
    assert openings.admit(SHARE, 60.0)
