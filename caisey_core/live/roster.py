"""Every enrolled device with what is known of it now, in memory: lists and counts never touch the database.

The catalogue holds the same devices; `load` fills the roster at start, and whoever changes the catalogue changes the roster.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from caisey_agent.protocol.frames import Facts
from caisey_core.domain.assignment import Assignment

Place = tuple[str, bytes, str, bytes]  # by client name, then name; ids tell namesakes apart


@dataclass(slots=True)
class RosterDevice:
    """One device. `session` is the id of the one whose outcome is open."""

    id: UUID
    tenant: UUID
    client: UUID
    name: str
    key: bytes
    enrolled_at: int
    installer_label: str = ""
    online: bool = False
    last_seen: int | None = None
    facts: Facts | None = None
    facts_at: int | None = None
    assignment: Assignment | None = None  # the open one
    session: UUID | None = None
    unsaved: bool = False

    def matches(self, words: list[str]) -> bool:
        """Say whether every word (lower case) is found in name, user, system or an address."""
        facts = self.facts
        text = self.name.lower()
        if facts is not None:
            text = f"{text} {facts.host_name.lower()} {facts.user.lower()} {facts.system.lower()} {' '.join(facts.addresses)}"
        return all(word in text for word in words)


@dataclass(slots=True)
class Tally:
    """How many devices there are, kept up to date with each change: nobody counts 10,000 devices for a page."""

    devices: int = 0
    online: int = 0
    assigned: int = 0

    def count(self, device: RosterDevice, by: int) -> None:
        """Count a device in (1) or out (-1), as it is now."""
        self.devices += by
        self.online += by * device.online
        self.assigned += by * (device.assignment is not None)


@dataclass(slots=True)
class _Tenant:
    devices: dict[UUID, RosterDevice] = field(default_factory=dict)
    order: list[RosterDevice] | None = None  # by client name, then name; None: to be sorted again
    tallies: dict[UUID, Tally] = field(default_factory=dict)  # by client

    def tally(self, device: RosterDevice) -> Tally:
        """Return the tally that counts this device."""
        return self.tallies.setdefault(device.client, Tally())


class Roster:
    """All devices of all tenants on this node. Every look-up names its tenant."""

    def __init__(self) -> None:
        self._tenants: dict[UUID, _Tenant] = {}
        self._client_names: dict[UUID, str] = {}

    def name_client(self, client: UUID, name: str) -> None:
        """Take a client's name, new or changed."""
        self._client_names[client] = name
        for tenant in self._tenants.values():
            tenant.order = None

    def client_name(self, client: UUID) -> str:
        """Return a client's name."""
        return self._client_names.get(client, "")

    def add(self, device: RosterDevice) -> None:
        """Take a device, new or loaded."""
        tenant = self._tenants.setdefault(device.tenant, _Tenant())
        tenant.devices[device.id] = device
        tenant.tally(device).count(device, 1)
        tenant.order = None

    def load(self, devices: Iterable[RosterDevice]) -> None:
        """Take many devices."""
        for device in devices:
            self.add(device)

    def remove(self, tenant: UUID, device: UUID) -> None:
        """Forget a device."""
        house = self._tenants.get(tenant)
        if house is not None and (gone := house.devices.pop(device, None)) is not None:
            house.tally(gone).count(gone, -1)
            house.order = None

    def get(self, tenant: UUID, device: UUID) -> RosterDevice | None:
        """Return a device of this tenant, or None for what is not there or not this tenant's."""
        house = self._tenants.get(tenant)
        return None if house is None else house.devices.get(device)

    def find(self, device: UUID) -> RosterDevice | None:
        """Return a device by its id alone: only for the agent link, which proved the device's key."""
        for tenant in self._tenants.values():
            if device in tenant.devices:
                return tenant.devices[device]
        return None

    def rename(self, device: RosterDevice, name: str) -> None:
        """Note a device's new name."""
        device.name = name
        self._tenants[device.tenant].order = None

    def move(self, device: RosterDevice, client: UUID) -> None:
        """Note a device's new client."""
        house = self._tenants[device.tenant]
        house.tally(device).count(device, -1)
        device.client = client
        house.tally(device).count(device, 1)
        house.order = None

    def assign(self, device: RosterDevice, assignment: Assignment | None) -> None:
        """Note a device's open assignment, or that it has none any more."""
        if (tally := self._tally(device)) is not None:
            tally.assigned += (assignment is not None) - (device.assignment is not None)
        device.assignment = assignment

    def set_online(self, device: RosterDevice, online: bool, at: int) -> None:
        """Note that a device came or went. The link of one that was removed goes after it: it is not counted again."""
        if (tally := self._tally(device)) is not None:
            tally.online += online - device.online
        device.online = online
        device.last_seen = at
        device.unsaved = True

    def _tally(self, device: RosterDevice) -> Tally | None:
        house = self._tenants[device.tenant]
        return house.tally(device) if house.devices.get(device.id) is device else None

    def tally(self, tenant: UUID, clients: Collection[UUID] | None = None) -> Tally:
        """Return the counts of the tenant's devices, or of those of some clients."""
        house = self._tenants.get(tenant)
        counted = [] if house is None else [t for c, t in house.tallies.items() if clients is None or c in clients]
        return Tally(sum(t.devices for t in counted), sum(t.online for t in counted), sum(t.assigned for t in counted))

    def ordered(self, tenant: UUID) -> list[RosterDevice]:
        """Return the tenant's devices by client name, then name. Do not change the list."""
        house = self._tenants.get(tenant)
        if house is None:
            return []
        if house.order is None:
            house.order = sorted(house.devices.values(), key=self.place)
        return house.order

    def place(self, device: RosterDevice) -> Place:
        """Return where a device stands in that order."""
        return (self.client_name(device.client).lower(), device.client.bytes, device.name.lower(), device.id.bytes)

    def unsaved(self) -> Iterator[RosterDevice]:
        """Yield devices whose last sign of life is not in the catalogue yet; each once."""
        for tenant in self._tenants.values():
            for device in tenant.devices.values():
                if device.unsaved:
                    device.unsaved = False
                    yield device
