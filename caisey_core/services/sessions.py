"""A session from the request to its end: asking, nudging, handing over, finishing."""

import secrets
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.domain.session import WORDS
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice
from caisey_core.record.writer import Ticket
from caisey_core.services import handover, members, shells
from caisey_core.services.cards import card_of, session_of
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, Words, durable, words
from caisey_core.services.outcomes import NOT_FOUND, bad_input, device_of, open_session_of
from caisey_core.services.views import SessionCard

LONGEST_REASON = 500  # characters: a person reads them in the prompt
LONGEST_NOTES = 20_000


def may_work(member: Member, session: OpenSession) -> Refused | None:
    """Refuse those whose session it is not: its technician works in it, a senior technician in any."""
    if (refused := refuse_unless(member, May.WORK)) is not None:
        return refused
    if session.state.technician == member.id or member.may(May.WORK_IN_OTHERS):
        return None
    return Refused(
        f"This session is {session.state.technician_name}'s.",
        "Ask a dispatcher to hand it to you, or watch without typing.",
        403,
    )


class _Question(Struct, frozen=True):
    """A question on its way into the record, and to the device."""

    frame: f.AskConsent
    said: Words


def _question(
    house: House, member: Member, session: UUID, reason: str, scopes: tuple[consent.Scope, ...], duration_seconds: int
) -> _Question:
    said = words(reason)
    request = consent.ConsentRequest(
        session=session,
        tenant=member.tenant_name,
        technician=member.name,
        reason=consent.reason_hash(said.seed, reason),
        scopes=scopes,
        asked_at=house.clock.now(),
        duration_seconds=duration_seconds,
        answer_within_seconds=house.config.answer_within_seconds,
        nonce=secrets.token_bytes(16),
        server=house.config.deployment,
    )
    frame = f.AskConsent(session=session, request=msgspec.msgpack.encode(request), reason=reason, seed=said.seed)
    return _Question(frame, said)


def _checked(
    house: House, device: RosterDevice, reason: str, scopes: tuple[str, ...], duration_minutes: int
) -> tuple[str, tuple[consent.Scope, ...], int] | Refused:
    """Check what the person at the device will be shown."""
    reason = " ".join(reason.split())
    if not reason:
        return bad_input("reason", "The person at the device needs a reason.", "Say in a sentence why you need the session.")
    if len(reason) > LONGEST_REASON:
        return bad_input("reason", f"The reason is longer than {LONGEST_REASON} characters.", "Shorten it.")
    try:
        wanted = tuple(dict.fromkeys(consent.Scope(scope) for scope in scopes))
    except ValueError:
        return bad_input("scopes", "One of the permissions is unknown.", "Choose from the list.")
    if not wanted:
        return bad_input("scopes", "No permission is chosen.", "Choose at least one.")
    ceiling = device.facts.scopes if device.facts is not None else ()
    if ceiling and (beyond := [WORDS[scope] for scope in wanted if scope not in ceiling]):
        return bad_input(
            "scopes",
            f"This device never allows: {', '.join(beyond)}.",
            "Leave it out; only the device's owner can change that.",
        )
    longest = house.config.longest_session_seconds // 60
    if not 1 <= duration_minutes <= longest:
        return bad_input("duration_minutes", f"The time must be between 1 and {longest} minutes.", "Correct the minutes.")
    return reason, wanted, duration_minutes * 60


async def request(
    house: House, member: Member, device: UUID, reason: str, scopes: tuple[str, ...], duration_minutes: int
) -> SessionCard | Refused:
    """Ask the person at the device for a session. The prompt shows at once, or when the device is back."""
    if (refused := refuse_unless(member, May.WORK)) is not None:
        return refused
    found = device_of(house, member, device)
    if isinstance(found, Refused):
        return found
    shell = await shells.shell_of(house, found)
    if (other := session_of(house, found)) is not None:  # nothing is awaited from here until the device has its session
        return Refused(
            f"{other.state.technician_name} has an open session on {found.name}.",
            "Open it, or ask a dispatcher to hand it over.",
        )
    checked = _checked(house, found, reason, scopes, duration_minutes)
    if isinstance(checked, Refused):
        return checked
    reason, wanted, seconds = checked
    identity = uuid4()
    said = words(reason)
    session = house.journal.begin(member.tenant, identity, reason)
    begun = house.journal.propose(
        session,
        e.SessionRequested(
            actor=member.actor,
            at=STAMPED,
            session=identity,
            device=found.id,
            device_name=found.name,
            client=found.client,
            client_name=house.live.roster.client_name(found.client),
            technician=member.id,
            technician_name=member.name,
            assignment=found.assignment.id if found.assignment is not None else None,
            reason=said.contents[0],
            scopes=wanted,
            duration_seconds=seconds,
            shell=shell,
        ),
        said.disclosure,
    )
    if isinstance(begun, Refused):
        house.journal.close(session)
        return begun
    found.session = identity
    question = _question(house, member, identity, reason, wanted, seconds)
    if (refused := await durable(_ask(house, member, session, question))) is not None:
        return refused
    await house.journal.audit(
        member.tenant, e.SessionOpened(actor=member.actor, at=STAMPED, session=identity, device=found.id, technician=member.id)
    )
    house.live.links.of(found.id).send(question.frame)
    return card_of(house, session)


