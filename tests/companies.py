"""Two companies in one data folder, each with people of every role, clients and devices: the wall between them can be walked."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from doors import Browser, Device, Person, Server, agent, until
from raw_device import RawDevice

from caisey_core.app import close_house, open_house
from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.tenants import Tenant
from caisey_core.config import Config
from caisey_core.domain.roles import Role
from caisey_core.installation import add_member, announce_tenant, make_folder, make_tenant
from caisey_core.services import api_tokens, clients, installers, members, sign_in
from caisey_core.services.house import House
from caisey_core.services.tenancy import OPERATOR
from caisey_core.services.views import ClientView, NewApiToken, NewInstaller

CAST = {
    "admin": Role.ADMIN,
    "dispatcher": Role.DISPATCHER,
    "tom": Role.TECHNICIAN,
    "mia": Role.TECHNICIAN,
    "senior": Role.SENIOR,
    "auditor": Role.AUDITOR,
}
NARROW = "narrow"  # a technician who serves the second client only
NARROWED = {  # of each role one who serves the second client only, and who of the cast has the same role
    NARROW: "mia",
    "narrow-admin": "admin",
    "narrow-dispatcher": "dispatcher",
    "narrow-senior": "senior",
    "narrow-auditor": "auditor",
}


@dataclass
class Company:
    """One tenant: its people by part, its clients and its devices by name."""

    slug: str
    name: str
    tenant: UUID
    people: dict[str, Person] = field(default_factory=dict)
    members: dict[str, UUID] = field(default_factory=dict)
    clients: dict[str, UUID] = field(default_factory=dict)
    installers: dict[str, str] = field(default_factory=dict)  # token by client
    devices: dict[str, Device] = field(default_factory=dict)
    raw: dict[str, RawDevice] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)  # asked for, oldest first

    def browser(self, who: str) -> Browser:
        """Return this person's signed-in browser. Links work once, so each has one."""
        if who not in self.browsers:
            person = self.people[who]
            made = Browser(person.base.partition("/api/")[0])
            link = "/sign-in/" + person.sign_in.rpartition("/")[2]
            made.get(link)
            assert made.post(link).url.path == f"/t/{self.slug}/account"
            self.browsers[who] = made
        return self.browsers[who]

    def ask(self, device: str | UUID, by: str = "tom", **changes: Any) -> str:
        """Ask for a session; returns its id."""
        identity = device if isinstance(device, UUID) else self.id_of(device)
        body = {"reason": "The printer does not print", "scopes": ["run", "files"], "duration_minutes": 60, **changes}
        session = str(self.people[by].post(f"/devices/{identity}/sessions", body)["id"])
        self.sessions.append(session)
        return session

    def id_of(self, device: str) -> UUID:
        """Return a device's id."""
        return UUID(self.devices[device].id) if device in self.devices else self.raw[device].id

    def active(self, device: str, by: str = "tom", **changes: Any) -> str:
        """Return a session that the device agreed to."""
        session = self.ask(device, by, **changes)
        if device in self.raw:
            self.raw[device].answer()
        else:
            assert self.devices[device].asked() == session
            assert self.devices[device].answer(session) == 200
        self.state(session, "active")
        return session

    def card(self, session: str, by: str = "tom") -> Any:
        """Return how a session stands."""
        return self.people[by].get(f"/sessions/{session}/card")

    def state(self, session: str, wanted: str, patience: float = 20.0) -> Any:
        """Wait until a session stands so."""

        def look() -> Any:
            card = self.card(session)
            return card if card["state"] == wanted else None

        return until(look, f"the state {wanted}", patience)

    def entries(self, session: str) -> list[Any]:
        """Return a session's timeline."""
        return list(self.people["tom"].get(f"/sessions/{session}")["entries"])

    def command(self, session: str, command: str) -> Any:
        """Wait until a command has ended; returns its card."""

        def look() -> Any:
            cards = [entry["command"] for entry in self.entries(session) if entry["command"] is not None]
            return next((c for c in cards if c["id"] == command and c["state"] in ("finished", "not run", "lost")), None)

        return until(look, "the end of a command")

    def transfer(self, session: str, transfer: str, wanted: str) -> Any:
        """Wait until a transfer stands so; returns its card."""

        def look() -> Any:
            cards = [entry["transfer"] for entry in self.entries(session) if entry["transfer"] is not None]
            return next((card for card in cards if card["id"] == transfer and card["state"] == wanted), None)

        return until(look, f"a transfer that is {wanted}")


