"""Tokens of an identity provider at the API: a plugin says whose they are, after our own were looked at; its word is kept for seconds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
from companies import Companies, make_both
from distributions import install, on_the_path
from doors import TLS, Server

from caisey_core.app import close_house, open_house
from caisey_core.catalogue.members import MemberRow
from caisey_core.config import Config

SOURCE = """
from caisey_hookspecs import Identity, Identified, NotIdentified, SignInForm, Unavailable, PluginInfo, hookimpl

@hookimpl
def caisey_plugin():
    return PluginInfo(name="provider", title="Provider", version="0.0.1", kinds=("identity",), enabled_by_default=True)

@hookimpl
def caisey_identity(context):
    return Provider()

class Provider(Identity):
    async def begin(self, attempt):
        return SignInForm(title="Provider", fields=())

    async def complete(self, attempt):
        return NotIdentified(reason="Not here.")

    async def bearer(self, token):
        with open({asked!r}, "a") as file:
            file.write(token + "\\n")
        if token == "away":
            raise Unavailable("The provider is away.")
        if token == "nonsense":
            raise ValueError(token)
        return Identified(subject=token.removeprefix("session-of-")) if token.startswith("session-of-") else None
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin writes down what it was asked about."""
    return tmp_path_factory.mktemp("provider") / "asked"


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory, asked: Path) -> Iterator[Companies]:
    """Two companies with the plugin; the first has an admin and a technician who sign in with it."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "provider", SOURCE.format(asked=str(asked)))
    data = tmp_path_factory.mktemp("bearers") / "data"
    acme, bolt = asyncio.run(make_both(data, Config()))
    asyncio.run(_members(data, acme.tenant))
    with on_the_path(folder):
        server = Server(data)
        server.start()
    made = Companies(server, acme, bolt)
    yield made
    made.stop()


async def _members(data: Path, tenant: UUID) -> None:
    house = await open_house(data, Config())
    try:
        for subject in ("admin", "technician"):
            row = MemberRow(
                id=uuid4(),
                name=f"Provided {subject}",
                email=f"{subject}@provider.example",
                role=subject,
                plugin="provider",
                subject=subject,
                active=True,
                created_at=house.clock.now(),
            )
            await house.catalogue.members.create(tenant, row)
    finally:
        await close_house(house)


def call(companies: Companies, token: str, path: str = "/me", company: str = "acme-msp", **more: object) -> httpx2.Response:
    """Call the API with any bearer token."""
    method = "POST" if more else "GET"
    address = f"{companies.url}/api/v1/t/{company}{path}"
    return httpx2.request(method, address, headers={"authorization": f"Bearer {token}"}, timeout=30, verify=TLS, **more)


def test_whose_it_is(companies: Companies, asked: Path) -> None:
    """A member, with the role's rights; asked about once for many requests."""
    for _ in range(3):
        answer = call(companies, "session-of-technician")
        assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["role"]) == ("Provided technician", "technician")
    assert asked.read_text().count("session-of-technician\n") == 1


def test_never_what_is_dangerous(companies: Companies) -> None:
    """No scope was chosen for it, and nobody signed in again: an admin's token of the provider does not do what needs that."""
    assert call(companies, "session-of-admin", "/clients", json={"name": "By the provider's token"}).status_code == 201
    answer = call(companies, "session-of-admin", "/retention", json={"days": 30})
    assert answer.status_code == 403
    assert "token may not" in answer.json()["detail"]


def test_unknown_and_away(companies: Companies) -> None:
    """Nobody's token, a person who is no member, another company, a plugin that raises or does not answer."""
    assert call(companies, "something").status_code == 401
    assert call(companies, "session-of-nobody").status_code == 401
    assert call(companies, "session-of-admin", company="bolt-msp").status_code == 401
    assert call(companies, "session-of-admin", company="no-such-msp").status_code == 401
    for token in ("away", "nonsense"):
        answer = call(companies, token)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
    assert call(companies, companies.acme.people["tom"].token).status_code == 200


def test_our_own_are_nobody_elses(companies: Companies, asked: Path) -> None:
    """A token of ours, valid or not, is never shown to a plugin; nor is one that is too long."""
    assert call(companies, companies.acme.people["tom"].token).status_code == 200
    assert call(companies, "cai_unknown").status_code == 401
    assert call(companies, "session-of-" + "x" * 20_000).status_code == 401
    assert "cai_" not in asked.read_text()
    assert "xxxx" not in asked.read_text()
