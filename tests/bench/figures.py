"""What a benchmark found: one row for each goal, its ratio to a reference, and whether the goal is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

COLUMNS = ("what", "ours", "reference", "ratio", "spread", "must", "aim", "")


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value below which this part of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One goal. `ours` and `reference` hold one value for each round; a single reference is a figure measured elsewhere.

    `more`: more is better, so the ratio must be at least `must`; otherwise at most.
    """

    what: str
    unit: str
    ours: Sequence[float]
    reference: Sequence[float]
    against: str
    must: float | None = None  # None: for information
    aim: float | None = None
    more: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round."""
        if len(self.reference) == len(self.ours):
            return [one / other if other else one for one, other in zip(self.ours, self.reference, strict=True)]
        return [one / self.reference[0] if self.reference[0] else one for one in self.ours]

    @property
    def verdict(self) -> str:
        """Say which of the goals the median ratio meets."""
        ratio = median(self.ratios)
        for goal, word in ((self.aim, "met, aim too"), (self.must, "met")):
            if goal is None:
                return ""
            if ratio >= goal if self.more else ratio <= goal:
                return word
        return "MISSED"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        ratios = self.ratios
        sign = "≥" if self.more else "≤"
        must, aim = ("" if goal is None else f"{sign} {goal:g}" for goal in (self.must, self.aim))
        return (
            self.what,
            f"{digits(median(self.ours))} {self.unit}",
            f"{digits(median(self.reference))} {self.against}",
            digits(median(ratios)),
            f"{digits(min(ratios))}…{digits(max(ratios))}",
            must,
            aim,
            self.verdict,
        )


def digits(value: float) -> str:
    """Return a number with three significant digits."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def table(rows: Sequence[Row]) -> str:
    """Return all rows as one table, and the notes below it."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    shown.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"- {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*shown, "", *notes])
