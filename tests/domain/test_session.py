"""Whatever is proposed, in whatever order: no work without a consent that covers it, and nothing after the end."""

from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.session import ENDED, Session, State, decide, evolve, fold

ACTOR = e.Actor("member", "", "Tom")
TEXT = e.Content(bytes(32), 1, 4)
SECOND = 1_000_000
IDS = [UUID(int=i) for i in range(1, 5)]
scopes = st.lists(st.sampled_from(["look", "run", "files", "ai", "admin"]), unique=True).map(tuple)
seconds = st.integers(1, 3600)
work_ids = st.sampled_from(IDS)

WORK = {e.CommandAccepted: "run", e.TerminalTyped: "run", e.TerminalResized: "run", e.TransferAccepted: "files"}


def requested(at: int) -> e.SessionRequested:
    """The first event of a session."""
    return e.SessionRequested(
        actor=ACTOR,
        at=at,
        session=uuid4(),
        device=uuid4(),
        device_name="PC",
        client=uuid4(),
        client_name="Client",
        technician=IDS[0],
        technician_name="Tom",
        assignment=None,
        reason=TEXT,
        scopes=("run",),
        duration_seconds=3600,
        shell="bash",
    )


class Proposals(RuleBasedStateMachine):
    """People, clocks and devices propose; the test keeps its own simple book of what the person agreed to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_700_000_000 * SECOND
        self.written: list[e.SessionEvent] = []
        self.session = Session()
        self.frame = 0
        self.agreed: tuple[frozenset[str], int] | None = None  # scopes, until
        self.propose(requested(self.now))

    def propose(self, event: e.SessionEvent) -> bool:
        """Propose, write what follows; say whether something did."""
        before = self.session
        outcome = decide(before, event)
        assert decide(before, event) == outcome, "the same question has the same answer"
        if isinstance(outcome, Refused):
            assert outcome.reason.endswith("."), outcome
            assert outcome.what_to_do.endswith("."), outcome
            return False
        for one in outcome:
            self._check(before, one)
            self.session = evolve(self.session, one)
            self.written.append(one)
        return bool(outcome)

    def _check(self, before: Session, event: e.SessionEvent) -> None:
        assert not before.sealed
        if before.state in ENDED and not isinstance(event, e.FromDevice):
            assert isinstance(event, (e.Sealed, e.TransferCancelled)), event
        needed = WORK.get(type(event))
        if needed is not None:
            assert self.agreed is not None
            assert needed in self.agreed[0]
            assert event.at < self.agreed[1]

    def told(self) -> int:
        """Number the device's next frame."""
        self.frame += 1
        return self.frame

    @rule(by=st.integers(0, 900))
    def time_passes(self, by: int) -> None:
        """The clock goes on."""
        self.now += by * SECOND

    @rule(wait=seconds)
    def ask(self, wait: int) -> None:
        """Somebody asks for consent."""
        self.propose(
            e.ConsentAsked(actor=ACTOR, at=self.now, request=b"request", reason=e.NOTHING, expires_at=self.now + wait * SECOND)
        )

    @rule()
    def show(self) -> None:
        """The device shows the prompt."""
        self.propose(e.PromptShown(actor=ACTOR, at=self.now, frame=self.told(), how="page", device_at=self.now))

    @rule(scopes=scopes, length=seconds)
    def grant(self, scopes: tuple[str, ...], length: int) -> None:
        """The person agrees."""
        until = self.now + length * SECOND
        granted = e.ConsentGranted(
            actor=ACTOR,
            at=self.now,
            frame=self.told(),
            answer=b"",
            signature=b"",
            who="ann",
            how="page",
            scopes=scopes,
            until=until,
            device_at=self.now,
            skew_us=0,
        )
        if self.propose(granted):
            self.agreed = (frozenset(scopes), until)

    @rule()
    def deny(self) -> None:
        """The person says no."""
        self.propose(
            e.ConsentDenied(
                actor=ACTOR, at=self.now, frame=self.told(), answer=b"", signature=b"", who="", how="page", device_at=0
            )
        )

    @rule()
    def withdraw(self) -> None:
        """The person presses Stop."""
        stopped = self.propose(
            e.ConsentWithdrawn(
                actor=ACTOR, at=self.now, frame=self.told(), withdrawal=b"", signature=b"", who="", how="page", device_at=0
            )
        )
        if stopped:
            self.agreed = None
            assert self.session.state is State.REVOKED

    @rule()
    def clocks_fire(self) -> None:
        """Deadlines are looked at, late or early."""
        self.propose(e.RequestExpired(actor=e.SERVER, at=self.now))
        if self.propose(e.ConsentEnded(actor=e.SERVER, at=self.now)):
            self.agreed = None

    @rule(work=work_ids, kind=st.sampled_from(["command", "keys", "upload"]))
    def work(self, work: UUID, kind: str) -> None:
        """The technician tries to do something."""
        if kind == "command":
            self.propose(e.CommandAccepted(actor=ACTOR, at=self.now, command=work, line=TEXT))
        elif kind == "keys":
            self.propose(e.TerminalTyped(actor=ACTOR, at=self.now, typed=TEXT, count=4, hidden=False))
        else:
            self.propose(
                e.TransferAccepted(
                    actor=ACTOR, at=self.now, transfer=work, direction="upload", path=TEXT, size=1, content=b"", replace=False
                )
            )

    @rule(command=work_ids)
    def device_works(self, command: UUID) -> None:
        """The device tells of a command."""
        self.propose(e.CommandStarted(actor=ACTOR, at=self.now, frame=self.told(), command=command, device_at=self.now))
        self.propose(e.OutputReceived(actor=ACTOR, at=self.now, frame=self.told(), command=command, output=TEXT))
        self.propose(
            e.CommandFinished(
                actor=ACTOR,
                at=self.now,
                frame=self.told(),
                command=command,
                exit_code=0,
                duration_ns=1,
                directory=TEXT,
                receipt=b"",
                signature=b"",
            )
        )
        if not self.session.sealed:
            assert command not in self.session.running

    @rule(back=st.booleans())
    def link(self, back: bool) -> None:
        """The device goes or comes."""
        event = e.SessionResumed if back else e.SessionInterrupted
        self.propose(event(actor=e.SERVER, at=self.now, reason="link"))

    @rule(to=work_ids)
    def reassign(self, to: UUID) -> None:
        """A dispatcher gives it to somebody else."""
        moved = self.propose(
            e.Reassigned(
                actor=ACTOR,
                at=self.now,
                from_technician=self.session.technician or IDS[0],
                from_name="Tom",
                to_technician=to,
                to_name="Mia",
                reason=TEXT,
            )
        )
        if moved:
            assert self.session.technician == to

    @rule()
    def complete(self) -> None:
        """The technician finishes."""
        self.propose(e.SessionCompleted(actor=ACTOR, at=self.now, resolution="fixed", notes=TEXT, checked=TEXT))

    @rule()
    def cancel(self) -> None:
        """The technician takes the request back."""
        self.propose(e.RequestCancelled(actor=ACTOR, at=self.now, reason=TEXT))

    @rule()
    def nudge(self) -> None:
        """A dispatcher nudges."""
        self.propose(e.Nudged(actor=ACTOR, at=self.now, message=TEXT))

    @precondition(lambda self: self.session.ended)
    @rule()
    def seal(self) -> None:
        """The record is closed."""
        self.propose(e.Sealed(actor=e.SERVER, at=self.now, events=len(self.written)))

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0, 1000))
    def repeat_a_frame(self, which: int) -> None:
        """The device sends again what it sent: nothing follows."""
        told = [event for event in self.written if isinstance(event, e.FromDevice)]
        if told and not self.session.sealed:
            assert decide(self.session, told[which % len(told)]) == ()

    @invariant()
    def what_was_written_makes_the_state(self) -> None:
        """The state is nothing but its events, also after a restart."""
        assert fold(self.written) == self.session

    @invariant()
    def a_consent_is_no_wider_than_the_book(self) -> None:
        """The state claims nothing that the person did not say."""
        if self.session.state is State.ACTIVE:
            assert self.agreed is not None
        if self.session.sealed:
            late = e.Nudged(actor=ACTOR, at=self.now, message=TEXT)
            assert isinstance(decide(self.session, late), Refused)


Proposals.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_proposals = Proposals.TestCase


def test_an_end_is_told_once() -> None:
    """A device that was started anew may say of a finished command that it is lost: nothing follows from it."""
    command, at = uuid4(), 1_700_000_000 * SECOND
    device = e.Actor("device", "", "PC")
    finished = e.CommandFinished(
        actor=device,
        at=at,
        frame=1,
        command=command,
        exit_code=0,
        duration_ns=1,
        directory=TEXT,
        receipt=b"",
        signature=b"",
    )
    accepted = e.CommandAccepted(actor=ACTOR, at=at, command=command, line=TEXT)
    lost = e.NotRun(actor=device, at=at, frame=2, subject=command, reason=TEXT, lost=True)
    assert decide(fold([requested(at), accepted]), lost) == (lost,)
    assert decide(fold([requested(at), accepted, finished]), lost) == ()
