"""What plugins learn outside and the core acts on: sign-ins that ended, members who left.

Durable before the plugin's call returns, and the same news twice does no harm: the second time there is nothing left to end.
"""

from uuid import UUID

from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER
from caisey_core.services import members, provided, tenancy
from caisey_core.services.house import House, log
from caisey_core.services.journal import STAMPED
from caisey_hookspecs import Change, Unavailable

NOT_NOW = "The record cannot be written now."


async def heard(house: House, tenant_id: UUID, plugin: str, change: Change) -> None:
    """Act on a plugin's news. Raises Unavailable if that cannot be made durable now: the plugin's source has to tell it again."""
    tenant = await house.catalogue.tenants.by_id(tenant_id)
    if tenant is None or not change.reference:
        return
    if house.journal.held:
        raise Unavailable(NOT_NOW)
    match change.subject:
        case "session-ended":
            await _session_ended(house, tenant, plugin, change.reference)
        case "member-removed":
            await _member_removed(house, tenant, plugin, change.reference)
        case _:
            log.info("a plugin told what nobody here acts on", plugin=plugin, subject=change.subject)


async def _session_ended(house: House, tenant: Tenant, plugin: str, reference: str) -> None:
    house.bearers.end(tenant.id, session=reference)
    ended = set(await house.catalogue.sign_ins.end_provider_sessions(tenant.id, plugin, reference))
    if not ended and (row := await provided.known(house, tenant, plugin, reference)) is not None:
        ended = {row.id} if await house.catalogue.sign_ins.end_sessions_of(tenant.id, row.id, plugin) else set()
    for member in sorted(ended):
        await _signed_out(house, tenant, plugin, member)


async def _member_removed(house: House, tenant: Tenant, plugin: str, subject: str) -> None:
    row = await provided.known(house, tenant, plugin, subject)
    if row is None or not row.active:
        return
    if not await _has_another_way(house, tenant, plugin, row):
        refused = await members.close_account(house, tenant.id, SERVER, row, plugin)
        if refused is None:
            return
        if refused.status == 503:
            raise Unavailable(NOT_NOW)
        log.warning("a member who left the provider stays", plugin=plugin, reason=refused.reason)
    if await house.catalogue.sign_ins.end_sessions_of(tenant.id, row.id):
        await _signed_out(house, tenant, plugin, row.id)


async def _has_another_way(house: House, tenant: Tenant, plugin: str, row: MemberRow) -> bool:
    """Say whether the member can still sign in by another plugin that the tenant uses."""
    ways = {row.plugin, *await house.catalogue.ways.of(tenant.id, row.id)} - {plugin}
    return not ways.isdisjoint(await house.plugins.enabled(tenant.id, "identity"))


async def _signed_out(house: House, tenant: Tenant, plugin: str, member: UUID) -> None:
    house.bearers.end(tenant.id, member=member)
    await tenancy.rights_changed(house, tenant.id)
    event = e.SignedOut(actor=SERVER, at=STAMPED, member=member, by_plugin=plugin)
    if await house.journal.audit(tenant.id, event) is not None:
        raise Unavailable(NOT_NOW)
