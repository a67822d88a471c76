"""The demonstration: a tenant with people and clients, and real agents on this machine, each with its own home and key."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core import config as settings
from caisey_core import installation
from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.tenants import Tenant
from caisey_core.config import Config, ConfigError
from caisey_core.domain.roles import Role
from caisey_core.server import serve
from caisey_core.services import api_tokens, clients, installers, members, sign_in
from caisey_core.services.house import House
from caisey_core.services.tenancy import OPERATOR
from caisey_core.services.views import ClientView, NewApiToken, NewInstaller

TENANT: Final = "Brightwater IT"
PEOPLE: Final = (
    ("Ada Lindqvist", Role.ADMIN),
    ("Dana Okafor", Role.DISPATCHER),
    ("Tom Brandt", Role.TECHNICIAN),
    ("Mia Torres", Role.TECHNICIAN),
    ("Sam Iyer", Role.SENIOR),
    ("Ines Moreau", Role.AUDITOR),
)
CLIENTS: Final = ("Harbor Dental", "Northwind Logistics", "Pine & Partner Law")
DEVICES: Final = (("HD-FRONTDESK", 0), ("HD-XRAY", 0), ("NW-WAREHOUSE-1", 1), ("PP-OFFICE", 2))
LABEL: Final = "demonstration"


class Person(Struct, frozen=True):
    """Whom one can be."""

    name: str
    role: str
    sign_in: str
    token: str


class Device(Struct, frozen=True):
    """A real agent on this machine."""

    id: str
    name: str
    client: str
    consent_page: str


class Ready(Struct, frozen=True):
    """The ready file."""

    url: str
    people: list[Person]
    devices: list[Device]


async def run(data: Path, port: int, ready_file: Path | None, database: str = "") -> int:
    """Run the demonstration until SIGINT or SIGTERM; a second run goes on with the same data."""
    config = Config(deployment="demo.caisey.local", port=port, demonstration=True, database=database)
    if not (data / "caisey.toml").exists():
        installation.make_folder(data, config)
        await installation.make_tenant(data, config, TENANT)
    stored = settings.load(data)
    stored = replace(stored, database=database or stored.database)
    if not stored.demonstration:
        raise ConfigError(f"{data} is a real installation. Start it with: caisey serve --data {data}")
    agents: list[subprocess.Popen[bytes]] = []
    log = (data / "agents.log").open("ab")

    async def ready(house: House) -> None:
        tenant = (await house.catalogue.tenants.all())[0]
        people = await _people(house, tenant)
        devices = await _devices(house, tenant, data, agents, log)
        told = Ready(house.config.url, people, devices)
        _print(told)
        if ready_file is not None:
            installation.write_ready(ready_file, msgspec.json.encode(told).decode())

    try:
        await serve(data, replace(stored, port=port, host="127.0.0.1"), ready)
    finally:
        await asyncio.to_thread(_stop, agents)
        log.close()
    return 0


async def _people(house: House, tenant: Tenant) -> list[Person]:
    rows = {row.name: row for row in await house.catalogue.members.list(tenant.id)}
    if not rows:
        await installation.announce_tenant(house, tenant)
        for name, role in PEOPLE:
            email = f"{name.split()[0].lower()}@brightwater.example"
            rows[name] = await installation.add_member(house, tenant, name, email, role)
    await house.catalogue.sign_ins.delete_links(tenant.id)
    await house.catalogue.api_tokens.delete(tenant.id, LABEL)
    return [await _person(house, tenant, rows[name]) for name, _ in PEOPLE if name in rows]


async def _person(house: House, tenant: Tenant, row: MemberRow) -> Person:
    member = members.member_of(tenant, row)
    link = await sign_in.new_link(house, tenant.id, OPERATOR, row.id, reusable=True)
    made = await api_tokens.make(house, member, LABEL, api_tokens.scopes_for(member), expires_days=None)
    assert isinstance(made, NewApiToken), made
    return Person(row.name, row.role, link, made.token)


async def _devices(
    house: House, tenant: Tenant, data: Path, agents: list[subprocess.Popen[bytes]], log: IO[bytes]
) -> list[Device]:
    rows = await house.catalogue.members.list(tenant.id)
    admin = members.member_of(tenant, next(row for row in rows if row.role == Role.ADMIN))
    known = {choice.name: choice.id for choice in await clients.choices(house, admin)}
    for name in CLIENTS:
        if name not in known:
            client = await clients.create(house, admin, name)
            assert isinstance(client, ClientView), client
            known[name] = client.id
    homes = []
    for name, place in DEVICES:
        home = data / "agents" / name
        homes.append((name, CLIENTS[place], home))
        if not (home / "config.json").exists():
            shutil.rmtree(home, ignore_errors=True)
            made = await installers.create(house, admin, known[CLIENTS[place]], name, 1, 1)
            assert isinstance(made, NewInstaller), made
            enrolled = await asyncio.create_subprocess_exec(
                *_agent("enrol", house.config.url, "--token", made.token, "--name", name, "--home", str(home)),
                *("--prompt", "page", "--demonstration"),
                stdout=log,
                stderr=log,
            )
            if await enrolled.wait() != 0:
                raise ConfigError(f"A device could not be enrolled; {data / 'agents.log'} says why.")
    return await _start(house, tenant, homes, agents, log)


async def _start(
    house: House,
    tenant: Tenant,
    homes: list[tuple[str, str, Path]],
    agents: list[subprocess.Popen[bytes]],
    log: IO[bytes],
) -> list[Device]:
    """Start the agents and wait until each has its page and its link."""
    devices = []
    for name, client, home in homes:
        config = msgspec.json.decode((home / "config.json").read_bytes())
        _point_at(home, config, house.config.url)
        (home / "consent_page").unlink(missing_ok=True)
        agents.append(
            subprocess.Popen(_agent("run", "--home", str(home)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603, ASYNC220
        )
        devices.append((config["device"], name, client, home))
    found = []
    for device, name, client, home in devices:
        for _ in range(400):
            page = home / "consent_page"
            if page.exists() and house.live.links.online(msgspec.convert(device, type=UUID)):
                break
            await asyncio.sleep(0.02)
        page_address = (home / "consent_page").read_text() if (home / "consent_page").exists() else ""
        found.append(Device(device, name, client, page_address))
    return found


def _point_at(home: Path, config: dict[str, object], url: str) -> None:
    """The demonstration's port may be another one than last time."""
    link = f"{url.replace('http', 'ws', 1)}/agent/link"
    if config["link"] != link:
        (home / "config.json").write_bytes(msgspec.json.encode({**config, "link": link}))


def _agent(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "caisey_agent.cli", *arguments]


def _stop(agents: list[subprocess.Popen[bytes]]) -> None:
    for agent in agents:
        with contextlib.suppress(ProcessLookupError):
            agent.send_signal(signal.SIGTERM)
    for agent in agents:
        try:
            agent.wait(5)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _print(ready: Ready) -> None:
    print(f"\nCaisey is ready at {ready.url}\n")
    print("Be one of these people (a click signs in; use a private window for a second person):")
    for person in ready.people:
        print(f"  {person.name:16} {person.role:18} {person.sign_in}")
    print("\nSit at one of these devices (the page where its user is asked):")
    for device in ready.devices:
        print(f"  {device.name:16} {device.client:20} {device.consent_page}")
    print("\nCtrl-C stops everything; starting again goes on with the same data.\n", flush=True)
