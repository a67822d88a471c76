"""The queue: urgent on top, then due, then age."""

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.domain.assignment import Assignment, queue_order

given_one = st.builds(
    Assignment,
    id=st.uuids(),
    device=st.just(UUID(int=1)),
    technician=st.just(UUID(int=2)),
    technician_name=st.just("Tom"),
    priority=st.sampled_from(["normal", "high", "urgent"]),
    reason=st.just(""),
    due_at=st.none() | st.integers(0, 10),
    assigned_at=st.integers(0, 10),
    assigned_by=st.just("Dana"),
)


@given(st.lists(given_one))
def test_order(queue: list[Assignment]) -> None:
    """No neighbour stands before one that must come first."""
    rank = {"urgent": 0, "high": 1, "normal": 2}
    ordered = sorted(queue, key=queue_order)
    for first, then in pairwise(ordered):
        assert rank[first.priority] <= rank[then.priority]
        if first.priority == then.priority:
            if then.due_at is not None:
                assert first.due_at is not None
                assert first.due_at <= then.due_at
            if first.due_at == then.due_at:
                assert first.assigned_at <= then.assigned_at
