"""What keeps an open page current: one event stream per page, which sends only the rows, cards and counts that changed."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member
from caisey_core.http.rendering import AnyRequest, render
from caisey_core.http.who import RECHECK_SECONDS, still
from caisey_core.live.news import News
from caisey_core.services import assignments, devices, notices, review
from caisey_core.services.house import House

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.http")


@get("/events")
async def events(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], page: FromQuery[str] = "other"
) -> Stream:
    """Stream what changed, as parts of the page. `page` names what is shown: devices, device:ID, sessions, queue or other."""
    kind, _, subject = page.partition(":")
    listener = Listener(request, house, member, kind, subject)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(listener.messages(), media_type="text/event-stream", headers=headers)


def _message(html: str) -> str:
    """Return HTML as one event (WHATWG HTML 9.2: a line of data each)."""
    return "".join(f"data: {line}\n" for line in html.splitlines() if line.strip()) + "\n"


@dataclass
class Listener:
    """One open page."""

    request: AnyRequest
    house: House
    member: Member
    kind: str
    subject: str

    async def messages(self) -> AsyncIterator[str]:
        """Yield events until the browser leaves or the server stops. The first one tells that the stream is open."""
        checked = time.monotonic()
        with self.house.live.news.subscribe(self.member.tenant, self.member.id) as subscription:
            yield "retry: 500\n: open\n\n"
            while not self.house.closing.is_set():
                try:
                    batch = await subscription.next(RECHECK_SECONDS)
                except StopAsyncIteration:
                    break
                if time.monotonic() - checked >= RECHECK_SECONDS or any(news.subject == "rights" for news in batch):
                    checked = time.monotonic()
                    if not await still(self.house, self.request, self.member):
                        return
                try:
                    yield _message(await self._parts(batch)) if batch else ": still here\n\n"
                except Exception as error:  # the answer has begun: a part that cannot be shown must not end the stream
                    log.error("a part of a page could not be rendered", page=self.kind, exc_info=error)
        yield ": the server stops\n\n"

    async def _parts(self, batch: list[News]) -> str:
        changed: dict[tuple[str, object], dict[str, Any]] = {}  # several news may change one part: it is sent once
        for news in batch:
            for kind, context in await self._about(news):
                changed[kind, context.get("id", news.id)] = context
        parts = [self._part(kind, **context) for (kind, _), context in changed.items()]
        if self.kind == "devices" and any(news.subject in ("device", "session") for news in batch):
            parts.append(self._part("counts", counts=devices.counts(self.house, self.member)))
        return "\n".join(parts)

    def _part(self, part: str, **context: object) -> str:
        return render(self.request, f"live/{part}.html", member=self.member, base=f"/t/{self.member.tenant_slug}", **context)

    async def _about(self, news: News) -> list[tuple[str, dict[str, Any]]]:
        """Return the parts of this page that news changes. What cannot be shown any more is taken away."""
        if news.subject == "notice":
            return await self._notice(news.id)
        match self.kind, news.subject:
            case "devices", "device":
                row = devices.row(self.house, self.member, news.id)
                return [("device", {"id": news.id, "row": row, "choose": self.member.may(May.ASSIGN)})]
            case "device", "device" if str(news.id) == self.subject:
                view = await devices.detail(self.house, self.member, news.id)
                return [] if isinstance(view, Refused) else [("device_page", {"view": view})]
            case "sessions", "session":
                return [("session", {"id": news.id, "card": await review.card(self.house, self.member, news.id)})]
            case "queue", "assignment":
                return [self._assignment(news.id)]
            case "queue", "device":
                row = devices.row(self.house, self.member, news.id)
                return [self._assignment(row.assignment.id)] if row is not None and row.assignment is not None else []
        return []

    def _assignment(self, assignment: UUID) -> tuple[str, dict[str, Any]]:
        view = assignments.view(self.house, self.member, assignment)
        mine = view if view is not None and view.technician == self.member.id else None
        return ("assignment", {"id": assignment, "item": mine})

    async def _notice(self, notice: UUID) -> list[tuple[str, dict[str, Any]]]:
        view = await notices.view(self.house, self.member, notice)
        unread = await notices.unread(self.house, self.member)
        return [("notice", {"notice": view, "unread": unread})]


handlers = [events]
