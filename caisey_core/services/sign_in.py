"""Signing in: a tenant's identity plugins say who it is, the core says what they may do and keeps the browser signed in."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from caisey_core.catalogue.sign_ins import BrowserSession, SignInLink
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import members, provided, tenancy
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.tokens import hash_of, new_token, seal_under, unseal_under
from caisey_core.services.views import SignedIn, SignInPage, Way
from caisey_hookspecs import (
    Attempt,
    Identified,
    Identity,
    NotIdentified,
    Rejected,
    SignInForm,
    SignInRedirect,
    SignOut,
    Unavailable,
)

LIMIT_SECONDS = 10.0
LINK = "link"
SIGN_OUT: Final = "sign-out"  # what a hint is sealed for
LARGEST_HINT: Final = 16 * 1024  # bytes
LONGEST_ADDRESS: Final = 8000  # characters; browsers and proxies take about so much
LINK_HOURS = 24
TOUCH_US = 60_000_000  # "last used" is written once a minute at most
HOUR_US = 3600_000_000
SIGN_IN_FIRST = Refused("You are not signed in.", "Sign in and try again.", 401)
TRY_LATER = "Try again later, or use another way. An admin of your company reads why on the page Plugins."
LINK_USED = Refused(
    "This sign-in link was used already, has expired or was replaced.", "Ask whoever sent it for a new one.", 404
)


def return_url(house: House, slug: str, plugin: str) -> str:
    """Return where a provider sends a browser back to: for each tenant and plugin another address, so that answers cannot be mixed
    up (RFC 9700, 4.4)."""
    return f"{house.config.url}/t/{slug}/plugins/{plugin}/callback"


def is_web_address(url: str) -> bool:
    """Say whether a browser can be sent there: an absolute address of the web, without room for another header."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return plain and len(url) <= LONGEST_ADDRESS and parts.scheme in ("https", "http") and bool(parts.hostname)


def not_working(error: Exception | str) -> Refused:
    """Return the refusal of a way that does not work now. What a plugin raised is for admins, and strangers read this."""
    words = "." if isinstance(error, Exception) else f": {error}"
    return Refused(f"This way to sign in does not work now{words}", TRY_LATER, 503)


async def begin(house: House, slug: str, address: str) -> SignInPage | Refused:
    """Return a tenant's ways to sign in. One that does not answer is shown as such, and holds up no other."""
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    plugins = await house.plugins.enabled(tenant.id, "identity")
    ways = await asyncio.gather(*(_way(house, tenant, plugin, address) for plugin in plugins))
    return SignInPage(tenant_slug=slug, tenant_name=tenant.name, ways=tuple(ways))


async def _way(house: House, tenant: Tenant, plugin: str, address: str) -> Way:
    title = house.plugins.title(plugin)
    attempt = Attempt(address=address, return_url=return_url(house, tenant.slug, plugin))
    try:
        asked = await house.plugins.call(
            tenant.id,
            plugin,
            Identity,
            lambda identity: identity.begin(attempt),
            LIMIT_SECONDS,
            expect=(SignInForm, SignInRedirect),
        )
    except (Unavailable, Rejected, PluginFault):
        return Way(plugin=plugin, title=title, form=None, trouble=TRY_LATER)
    if isinstance(asked, SignInForm):
        return Way(plugin=plugin, title=title, form=asked)
    return Way(plugin=plugin, title=asked.title or title, form=None, redirect=f"/t/{tenant.slug}/sign-in/{plugin}")


async def complete(
    house: House, slug: str, plugin: str, fields: tuple[tuple[str, str], ...], address: str, browser: str
) -> SignedIn | SignInForm | Refused:
    """Judge what a person typed. A form as answer asks again and says why. `browser` is the token in this browser's cookie."""
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    if plugin not in await house.plugins.enabled(tenant.id, "identity"):
        return NOT_FOUND
    attempt = Attempt(fields=fields, address=address, return_url=return_url(house, slug, plugin))
    return await judge(house, tenant, plugin, attempt, browser)


