"""The circuit breaker: whoever asks is told the truth about when the next try is, and there is one try at a time."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from caisey_core.plugin_host.breaker import FAILURES, FIRST_REST, LONGEST_REST, Breaker


def broken() -> Breaker:
    """A breaker that just opened, at time 0."""
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.enter(0.0) == 0
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    """One answer in between starts the count anew."""
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.enter(0.0)
        breaker.failed(0.0)
    breaker.worked()
    breaker.failed(0.0)
    assert breaker.enter(0.0) == 0
    assert broken().enter(0.0) == FIRST_REST


def test_after_the_rest_one_call_tries() -> None:
    """The others wait for its outcome; it closes or rests twice as long."""
    breaker = broken()
    assert breaker.enter(FIRST_REST - 1) == 1
    assert breaker.enter(FIRST_REST) == 0
    assert breaker.enter(FIRST_REST) > 0
    breaker.failed(FIRST_REST)
    assert breaker.enter(FIRST_REST) == 2 * FIRST_REST
    assert breaker.enter(3 * FIRST_REST) == 0
    breaker.left()  # that one was cancelled: the next one tries
    assert breaker.enter(3 * FIRST_REST) == 0
    breaker.worked()
    assert breaker.enter(3 * FIRST_REST) == breaker.enter(3 * FIRST_REST) == 0


def test_the_vendor_s_wish_counts_within_bounds() -> None:
    """Retry-After lengthens a rest, and never past the longest."""
    for wish, rest in ((FIRST_REST * 3, FIRST_REST * 3), (1.0, FIRST_REST), (1e9, LONGEST_REST)):
        breaker = Breaker()
        for _ in range(FAILURES):
            breaker.failed(0.0, wish)
        assert breaker.enter(0.0) == rest


def test_calls_that_began_before_the_rest_do_not_lengthen_it() -> None:
    """A hundred that hang at once are one outage."""
    breaker = broken()
    for _ in range(100):
        breaker.failed(1.0)
    assert breaker.enter(FIRST_REST) == 0


class Calls(RuleBasedStateMachine):
    """Calls that begin, end and overlap in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = Breaker(), 0.0
        self.running: list[bool] = []  # whether each is the try

    @rule(seconds=st.floats(0, 700))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    @rule()
    def begin(self) -> None:
        """Somebody asks."""
        rested = self.breaker.resting(self.now) > 0
        if self.breaker.enter(self.now) == 0:
            assert not (rested and any(self.running)), "two tries at once"
            self.running.append(rested)

    @rule(end=st.sampled_from(["worked", "failed", "left"]), which=st.randoms(use_true_random=False))
    def end(self, end: str, which: object) -> None:
        """One of them ends."""
        if self.running:
            tries = self.running.pop(which.randrange(len(self.running)))  # type: ignore[attr-defined]
            if end == "failed":
                self.breaker.failed(self.now)
            elif end == "worked":
                self.breaker.worked()
                self.running = [False] * len(self.running)
            elif tries:
                self.breaker.left()

    @invariant()
    def ends(self) -> None:
        """No rest is longer than the longest, and it ends by itself."""
        assert self.breaker.resting(self.now) <= LONGEST_REST


Calls.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestCalls = Calls.TestCase
