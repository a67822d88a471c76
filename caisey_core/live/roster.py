"""Every enrolled device with what is known of it now, in memory: lists and counts never touch the database.

The catalogue holds the same devices; `load` fills the roster at start, and whoever changes the catalogue changes the roster.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from caisey_agent.protocol.frames import Facts
from caisey_core.domain.assignment import Assignment


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
class _Tenant:
    devices: dict[UUID, RosterDevice] = field(default_factory=dict)
    order: list[RosterDevice] | None = None  # by client name, then name; None: to be sorted again
    online: int = 0


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
        tenant.order = None

    def load(self, devices: Iterable[RosterDevice]) -> None:
        """Take many devices."""
        for device in devices:
            self.add(device)

    def remove(self, tenant: UUID, device: UUID) -> None:
        """Forget a device."""
        house = self._tenants.get(tenant)
        if house is not None and (gone := house.devices.pop(device, None)) is not None:
            house.online -= gone.online
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

    def resort(self, tenant: UUID) -> None:
        """A name or a client changed."""
        self._tenants[tenant].order = None

    def set_online(self, device: RosterDevice, online: bool, at: int) -> None:
        """Note that a device came or went."""
        if device.online != online:
            device.online = online
            self._tenants[device.tenant].online += 1 if online else -1
        device.last_seen = at
        device.unsaved = True

    def online(self, tenant: UUID) -> int:
        """Return how many of the tenant's devices are connected."""
        house = self._tenants.get(tenant)
        return 0 if house is None else house.online

    def ordered(self, tenant: UUID) -> list[RosterDevice]:
        """Return the tenant's devices by client name, then name. Do not change the list."""
        house = self._tenants.get(tenant)
        if house is None:
            return []
        if house.order is None:
            names = self._client_names
            house.order = sorted(
                house.devices.values(),
                key=lambda d: (names.get(d.client, "").lower(), d.client.bytes, d.name.lower(), d.id.bytes),
            )
        return house.order

    def unsaved(self) -> Iterator[RosterDevice]:
        """Yield devices whose last sign of life is not in the catalogue yet; each once."""
        for tenant in self._tenants.values():
            for device in tenant.devices.values():
                if device.unsaved:
                    device.unsaved = False
                    yield device
