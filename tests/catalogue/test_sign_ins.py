"""Sign-ins as the catalogue has them, the same on both databases: whose a browser is, what a provider ends, attempts used once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from databases import both
from msgspec.structs import replace

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.catalogue.sign_ins import BrowserSession, SignInAttempt
from caisey_core.catalogue.tenants import Tenant

pytestmark = both
ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
async def catalogue(tmp_path: Path, new_database: Callable[[], str]) -> AsyncIterator[Catalogue]:
    """A catalogue with two companies."""
    made = await Catalogue.create(new_database() or tmp_path / "catalogue.db")
    for identity in (ONE, OTHER):
        await made.tenants.create(Tenant(identity, f"t{identity.int}", f"Company {identity.int}", 1))
    yield made
    await made.close()


def member(name: str, **more: object) -> MemberRow:
    """A member who came by a provider."""
    row = MemberRow(id=uuid4(), name=name, email="", role="technician", plugin="oidc", subject=name, active=True, created_at=1)
    return replace(row, **more)


def session(of: MemberRow, token: bytes, **more: object) -> BrowserSession:
    """A browser's session."""
    row = BrowserSession(
        id=uuid4(),
        member=of.id,
        token_hash=token,
        way="oidc",
        created_at=1,
        last_used_at=1,
        idle_until=100,
        expires_at=200,
        proved_at=1,
        provider_session="sid",
    )
    return replace(row, **more)


async def test_whose_a_browser_is(catalogue: Catalogue) -> None:
    """Session, company and member in one, with the clients that the member serves."""
    clients = frozenset({uuid4(), uuid4()})
    people = [member("all"), member("some", clients=clients), member("none", clients=frozenset())]
    for number, one in enumerate(people):
        assert await catalogue.members.create(ONE, one) is None
        kept = session(one, bytes([number]) * 32, sign_out_hint=b"sealed")
        await catalogue.sign_ins.create_session(ONE, kept)
        found = await catalogue.holders.of(kept.token_hash)
        assert found is not None
        assert found.member == one
        assert found.session == replace(kept, sign_out_hint=None)
        assert (found.tenant.id, found.tenant.slug) == (ONE, "t1")
    assert await catalogue.holders.of(b"\xff" * 32) is None


async def test_a_member_without_an_address(catalogue: Catalogue) -> None:
    """Several may have none; an address and a subject are one person's."""
    assert await catalogue.members.create(ONE, member("a")) is None
    assert await catalogue.members.create(ONE, member("b")) is None
    assert await catalogue.members.create(ONE, member("a")) == Taken()
    assert await catalogue.members.create(ONE, member("c", email="c@example.test")) is None
    assert await catalogue.members.create(ONE, member("d", email="c@example.test")) == Taken()
    assert await catalogue.members.create(OTHER, member("a", email="c@example.test")) is None


async def test_what_a_provider_ends(catalogue: Catalogue) -> None:
    """By its name of the sign-in, of this company and plugin only; or a member's, of one way or of all."""
    one, other = member("one"), member("other")
    await catalogue.sign_ins.create_session(ONE, session(one, b"a" * 32))
    await catalogue.sign_ins.create_session(ONE, session(one, b"b" * 32, provider_session="x"))
    await catalogue.sign_ins.create_session(ONE, session(one, b"c" * 32, way="link", provider_session=""))
    await catalogue.sign_ins.create_session(OTHER, session(other, b"d" * 32))
    assert await catalogue.sign_ins.end_provider_sessions(ONE, "clerk", "sid") == []
    assert await catalogue.sign_ins.end_provider_sessions(ONE, "oidc", "sid") == [one.id]
    assert await catalogue.sign_ins.end_provider_sessions(ONE, "oidc", "sid") == []
    assert await catalogue.sign_ins.end_sessions_of(ONE, one.id, "oidc") == 1
    assert await catalogue.sign_ins.end_sessions_of(OTHER, one.id) == 0
    assert await catalogue.sign_ins.end_sessions_of(ONE, one.id) == 1
    assert await catalogue.sign_ins.session_by_hash(b"d" * 32) is not None


async def test_an_attempt_is_used_once(catalogue: Catalogue) -> None:
    """By its own browser, plugin and company, in time; of many who come at once one has it; what is over is swept away."""

    def attempt(handle: bytes, expires_at: int = 100) -> SignInAttempt:
        return SignInAttempt(
            id=uuid4(), plugin="oidc", handle_hash=handle, browser_hash=b"mine", sealed=b"sealed", expires_at=expires_at
        )

    take = catalogue.sign_ins.take_attempt
    await catalogue.sign_ins.create_attempt(ONE, attempt(b"h"), 1)
    for tenant, plugin, handle, browser, now in (
        (OTHER, "oidc", b"h", b"mine", 1),
        (ONE, "clerk", b"h", b"mine", 1),
        (ONE, "oidc", b"other", b"mine", 1),
        (ONE, "oidc", b"h", b"theirs", 1),
        (ONE, "oidc", b"h", b"mine", 100),
    ):
        assert await take(tenant, plugin, handle, browser, now) is None
    got = await asyncio.gather(*(take(ONE, "oidc", b"h", b"mine", 99) for _ in range(8)))
    assert sorted(found is None for found in got) == [False] + [True] * 7
    await catalogue.sign_ins.create_attempt(ONE, attempt(b"old", 5), 1)
    await catalogue.sign_ins.create_attempt(ONE, attempt(b"new"), 5)
    assert await take(ONE, "oidc", b"old", b"mine", 4) is None
    assert await take(ONE, "oidc", b"new", b"mine", 4) == b"sealed"


async def test_further_ways_to_sign_in(catalogue: Catalogue) -> None:
    """A subject is one member's, within a company and plugin."""
    first, second = uuid4(), uuid4()
    assert await catalogue.ways.add(ONE, first, "oidc", "s", 1) is None
    assert await catalogue.ways.add(ONE, second, "oidc", "s", 1) == Taken()
    assert await catalogue.ways.add(OTHER, second, "oidc", "s", 1) is None
    assert await catalogue.ways.member(ONE, "oidc", "s") == first
    assert await catalogue.ways.member(ONE, "clerk", "s") is None
    assert (await catalogue.ways.of(ONE, first), await catalogue.ways.of(ONE, second)) == (["oidc"], [])
