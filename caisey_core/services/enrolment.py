"""A device gets its place: an installer's token and a key that the device made itself."""

import base64
import binascii
import math
from uuid import UUID, uuid4

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from caisey_agent.protocol.enrolment import Enrol, Enrolled, enrolment_bytes
from caisey_agent.protocol.frames import Facts
from caisey_core.catalogue.devices import Device
from caisey_core.catalogue.outcomes import Taken
from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice
from caisey_core.services.house import House
from caisey_core.services.journal import HELD, STAMPED
from caisey_core.services.outcomes import SUSPENDED, bad_input
from caisey_core.services.tokens import hash_of

NOT_VALID = Refused(
    "This installer is not valid: it is unknown, expired, used up, or was replaced.",
    "Get a new installer command from the page Enrolment.",
    403,
)
COST_OF_A_WRONG_ONE = 5.0  # tries; whoever guesses waits sooner


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def enrol(house: House, asked: Enrol, address: str) -> Enrolled | Refused:
    """Enrol a device, unless too many try from this address."""
    now = house.clock.mono() / 1e9
    wait = house.enrolments.wait_seconds(address, now)
    if wait > 0:
        words = f"Wait {math.ceil(wait)} seconds and try again."
        return Refused(
            "Too many devices are being enrolled from your address.", words, 429, retry_after_seconds=math.ceil(wait)
        )
    house.enrolments.tried(address, now)
    outcome = await _enrol(house, asked, address)
    if isinstance(outcome, Refused):
        house.enrolments.tried(address, now, COST_OF_A_WRONG_ONE - 1)
    return outcome


async def _enrol(house: House, asked: Enrol, address: str) -> Enrolled | Refused:
    """The signature shows that whoever asks holds the private half of the key."""
    try:
        key, proof = _unpadded(asked.public_key), _unpadded(asked.proof)
        Ed25519PublicKey.from_public_bytes(key).verify(proof, enrolment_bytes(asked.token, key))
    except (binascii.Error, ValueError, InvalidSignature):
        return bad_input("proof", "The key's proof does not hold.", "Update the agent and enrol again.")
    found = await house.catalogue.installers.by_hash(hash_of(asked.token))
    if found is None:
        return NOT_VALID
    tenant_id, installer = found
    tenant = await house.tenancy.ready(await house.catalogue.tenants.by_id(tenant_id))
    clients = await house.catalogue.clients.list(tenant_id)
    if tenant is None or not clients:
        return NOT_VALID
    if tenant.suspended_at is not None:
        return SUSPENDED
    client = next((c for c in clients if c.id == installer.client), clients[0])
    name = installer.device_name or " ".join(asked.name.split())[:100] or "unnamed device"
    now = house.clock.now()
    device = Device(
        id=uuid4(),
        client=client.id,
        name=name,
        key=key,
        installer=installer.id,
        installer_label=f"{installer.created_by_name}’s installer",
        enrolled_at=now,
        removed_at=None,
        removed_reason="",
        facts=None,
        last_seen=None,
    )
    if house.journal.held:
        return HELD
    made = await house.catalogue.installers.enrol(tenant_id, installer.id, device, now)
    if isinstance(made, Taken):
        return Refused("A device with this key is enrolled already.", "Remove the agent's folder and enrol again.")
    if made is None:
        return NOT_VALID
    actor = Actor("device", str(device.id), name)
    refused = await house.journal.audit(
        tenant_id,
        e.DeviceEnrolled(
            actor=actor,
            at=STAMPED,
            device=device.id,
            name=name,
            client=client.id,
            installer=installer.id,
            key=key,
            proof=proof,
            address=address,
        ),
    )
    if refused is not None:
        return refused
    house.live.roster.add(roster_device(tenant_id, device))
    house.live.news.tell(tenant_id, News("device", device.id))
    return Enrolled(
        device=device.id,
        name=name,
        server=house.config.deployment,
        tenant=tenant.name,
        client=client.name,
        link=f"{house.config.url.replace('http', 'ws', 1)}/agent/link",
        key=house.record.vkey(tenant_id),
    )


def roster_device(tenant: UUID, row: Device) -> RosterDevice:
    """Return a catalogue row as a device of the roster."""
    return RosterDevice(
        id=row.id,
        tenant=tenant,
        client=row.client,
        name=row.name,
        key=row.key,
        enrolled_at=row.enrolled_at,
        installer_label=row.installer_label,
        last_seen=row.last_seen,
        facts=msgspec.json.decode(row.facts, type=Facts) if row.facts is not None else None,
        facts_at=row.last_seen,
    )
