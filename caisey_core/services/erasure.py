"""Contents are destroyed after their time or on request; the events and their proofs stay, and say so.

Asked for, then written into the audit log, then done, then noted as done: what a crash leaves half done is done at the next sweep,
which is at the next start or some minutes later. Only clearing the index's files may outlast it: the index itself notes that.
"""

from typing import Final
from uuid import UUID

import msgspec

from caisey_core.catalogue.erasures import Erasure
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER, Actor
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.live.news import News
from caisey_core.record.store import Store
from caisey_core.record.verify import events_of
from caisey_core.search.index import SearchUnavailable
from caisey_core.services import review, transcripts
from caisey_core.services.house import House, log
from caisey_core.services.journal import AUDIT, STAMPED, stream_of
from caisey_core.services.outcomes import NOT_FOUND, WHOLE_COMPANY, bad_input
from caisey_core.services.step_up import refuse_unless_sure
from caisey_core.services.views import KeepView, RetentionPage, SessionCard

DAY_US: Final = 86_400_000_000
LONGEST_DAYS: Final = 36_500
LONGEST_REASON: Final = 500
AT_ONCE: Final = 100
INDEX_AWAY: Final = Refused(
    "The search index cannot be changed now, so what it has of this session is not erased yet.",
    "Nothing needs to be done: the rest is erased, and the index follows by itself.",
    503,
)


async def erase(house: House, member: Member, session: UUID, reason: str) -> SessionCard | Refused:
    """Destroy the contents of a sealed session, on request."""
    if (refused := refuse_unless_sure(house, member, May.ERASE)) is not None:
        return refused
    card = await review.card(house, member, session)
    if card is None:
        return NOT_FOUND
    if not card.sealed:
        return Refused("This session is not over.", "Finish it first; its contents can be erased once its record is sealed.")
    reason = " ".join(reason.split())
    if not reason:
        return bad_input("reason", "The reason is empty.", "Say who asked for it and why; it stays in the audit log.")
    if len(reason) > LONGEST_REASON:
        return bad_input("reason", f"The reason is longer than {LONGEST_REASON} characters.", "Shorten it.")
    if await house.catalogue.erasures.of(member.tenant, session) is not None:
        return Refused("The contents of this session are erased already.", "Nothing needs to be done.")
    asked = Erasure(
        session=session,
        rule="request",
        reason=reason,
        actor=msgspec.msgpack.encode(member.actor),
        asked_at=house.clock.now(),
    )
    await house.catalogue.erasures.ask(member.tenant, asked)
    if (refused := await _carry_out(house, member.tenant, asked)) is not None:
        return refused
    return await review.card(house, member, session) or NOT_FOUND


async def _carry_out(house: House, tenant: UUID, asked: Erasure) -> Refused | None:
    actor = msgspec.msgpack.decode(asked.actor, type=Actor)
    event = e.ContentErased(actor=actor, at=STAMPED, session=asked.session, rule=asked.rule, reason=asked.reason)
    if (refused := await house.journal.audit(tenant, event)) is not None:
        return refused
    return await _destroy(house, tenant, asked)


async def _destroy(house: House, tenant: UUID, asked: Erasure) -> Refused | None:
    await house.record.erase(tenant, stream_of(asked.session))
    await transcripts.forget(house, tenant, asked.session)
    await house.catalogue.erasures.forget_words(tenant, asked.session)
    await house.catalogue.api_answers.forget_words(tenant)
    try:
        await house.indexer.erase(tenant, asked.session)
    except SearchUnavailable as error:
        log.warning(
            "the search index could not forget a session; it is tried again", session=str(asked.session), reason=str(error)
        )
        return INDEX_AWAY
    house.outlines.forget(asked.session)
    house.verdicts.forget(asked.session)
    await house.catalogue.erasures.done(tenant, asked.session, house.clock.now())
    house.live.news.tell(tenant, News("session", asked.session))
    return None


async def sweep(house: House) -> None:
    """Finish what was begun, and erase what is past its time; called by the clock."""
    for tenant in await house.catalogue.tenants.all():
        for asked in await house.catalogue.erasures.unfinished(tenant.id):
            if await _audited(house, tenant.id, asked.session):
                await _destroy(house, tenant.id, asked)
            else:
                await _carry_out(house, tenant.id, asked)
        rules = {rule.client: rule.days for rule in await house.catalogue.erasures.keep(tenant.id)}
        for client in await house.catalogue.clients.list(tenant.id):
            days = rules.get(client.id, rules.get(None, 0))
            if days:
                await _erase_older(house, tenant.id, client.id, days)


async def _audited(house: House, tenant: UUID, session: UUID) -> bool:
    def look(store: Store) -> bool:
        events = (e.decode(row.event) for row in events_of(store, tenant, AUDIT))
        return any(isinstance(event, e.ContentErased) and event.session == session for event in events)

    return await house.record.in_reader(look)


async def _erase_older(house: House, tenant: UUID, client: UUID, days: int) -> None:
    now = house.clock.now()
    while due := await house.catalogue.erasures.due(tenant, client, now - days * DAY_US, AT_ONCE):
        for session in due:
            asked = Erasure(
                session=session,
                rule="retention",
                reason=f"contents are kept for {days} days",
                actor=msgspec.msgpack.encode(SERVER),
                asked_at=now,
            )
            await house.catalogue.erasures.ask(tenant, asked)
            if (refused := await _carry_out(house, tenant, asked)) is not None:
                log.warning("contents could not be erased yet", session=str(session), reason=refused.reason)
                return


async def page(house: House, member: Member) -> RetentionPage | Refused:
    """Return how long contents are kept."""
    if (refused := refuse_unless(member, May.ERASE)) is not None:
        return refused
    rules = {rule.client: rule.days for rule in await house.catalogue.erasures.keep(member.tenant)}
    clients = [client for client in await house.catalogue.clients.list(member.tenant) if member.serves(client.id)]
    rest = KeepView(client=None, name="All clients without a rule of their own", days=rules.get(None, 0))
    own = (KeepView(client=client.id, name=client.name, days=rules.get(client.id)) for client in clients)
    return RetentionPage(rules=(rest, *own) if member.clients is None else tuple(own))


async def keep(house: House, member: Member, client: UUID | None, days: int | None) -> RetentionPage | Refused:
    """Set how many days the contents of a client's sessions are kept (0: for ever, None: as for all others)."""
    if (refused := refuse_unless_sure(house, member, May.ERASE)) is not None:
        return refused
    if client is None and member.clients is not None:
        return WHOLE_COMPANY
    if client is not None and (not member.serves(client) or await house.catalogue.clients.by_id(member.tenant, client) is None):
        return NOT_FOUND
    if days is not None and not 0 <= days <= LONGEST_DAYS:
        return bad_input("days", f"The days must be between 1 and {LONGEST_DAYS}, or 0 for ever.", "Correct the number.")
    event = e.RetentionSet(actor=member.actor, at=STAMPED, client=client, days=days)
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.erasures.set_keep(member.tenant, client, days)
    return await page(house, member)