@dataclass
class Companies:
    """A served data folder with both."""

    server: Server
    acme: Company
    bolt: Company
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens, whatever address people are told."""
        return f"http://127.0.0.1:{self.server.port}" if self.server.port else self.server.url

    def start_device(self, company: Company, name: str, client: str) -> Device:
        """Enrol a real agent and run it."""
        home = self.server.data.with_name(f"{company.slug}-{name}")
        token = company.installers[client]
        enrolled = agent("enrol", self.url, "--token", token, "--name", name, "--home", str(home), "--prompt", "page")
        assert enrolled.returncode == 0, enrolled.stderr
        with home.with_suffix(".log").open("ab") as log:
            command = [sys.executable, "-m", "caisey_agent.cli", "run", "--home", str(home)]
            self.agents.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        page = home / "consent_page"
        until(page.exists, "the consent page")

        def row() -> Any:
            groups = company.people["admin"].get("/devices")["groups"]
            found = [one for group in groups for one in group["rows"] if one["name"] == name]
            return found[0] if found and found[0]["online"] else None

        made = Device(until(row, "the device")["id"], name, client, page.read_text())
        company.devices[name] = made
        return made

    def raw_device(self, company: Company, name: str, client: str, **facts: object) -> RawDevice:
        """Enrol a key without an agent and bring it online."""
        made = RawDevice(self.url, name)

        def enrolled() -> bool:
            answer = made.enrol(company.installers[client])
            assert answer.status_code in (201, 429), answer.text  # 429: tests before this one knocked often
            return answer.status_code == 201

        until(enrolled, "a place for the device")
        made.connect(**facts)
        company.raw[name] = made
        until(lambda: company.people["admin"].get(f"/devices/{made.id}")["row"]["online"], "the device to be online")
        return made

    def stop(self) -> None:
        """Stop everything."""
        for one in self.agents:
            one.kill()
            one.wait()
        for company in (self.acme, self.bolt):
            for raw in company.raw.values():
                with contextlib.suppress(Exception):
                    raw.close()
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.stop()


async def _people(house: House, tenant: Tenant) -> Company:
    company = Company(tenant.slug, tenant.name, tenant.id)
    await announce_tenant(house, tenant)
    for part, role in CAST.items():
        row = await add_member(house, tenant, f"{part.title()} of {tenant.name}", f"{part}@{tenant.slug}.example", role)
        await _give_access(house, tenant, company, part, row)
    admin = members.member_of(
        tenant, next(row for row in await house.catalogue.members.list(tenant.id) if row.role == Role.ADMIN)
    )
    for name in ("Harbor", "Northwind"):
        made = await clients.create(house, admin, f"{name} of {tenant.name}")
        assert isinstance(made, ClientView)
        company.clients[name] = made.id
        installer = await installers.create(house, admin, made.id, "", 24, None)
        assert isinstance(installer, NewInstaller)
        company.installers[name] = installer.token
    for part, like in NARROWED.items():
        email = f"{part}@{tenant.slug}.example"
        row = MemberRow(
            id=uuid4(),
            name=f"{part.title()} of {tenant.name}",
            email=email,
            role=CAST[like].value,
            plugin="local-accounts",
            subject=email,
            active=True,
            created_at=house.clock.now(),
            clients=frozenset({company.clients["Northwind"]}),
        )
        await house.catalogue.members.create(tenant.id, row)
        await _give_access(house, tenant, company, part, row)
    return company


async def _give_access(house: House, tenant: Tenant, company: Company, part: str, row: MemberRow) -> None:
    member = members.member_of(tenant, row)
    made = await api_tokens.make(house, member, "test", api_tokens.scopes_for(member), expires_days=None)
    assert isinstance(made, NewApiToken), made
    link = await sign_in.new_link(house, tenant.id, OPERATOR, row.id, reusable=False)
    company.people[part] = Person(row.name, row.role, link, made.token, "")
    company.members[part] = row.id


async def make_both(data: Path, config: Config) -> tuple[Company, Company]:
    """Make a data folder with both; it is not served yet."""
    make_folder(data, config)
    first = await make_tenant(data, config, "Acme MSP")
    house = await open_house(data, config)
    try:
        second = Tenant(uuid4(), "bolt-msp", "Bolt MSP", house.clock.now())
        await house.record.create_tenant(second.id, f"{config.deployment}/{second.id}")
        await house.catalogue.tenants.create(second)
        return await _people(house, first), await _people(house, second)
    finally:
        await close_house(house)


@contextlib.contextmanager
def two_companies(data: Path, python: str = sys.executable, **settings: Any) -> Iterator[Companies]:
    """Serve a data folder with two companies for a while; `python` is that of the server's environment."""
    acme, bolt = asyncio.run(make_both(data, Config(**settings)))
    server = Server(data, port=settings.get("port", 0), python=python)
    server.start()
    made = Companies(server, acme, bolt)
    for company in (acme, bolt):
        for person in company.people.values():
            person.base = f"{made.url}/api/v1/t/{company.slug}"
    try:
        yield made
    finally:
        made.stop()