async def judge(house: House, tenant: Tenant, plugin: str, attempt: Attempt, browser: str) -> SignedIn | SignInForm | Refused:
    """Ask a plugin who this is, and let in whom it knows. `browser` is the token in this browser's cookie."""
    try:
        said = await house.plugins.call(
            tenant.id,
            plugin,
            Identity,
            lambda identity: identity.complete(attempt),
            LIMIT_SECONDS,
            expect=(Identified, NotIdentified, SignInForm, SignInRedirect),
            from_outside=True,
        )
    except (Unavailable, Rejected, PluginFault) as error:
        return not_working(error)
    if isinstance(said, NotIdentified) or (isinstance(said, SignInForm) and said.complaint):
        address = attempt.address
        failed = e.SignInFailed(actor=Actor("stranger", "", address), at=STAMPED, way=plugin, address=address)
        await house.journal.audit(tenant.id, failed)
    if isinstance(said, SignInForm):
        return said
    if isinstance(said, SignInRedirect):
        return not_working("it wants to send you elsewhere.")
    if isinstance(said, NotIdentified):
        wait = said.retry_after_seconds
        todo = "Sign in again." if attempt.request is not None else "Check what you typed and try again."
        return Refused(said.reason, said.what_to_do or todo, 422 if wait is None else 429, retry_after_seconds=wait)
    member = await provided.member_of(house, tenant, plugin, said)
    if isinstance(member, Refused):
        return member
    proved = attempt.request is None or attempt.fresh
    return await _let_in(house, tenant, member, plugin, attempt.address, browser, said, proved=proved)


async def _let_in(
    house: House,
    tenant: Tenant,
    member: Member,
    way: str,
    address: str,
    browser: str,
    said: Identified | None = None,
    *,
    proved: bool = True,
) -> SignedIn | Refused:
    """Keep a browser signed in under a new token. The one that it had ends: nobody who knows it comes along.

    `said` is what the plugin said, where one did; `proved` is False where a provider may only have remembered the person.
    """
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
            proved_at=now if proved else 0,
            provider_session=said.provider_session if said is not None else "",
            sign_out_hint=_hint(token, said.sign_out_hint) if said is not None else None,
        ),
    )
    return SignedIn(token=token, member=member)


def _hint(token: str, hint: str) -> bytes | None:
    """Seal what the plugin wants back at the sign-out, so that only this browser's cookie opens it."""
    kept = hint.encode(errors="replace")
    return seal_under(token, SIGN_OUT, kept) if 0 < len(kept) <= LARGEST_HINT else None


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


async def by_link(house: House, token: str, address: str, browsers: Mapping[str, str]) -> SignedIn | Refused:
    """Sign in with a link. A used, expired or unknown one looks the same; a suspended company's is not used up.

    `browsers` are the tokens in this browser's cookies, by tenant.
    """
    of = await house.catalogue.sign_ins.tenant_of_link(hash_of(token))
    if of is None:
        return LINK_USED
    tenant = await tenancy.of(house, of)
    if isinstance(tenant, Refused):
        return tenant
    found = await house.catalogue.sign_ins.use_link(hash_of(token), house.clock.now())
    if found is None:
        return LINK_USED
    member = await members.by_id(house, tenant, found[1].member)
    if isinstance(member, Refused):
        return LINK_USED
    return await _let_in(house, tenant, member, LINK, address, browsers.get(tenant.slug, ""))


async def by_cookie(house: House, token: str) -> Member | None:
    """Return whose browser this is; None once it was idle or signed in for too long."""
    found = await house.catalogue.holders.of(hash_of(token))
    if found is None:
        return None
    session, tenant = found.session, found.tenant
    now = house.clock.now()
    if now >= session.expires_at or now >= session.idle_until:
        await house.catalogue.sign_ins.delete_session(tenant.id, session.token_hash)
        return None
    if tenant.suspended_at is not None or not found.member.active:
        return None
    if now - session.last_used_at > TOUCH_US:
        idle_until = now + house.config.sign_in_idle_minutes * 60_000_000
        await house.catalogue.sign_ins.touch_session(tenant.id, session.token_hash, now, idle_until)
    return members.member_of(tenant, found.member, session.proved_at)


async def sign_out(house: House, member: Member, token: str) -> str:
    """End this browser's session. Returns the provider's address for signing out there too, or an empty text."""
    found = await house.catalogue.sign_ins.session_by_hash(hash_of(token))
    await house.catalogue.sign_ins.delete_session(member.tenant, hash_of(token))
    await tenancy.rights_changed(house, member.tenant)
    await house.journal.audit(member.tenant, e.SignedOut(actor=member.actor, at=STAMPED, member=member.id))
    if found is None or found[1].way not in await house.plugins.enabled(member.tenant, "identity"):
        return ""
    session = found[1]
    hint = unseal_under(token, SIGN_OUT, session.sign_out_hint) if session.sign_out_hint is not None else None
    ended = SignOut(
        provider_session=session.provider_session,
        hint=(hint or b"").decode(errors="replace"),
        return_url=f"{house.config.url}/t/{member.tenant_slug}/sign-in",
    )
    try:
        address = await house.plugins.call(
            member.tenant,
            session.way,
            Identity,
            lambda identity: identity.sign_out(ended),
            LIMIT_SECONDS,
            expect=(str, type(None)),
        )
    except (Unavailable, Rejected, PluginFault):
        return ""  # our own sign-out is done; the provider's is a courtesy
    return address if address and is_web_address(address) else ""