def _ask(house: House, member: Member, session: OpenSession, question: _Question) -> Ticket | Refused | None:
    said = question.said
    asked = e.ConsentAsked(
        actor=member.actor,
        at=STAMPED,
        request=question.frame.request,
        reason=said.contents[0],
        expires_at=house.clock.now() + house.config.answer_within_seconds * 1_000_000,
    )
    return house.journal.propose(session, asked, said.disclosure)


async def ask_more(
    house: House, member: Member, session: UUID, reason: str, scopes: tuple[str, ...], duration_minutes: int
) -> SessionCard | Refused:
    """Ask again in a running session: more time, or a wider scope. What was agreed before holds until the answer."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if (refused := may_work(member, opened)) is not None:
        return refused
    device = house.live.roster.get(member.tenant, opened.device)
    if device is None:
        return NOT_FOUND
    checked = _checked(house, device, reason, scopes, duration_minutes)
    if isinstance(checked, Refused):
        return checked
    reason, wanted, seconds = checked
    question = _question(house, member, session, reason, wanted, seconds)
    if (refused := await durable(_ask(house, member, opened, question))) is not None:
        return refused
    house.live.links.of(opened.device).send(question.frame)
    return card_of(house, opened)


async def nudge(house: House, member: Member, session: UUID, message: str) -> SessionCard | Refused:
    """Show the prompt on the device again, with a message."""
    if (refused := refuse_unless(member, May.NUDGE)) is not None:
        return refused
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    message = " ".join(message.split())
    if len(message) > LONGEST_REASON:
        return bad_input("message", f"The message is longer than {LONGEST_REASON} characters.", "Shorten it.")
    said = words(message)
    ticket = house.journal.propose(opened, e.Nudged(actor=member.actor, at=STAMPED, message=said.contents[0]), said.disclosure)
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.Nudge(session=session, message=message))
    return card_of(house, opened)


async def cancel(house: House, member: Member, session: UUID, reason: str) -> SessionCard | Refused:
    """Take back a request that nobody answered."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if opened.state.technician != member.id and (refused := refuse_unless(member, May.CANCEL)) is not None:
        return refused
    said = words(" ".join(reason.split())[:LONGEST_REASON])
    ticket = house.journal.propose(
        opened, e.RequestCancelled(actor=member.actor, at=STAMPED, reason=said.contents[0]), said.disclosure
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.CancelAsk(session=session, reason=f"{member.name} took the request back."))
    return card_of(house, opened)


async def reassign(house: House, member: Member, session: UUID, technician: UUID, reason: str) -> SessionCard | Refused:
    """Hand a session to another technician, also in the middle of it. Shell and history stay; the assignment follows."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if opened.state.technician != member.id and (refused := refuse_unless(member, May.ASSIGN)) is not None:
        return refused
    to = await members.technician(house, member, technician, opened.started.client)
    if isinstance(to, Refused):
        return to
    if (refused := await handover.session(house, member, opened, to, reason)) is not None:
        return refused
    device = house.live.roster.get(member.tenant, opened.device)
    if device is not None and device.assignment is not None and device.assignment.technician != to.id:
        await handover.assignment(house, member, device, to, reason)
    return card_of(house, opened)


async def take_over(house: House, member: Member, session: UUID) -> SessionCard | Refused:
    """Take a running session into one's own hands, for who may work in others' sessions: shell and history as they stand."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if (refused := may_work(member, opened)) is not None:
        return refused
    if opened.state.ended:
        return Refused("This session is over.", "Ask for a new session on the device.")
    if not house.live.links.online(opened.device):
        return Refused("The device is not connected now.", "Wait until it is back; the session goes on by itself.")
    if opened.state.technician == member.id:
        return card_of(house, opened)
    if (refused := await handover.session(house, member, opened, member, "Took the session over")) is not None:
        return refused
    device = house.live.roster.get(member.tenant, opened.device)
    if device is not None and device.assignment is not None and device.assignment.technician != member.id:
        await handover.assignment(house, member, device, member, "Took the session over")
    return card_of(house, opened)


async def complete(
    house: House, member: Member, session: UUID, resolution: e.Resolution, notes: str, checked: str
) -> SessionCard | Refused:
    """Finish with a resolution. The device closes its shell; the record is sealed when all of it has arrived."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if (refused := may_work(member, opened)) is not None:
        return refused
    notes, checked = notes.strip(), checked.strip()
    for field, text in (("notes", notes), ("checked", checked)):
        if len(text) > LONGEST_NOTES:
            return bad_input(field, f"This text is longer than {LONGEST_NOTES} characters.", "Shorten it.")
    if not notes:
        return bad_input("notes", "The notes are empty.", "Say in a sentence what you found and did.")
    if resolution == "fixed" and not checked:
        return bad_input(
            "checked", "It is not said how you know that it works.", "Say what you checked, or choose another resolution."
        )
    said = words(notes, checked)
    ticket = house.journal.propose(
        opened,
        e.SessionCompleted(
            actor=member.actor, at=STAMPED, resolution=resolution, notes=said.contents[0], checked=said.contents[1]
        ),
        said.disclosure,
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.EndSession(session=session, outcome=opened.state.state.value))
    device = house.live.roster.get(member.tenant, opened.device)
    if device is not None and device.assignment is not None and device.assignment.technician == opened.state.technician:
        await handover.finish(house, member, device, f"session completed: {resolution}")
    house.live.news.tell(member.tenant, News("device", opened.device))
    return card_of(house, opened)
