"""Sessions that the index's tests put in and look for."""

from uuid import UUID, uuid4

from caisey_core.search.index import About, Line, Mark, Scope, SearchIndex, Wanted
from caisey_core.search.words import parse

ACME, BOLT = uuid4(), uuid4()
HARBOR, PINE = uuid4(), uuid4()
TOM, MIA = uuid4(), uuid4()
OURS = Scope(ACME)


def put(index: SearchIndex, *texts: str, tenant: UUID = ACME, client: UUID = HARBOR, at: int = 0, **more: object) -> UUID:
    """Index a session with these lines."""
    known = {"device": uuid4(), "technicians": (TOM,), "outcome": "fixed", "reason": "Why"} | more
    about = About(
        device_name="PC", client=client, client_name="Client", technician_name="Tom", requested_at=at, **known  # type: ignore[arg-type]
    )  # fmt: skip
    session = uuid4()
    lines = [Line(at, "output", text) for at, text in enumerate(texts)]
    assert index.add(tenant, session, about, lines, Mark(), Mark(len(texts)))
    return session


def found(index: SearchIndex, query: str, scope: Scope = OURS, **more: object) -> list[UUID]:
    """Return the sessions on the first page."""
    return [one.session for one in index.find(scope, Wanted(words=parse(query), **more)).found]  # type: ignore[arg-type]
