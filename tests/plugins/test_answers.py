"""What a plugin answers is looked at before it reaches the core: type, fields, size, and nothing of the plugin's own comes along."""

from typing import Any

import pytest

from caisey_core.plugin_host.answers import LARGEST, MOST_PARTS, checked
from caisey_core.plugin_host.failures import Failure, Misfit, failure_of
from caisey_hookspecs import CommandView, Company, Delivery, Identified, InPage, NotIdentified, Page, Rejected, Unavailable


class Sly(Delivery, frozen=True, kw_only=True):
    """A subclass with more in it."""

    more: int = 3


class Words(str):
    """Looks like a text, and is foreign code."""

    def __str__(self) -> str:
        raise AssertionError("the core ran foreign code")


def test_a_right_answer_is_made_anew() -> None:
    """Of the contract's own class."""
    answer = Sly(delivered=True, detail="sent", in_page=InPage(title="a", text="b"))
    found = checked(answer, (Delivery,))
    assert type(found) is Delivery
    assert found == Delivery(delivered=True, detail="sent", in_page=InPage(title="a", text="b"))
    assert checked(None, (Identified, type(None))) is None
    assert checked(NotIdentified(reason="no"), (Identified, NotIdentified)) == NotIdentified(reason="no")


def test_a_page_is_looked_at_item_by_item() -> None:
    """A type with a parameter is one of the contract's too."""
    page = Page((Company(id="1", name="Harbor Dental"),), "2")
    assert checked(page, (Page[Company],)) == page
    for wrong in (Page((CommandView(canonical="x"),)), Page(("harbor",))):
        with pytest.raises(Misfit, match="gave a Page that does not fit"):
            checked(wrong, (Page[Company],))


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    found: Any = "end"
    for _ in range(depth):
        found = [found]
    return found


class Endless(dict[str, str]):
    """A map that says that it is small."""

    def __len__(self) -> int:
        return 0

    def items(self) -> Any:
        """Yield for ever."""
        while True:
            yield "key", "value"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (42, "gave int"),
        (None, "gave NoneType"),
        (CommandView(canonical="x"), "gave CommandView"),
        (Delivery(delivered="yes"), "does not fit"),  # type: ignore[arg-type]
        (Delivery(delivered=True, detail=Words("x")), "does not fit"),
        (Delivery(delivered=True, detail="x" * (LARGEST + 1)), "more than 16 MiB"),
        (Delivery(delivered=True, detail=["x" * 1000] * (LARGEST // 900)), "more than 16 MiB"),  # type: ignore[arg-type]
        (Delivery(delivered=True, detail=[0] * (MOST_PARTS + 1)), "parts"),  # type: ignore[arg-type]
        (Delivery(delivered=True, detail=Endless()), "parts"),  # type: ignore[arg-type]
        (Delivery(delivered=True, detail=nested(50_000)), "does not fit"),  # type: ignore[arg-type]
    ],
    ids=["number", "none", "other", "field", "foreign text", "large", "large in parts", "long", "endless", "deep"],
)
def test_wrong_answers(answer: object, words: str) -> None:
    """Each is refused in words."""
    with pytest.raises(Misfit, match=words):
        checked(answer, (Delivery,))


def test_a_coroutine_is_no_answer() -> None:
    """It is closed, so that Python does not complain about it later."""

    async def forgotten() -> Delivery:
        return Delivery(delivered=True)

    with pytest.raises(Misfit, match="an await is missing"):
        checked(forgotten(), (Delivery,))


def test_a_part_of_itself() -> None:
    """A list that holds itself ends at the limit."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Misfit):
        checked(Delivery(delivered=True, detail=loop), (Delivery,))  # type: ignore[arg-type]


class Silent(Exception):
    """Its words cannot be had."""

    def __str__(self) -> str:
        raise SystemExit


def recursion() -> BaseException:
    """What endless recursion raises."""

    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("down", 5), Failure("unavailable", "down", retry_after_seconds=5.0)),
        (Unavailable("down", "soon"), Failure("unavailable", "down")),  # type: ignore[arg-type]
        (Unavailable("down", -1), Failure("unavailable", "down")),
        (Unavailable("down", 1e12), Failure("unavailable", "down", retry_after_seconds=3600.0)),
        (Unavailable("down", float("nan")), Failure("unavailable", "down")),
        (Rejected("x" * 1000), Failure("rejected", "x" * 500)),
        (Rejected(""), Failure("rejected", "no reason given")),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: no reason given"),
        (Silent(), "Silent: its words cannot be read"),
        (recursion(), "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_failures_are_words(error: BaseException, expected: Failure | str) -> None:
    """Whatever was raised, bounded and safe to take away."""
    found = failure_of(error)
    if isinstance(expected, Failure):
        assert found == expected
    else:
        assert (found.kind, found.words) == ("failed", expected)
        assert len(found.trace) <= 8000
