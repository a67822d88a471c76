"""One box that finds devices, clients, sessions, members."""

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services import clients
from caisey_core.services.house import House
from caisey_core.services.views import Hit

MOST_EACH = 8
MOST_WORDS = 10


async def find(house: House, member: Member, q: str) -> tuple[Hit, ...] | Refused:
    """Return what matches every word, within the member's reach: devices first."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    words = q.lower().split()[:MOST_WORDS]
    if not words:
        return ()
    base = f"/t/{member.tenant_slug}"
    hits: list[Hit] = []
    for device in house.live.roster.ordered(member.tenant):
        if member.serves(device.client) and device.matches(words):
            where = house.live.roster.client_name(device.client)
            user = f" · {device.facts.user}" if device.facts is not None and device.facts.user else ""
            hits.append(Hit(kind="device", title=device.name, detail=where + user, link=f"{base}/devices/{device.id}"))
            if len(hits) == MOST_EACH:
                break
    for client in await clients.choices(house, member):
        if all(word in client.name.lower() for word in words):
            hits.append(Hit(kind="client", title=client.name, detail="Client", link=f"{base}/?client={client.id}"))
    for row in await house.catalogue.members.list(member.tenant):
        if row.active and all(word in f"{row.name} {row.email}".lower() for word in words):
            hits.append(Hit(kind="member", title=row.name, detail=row.role, link=f"{base}/?technician={row.id}"))
    for session in await house.catalogue.sessions.search(member.tenant, words, MOST_EACH, member.clients):
        if member.serves(session.client):
            detail = f"{session.technician_name} · {session.reason}"
            hits.append(
                Hit(kind="session", title=session.device_name, detail=detail, link=f"{base}/sessions/{session.id}/review")
            )
    return tuple(hits)
