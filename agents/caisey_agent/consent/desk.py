"""The desk where the person is asked: takes questions in, gives signed answers out, shows what goes on. Prompts stand on it."""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from caisey_agent.consent.ledger import Agreed, Asked, Ledger, Until
from caisey_agent.home import Config
from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.consent import ConsentAnswer, ConsentRequest, ConsentWithdrawal, Decision, How, Scope
from caisey_agent.protocol.history import Reason

LATER_SECONDS = 600
SHOWN_COMMANDS = 8


@dataclass
class Doing:
    """What a session does now, for the person to see."""

    now: list[tuple[UUID, str]] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN_COMMANDS))
    terminal: bool = False
    technician: str = ""


@dataclass
class Ended:
    """What is left to show of a session that is over: the receipt."""

    tenant: str
    technician: str
    reason: str
    outcome: str
    ended_at: float
    commands: list[str]
    fingerprint: str  # of the signed consent


class Desk:
    """One for the device. Methods run on the agent's loop; `changed` wakes the prompts."""

    def __init__(
        self, config: Config, ledger: Ledger, key: Ed25519PrivateKey, send: Callable[[f.ToServer], None], person: str
    ) -> None:
        self._config, self._ledger, self._key, self._send = config, ledger, key, send
        self.person = person
        self.how: How = "page"
        self.doing: dict[UUID, Doing] = {}
        self.ended: deque[Ended] = deque(maxlen=5)
        self.doubt: Reason | None = None  # why the server is refused now
        self.changed: list[Callable[[], None]] = []
        self.on_agreed: Callable[[UUID], None] = lambda _session: None
        self.on_withdrawn: Callable[[UUID], asyncio.Future[None] | None] = lambda _session: None

    def tell(self) -> None:
        """Something is to be shown differently."""
        for changed in self.changed:
            changed()

    def doubts(self, reason: Reason | None) -> None:
        """The server's record does not fit what this device remembers, or fits again."""
        if reason != self.doubt:
            self.doubt = reason
            self.tell()

    # --- questions ---------------------------------------------------------------------------------------------------

    def ask(self, question: f.AskConsent) -> str:
        """Take a question; returns why it cannot be asked, or nothing."""
        session, data = question.session, question.request
        page = self._ledger.page(session)
        if page.asked is not None and page.asked.request == data:
            return ""  # the server asks again what it asked before: after a restart it cannot know
        if page.agreed is not None and page.agreed.request == data:
            self._send(f.Answered(session=session, answer=page.agreed.answer, signature=page.agreed.signature))
            return ""  # the agent may have died between keeping the answer and telling it
        try:
            request = consent.decode_request(data)
        except msgspec.DecodeError:
            return "The question does not decode."
        if request.session != session or request.server != self._config.server:
            return "The question is for another session or from another server."
        if request.reason != consent.reason_hash(question.seed, question.reason):
            return "The reason is not the one that would be signed."
        if page.over:
            return "This session is over on this device."
        if not self._ledger.use_nonce(request.nonce):
            return "This question was asked before."
        self._ledger.change(
            session, asked=Asked(request=data, reason=question.reason, until=Until.after(request.answer_within_seconds))
        )
        if self._config.unattended_scopes and set(request.scopes) <= set(self._config.unattended_scopes):
            self.answer(session, "granted", tuple(request.scopes), request.duration_seconds, how="policy")
            return ""
        self._send(f.PromptShown(session=session, how=self.how, at=_now()))
        self.tell()
        return ""

    def nudge(self, session: UUID, message: str) -> None:
        """Show a waiting question again, with a message."""
        page = self._ledger.page(session)
        if page.asked is not None:
            self._ledger.change(session, asked=replace(page.asked, again=None, message=message))
            self._send(f.PromptShown(session=session, how=self.how, at=_now()))
            self.tell()

    def cancel(self, session: UUID, reason: str) -> None:
        """The question is no longer needed."""
        page = self._ledger.page(session)
        if page.asked is not None:
            if page.agreed is None:
                self._ledger.forget(session)
            else:
                self._ledger.change(session, asked=None)
            self.tell()

    def waiting(self) -> list[tuple[ConsentRequest, Asked]]:
        """Return the questions to show now."""
        found = [(page.asked, page) for page in self._ledger.pages.values() if page.asked is not None]
        return [
            (consent.decode_request(asked.request), asked)
            for asked, _ in found
            if asked.until.left() > 0 and (asked.again is None or asked.again.left() <= 0)
        ]

    def tick(self) -> None:
        """Let old questions go and show postponed ones again; called every second."""
        for page in list(self._ledger.pages.values()):
            asked = page.asked
            if asked is None:
                continue
            if asked.until.left() <= 0:
                self.cancel(page.session, "nobody answered")
            elif asked.again is not None and asked.again.left() <= 0:
                self._ledger.change(page.session, asked=replace(asked, again=None))
                self._send(f.PromptShown(session=page.session, how=self.how, at=_now()))
                self.tell()

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(
        self,
        session: UUID,
        decision: Decision,
        scopes: tuple[Scope, ...] = (),
        duration_seconds: int = 0,
        *,
        how: How | None = None,
    ) -> bool:
        """Take the person's answer, sign and keep it; False if nothing was asked (any more)."""
        asked = self._ledger.page(session).asked
        if asked is None or asked.until.left() <= 0:
            return False
        request = consent.decode_request(asked.request)
        granted = tuple(s for s in request.scopes if s in scopes and s in self._config.scopes)
        seconds = min(max(duration_seconds, 60), request.duration_seconds)
        if decision == "granted" and not granted:
            return False
        statement = msgspec.msgpack.encode(
            ConsentAnswer(
                session=session,
                request=hashlib.sha256(asked.request).digest(),
                decision=decision,
                scopes=granted if decision == "granted" else (),
                duration_seconds=seconds if decision == "granted" else 0,
                later_seconds=LATER_SECONDS if decision == "later" else 0,
                who=self.person,
                how=how or self.how,
                at=_now(),
                device=self._config.device,
            )
        )
        signature = consent.sign(self._key, asked.request, statement)
        if decision == "granted":
            agreed = Agreed(
                request=asked.request,
                answer=statement,
                signature=signature,
                scopes=granted,
                until=Until.after(seconds),
                technician=request.technician,
                reason=asked.reason,
            )
            self._ledger.change(session, asked=None, agreed=agreed)
            self.doing.setdefault(session, Doing()).technician = request.technician
            self.on_agreed(session)
        elif decision == "later":
            patience = request.answer_within_seconds
            later = replace(asked, again=Until.after(LATER_SECONDS), until=Until.after(LATER_SECONDS + patience), message="")
            self._ledger.change(session, asked=later)
        elif self._ledger.page(session).agreed is None:
            self._ledger.change(session, asked=None, over="the person said no")
        else:
            self._ledger.change(session, asked=None)
        self._send(f.Answered(session=session, answer=statement, signature=signature))
        if self._ledger.page(session).over:
            self._ledger.forget(session)
        self.tell()
        return True

    async def withdraw(self, session: UUID) -> bool:
        """The person stops the session: first everything of it ends, then it is signed and told."""
        agreed = self._ledger.page(session).agreed
        if agreed is None or self._ledger.page(session).over:
            return False
        self._ledger.change(session, over="the person stopped it", asked=None)
        self.tell()
        stopping = self.on_withdrawn(session)
        if stopping is not None:
            await stopping
        self.tell_withdrawn(session, agreed)
        return True

    def tell_withdrawn(self, session: UUID, agreed: Agreed) -> None:
        """Sign and tell that the person stopped it; until then the ledger remembers that it is to be told."""
        statement = msgspec.msgpack.encode(
            ConsentWithdrawal(session=session, who=self.person, how=self.how, at=_now(), device=self._config.device)
        )
        signature = consent.sign(self._key, agreed.request, statement)
        self._send(f.Withdrew(session=session, withdrawal=statement, signature=signature))
        self.close(session, "revoked")
        self._send(f.SessionClosed(session=session))

    def close(self, session: UUID, outcome: str) -> None:
        """Move a session to the receipts; `outcome` is the state in which it ended, such as completed or revoked."""
        agreed = self._ledger.page(session).agreed
        doing = self.doing.pop(session, Doing())
        if agreed is not None:
            request = consent.decode_request(agreed.request)
            self.ended.appendleft(
                Ended(
                    tenant=request.tenant,
                    technician=doing.technician or agreed.technician,
                    reason=agreed.reason,
                    outcome=outcome,
                    ended_at=time.time(),
                    commands=list(doing.last),
                    fingerprint=hashlib.sha256(agreed.answer).hexdigest()[:32],
                )
            )
        self._ledger.forget(session)
        self.tell()

    def active(self) -> list[tuple[UUID, Agreed, Doing]]:
        """Return the sessions that may work now."""
        return [
            (page.session, page.agreed, self.doing.setdefault(page.session, Doing(technician=page.agreed.technician)))
            for page in self._ledger.pages.values()
            if page.agreed is not None and not page.over
        ]


def _now() -> int:
    return time.time_ns() // 1000
