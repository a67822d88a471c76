"""Signing in: a tenant's identity plugins say who it is, the core says what they may do and keeps the browser signed in."""

from uuid import UUID, uuid4

from caisey_core.catalogue.sign_ins import BrowserSession, SignInLink
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import members
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.tokens import hash_of, new_token
from caisey_core.services.views import SignedIn, SignInPage, Way
from caisey_hookspecs import (
    Attempt,
    Identified,
    Identity,
    NotIdentified,
    Rejected,
    SignInForm,
    SignInRedirect,
    Unavailable,
)

LIMIT_SECONDS = 10.0
LINK = "link"
LINK_HOURS = 24
TOUCH_US = 60_000_000  # "last used" is written once a minute at most
HOUR_US = 3600_000_000
SIGN_IN_FIRST = Refused("You are not signed in.", "Sign in and try again.", 401)
LINK_USED = Refused(
    "This sign-in link was used already, has expired or was replaced.", "Ask whoever sent it for a new one.", 404
)


async def begin(house: House, slug: str, address: str) -> SignInPage | Refused:
    """Return a tenant's ways to sign in. One that does not answer is shown as such."""
    tenant = await house.catalogue.tenants.by_slug(slug)
    if tenant is None:
        return NOT_FOUND
    ways = []
    for plugin in await house.plugins.enabled(tenant.id, "identity"):
        title = house.plugins.title(plugin)
        attempt = Attempt(address=address, return_url=f"{house.config.url}/t/{slug}/plugins/{plugin}/callback")
        try:
            asked = await house.plugins.call(
                tenant.id,
                plugin,
                Identity,
                lambda identity, attempt=attempt: identity.begin(attempt),  # type: ignore[misc]
                LIMIT_SECONDS,
                expect=(SignInForm, SignInRedirect),
            )
        except (Unavailable, Rejected, PluginFault) as error:
            ways.append(Way(plugin=plugin, title=title, form=None, trouble=str(error)))
            continue
        if isinstance(asked, SignInForm):
            ways.append(Way(plugin=plugin, title=title, form=asked))
        else:
            ways.append(Way(plugin=plugin, title=title, form=None, redirect=asked.url))
    return SignInPage(tenant_slug=slug, tenant_name=tenant.name, ways=tuple(ways))


async def complete(
    house: House, slug: str, plugin: str, fields: tuple[tuple[str, str], ...], address: str, browser: str
) -> SignedIn | SignInForm | Refused:
    """Judge what a person typed. A form as answer asks again and says why. `browser` is the token in this browser's cookie."""
    tenant = await house.catalogue.tenants.by_slug(slug)
    if tenant is None or plugin not in await house.plugins.enabled(tenant.id, "identity"):
        return NOT_FOUND
    attempt = Attempt(fields=fields, address=address, return_url=f"{house.config.url}/t/{slug}/plugins/{plugin}/callback")
    try:
        said = await house.plugins.call(
            tenant.id,
            plugin,
            Identity,
            lambda identity: identity.complete(attempt),
            LIMIT_SECONDS,
            expect=(Identified, NotIdentified, SignInForm, SignInRedirect),
        )
    except (Unavailable, Rejected, PluginFault) as error:
        return Refused(f"This way to sign in does not work now: {error}", "Try again later, or use another way.", 503)
    if isinstance(said, NotIdentified) or (isinstance(said, SignInForm) and said.complaint):
        failed = e.SignInFailed(actor=Actor("stranger", "", address), at=STAMPED, way=plugin, address=address)
        await house.journal.audit(tenant.id, failed)
    if isinstance(said, SignInForm):
        return said
    if isinstance(said, SignInRedirect):
        return Refused("This way to sign in wants another page.", "Use another way.", 503)
    if isinstance(said, NotIdentified):
        wait = said.retry_after_seconds
        return Refused(
            said.reason, "Check what you typed and try again.", 422 if wait is None else 429, retry_after_seconds=wait
        )
    row = await house.catalogue.members.by_subject(tenant.id, plugin, said.subject)
    if row is None or not row.active:
        return Refused("You are not a member here.", "Ask an admin of your company to add you.", 403)
    return await _let_in(house, tenant, members.member_of(tenant, row), plugin, address, browser)


