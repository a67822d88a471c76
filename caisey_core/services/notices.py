"""Telling a member that something waits for them: by the tenant's notifier plugins, after the act itself is done."""

import asyncio
from typing import Literal
from uuid import UUID, uuid4

from caisey_core.catalogue.notices import NEWEST, NoticeRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.live.news import News
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import cursors
from caisey_core.services.cursors import Page
from caisey_core.services.house import House, log
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.views import NoticeView
from caisey_hookspecs import Delivery, Notice, Notifier, Rejected, Unavailable

Urgency = Literal["normal", "high", "urgent"]
LIMIT_SECONDS = 10.0


def later(house: House, to: Member, *, key: str, title: str, text: str, link: str, urgency: Urgency) -> None:
    """Send a notice beside the caller's answer. `link` is a path in the web UI."""
    house.spawn(send(house, to, key=key, title=title, text=text, link=link, urgency=urgency), "notify")


async def send(house: House, to: Member, *, key: str, title: str, text: str, link: str, urgency: Urgency) -> None:
    """Hand a notice to all notifiers of the tenant at once; one that fails or hangs holds up no other."""
    notice = Notice(
        key=key,
        recipient=str(to.id),
        recipient_address=to.email,
        title=title,
        text=text,
        link=house.config.url + link,
        urgency=urgency,
    )
    plugins = await house.plugins.enabled(to.tenant, "notifier")
    await asyncio.gather(*(_send_by(house, plugin, to, notice, link, urgency) for plugin in plugins))


async def _send_by(house: House, plugin: str, to: Member, notice: Notice, link: str, urgency: Urgency) -> None:
    try:
        delivery = await house.plugins.call(
            to.tenant, plugin, Notifier, lambda notifier: notifier.deliver(notice), LIMIT_SECONDS, expect=Delivery
        )
    except (Unavailable, Rejected, PluginFault) as error:
        log.warning("a notifier failed", plugin=plugin, error=str(error))
        return
    if delivery.in_page is not None:
        await _show(house, to, notice, delivery, link, urgency)


async def _show(house: House, to: Member, notice: Notice, delivery: Delivery, link: str, urgency: Urgency) -> None:
    assert delivery.in_page is not None
    row = NoticeRow(
        id=uuid4(),
        member=to.id,
        key=notice.key,
        title=delivery.in_page.title,
        text=delivery.in_page.text,
        link=link,
        urgency=urgency,
        created_at=house.clock.now(),
        read_at=None,
    )
    if not isinstance(await house.catalogue.notices.create(to.tenant, row), Taken):
        house.live.news.tell(to.tenant, News("notice", row.id, to.id))


def _view(row: NoticeRow) -> NoticeView:
    return NoticeView(
        id=row.id,
        title=row.title,
        text=row.text,
        link=row.link,
        urgency=row.urgency,
        at=row.created_at,
        read=row.read_at is not None,
    )


async def page(house: House, member: Member, after: str = "", limit: int = NEWEST) -> Page[NoticeView] | Refused:
    """Return the member's notices, newest first."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    before = cursors.read(after, tuple[int, UUID]) if after else None
    if isinstance(before, Refused):
        return before
    rows = await house.catalogue.notices.list(member.tenant, member.id, limit + 1, before)
    shown = rows[:limit]
    following = cursors.write((shown[-1].created_at, shown[-1].id)) if len(rows) > limit else ""
    return Page(tuple(_view(row) for row in shown), following)


async def view(house: House, member: Member, notice: UUID) -> NoticeView | None:
    """Return one of the member's notices."""
    row = await house.catalogue.notices.by_id(member.tenant, member.id, notice)
    return _view(row) if row is not None else None


async def unread(house: House, member: Member) -> int:
    """Return how many notices wait."""
    return await house.catalogue.notices.unread(member.tenant, member.id)


async def read(house: House, member: Member, notice: UUID | None) -> Refused | None:
    """Mark one notice, or all, as read."""
    known = await house.catalogue.notices.mark_read(member.tenant, member.id, notice, house.clock.now())
    return None if known else NOT_FOUND