async def _let_in(house: House, tenant: Tenant, member: Member, way: str, address: str, browser: str) -> SignedIn | Refused:
    """Keep a browser signed in under a new token. The one that it had ends: nobody who knows it comes along."""
    token, digest = new_token()
    now = house.clock.now()
    refused = await house.journal.audit(
        tenant.id, e.SignedIn(actor=member.actor, at=STAMPED, member=member.id, way=way, address=address)
    )
    if refused is not None:
        return refused
    if browser and (before := await house.catalogue.sign_ins.session_by_hash(hash_of(browser))) is not None:
        await house.catalogue.sign_ins.delete_session(before[0], before[1].token_hash)
    await house.catalogue.sign_ins.create_session(
        tenant.id,
        BrowserSession(
            id=uuid4(),
            member=member.id,
            token_hash=digest,
            way=way,
            created_at=now,
            last_used_at=now,
            idle_until=now + house.config.sign_in_idle_minutes * 60_000_000,
            expires_at=now + house.config.sign_in_hours * HOUR_US,
        ),
    )
    return SignedIn(token=token, member=member)


async def new_link(house: House, tenant: UUID, by: Actor, member: UUID, *, reusable: bool) -> str:
    """Make a link that signs this member in: once, or as often as wanted until it expires. Returns its address."""
    token, digest = new_token()
    expires_at = house.clock.now() + LINK_HOURS * HOUR_US
    await house.catalogue.sign_ins.create_link(
        tenant,
        SignInLink(id=uuid4(), member=member, token_hash=digest, expires_at=expires_at, reusable=reusable, used_at=None),
    )
    await house.journal.audit(
        tenant, e.SignInLinkCreated(actor=by, at=STAMPED, member=member, expires_at=expires_at, reusable=reusable)
    )
    return f"{house.config.url}/sign-in/{token}"


async def by_link(house: House, token: str, address: str, browser: str) -> SignedIn | Refused:
    """Sign in with a link. A used, expired or unknown one looks the same. `browser` is the token in this browser's cookie."""
    found = await house.catalogue.sign_ins.use_link(hash_of(token), house.clock.now())
    if found is None:
        return LINK_USED
    tenant_id, link = found
    tenant = await house.catalogue.tenants.by_id(tenant_id)
    if tenant is None:
        return LINK_USED
    member = await members.by_id(house, tenant, link.member)
    if isinstance(member, Refused):
        return LINK_USED
    return await _let_in(house, tenant, member, LINK, address, browser)


async def by_cookie(house: House, token: str) -> Member | None:
    """Return whose browser this is; None once it was idle or signed in for too long."""
    found = await house.catalogue.sign_ins.session_by_hash(hash_of(token))
    if found is None:
        return None
    tenant_id, session = found
    now = house.clock.now()
    if now >= session.expires_at or now >= session.idle_until:
        await house.catalogue.sign_ins.delete_session(tenant_id, session.token_hash)
        return None
    tenant = await house.catalogue.tenants.by_id(tenant_id)
    if tenant is None:
        return None
    member = await members.by_id(house, tenant, session.member)
    if isinstance(member, Refused):
        return None
    if now - session.last_used_at > TOUCH_US:
        idle_until = now + house.config.sign_in_idle_minutes * 60_000_000
        await house.catalogue.sign_ins.touch_session(tenant_id, session.token_hash, now, idle_until)
    return member


async def sign_out(house: House, member: Member, token: str) -> None:
    """End this browser's session."""
    await house.catalogue.sign_ins.delete_session(member.tenant, hash_of(token))
    await house.journal.audit(member.tenant, e.SignedOut(actor=member.actor, at=STAMPED, member=member.id))
