"""Signing in at a provider: the browser is sent there, and comes back with an answer for the attempt that it left with.

An attempt is one browser's, can be used once and lasts ten minutes. What the plugin wants back (nonce, code verifier) is sealed
under the token in that browser's cookie, so that neither the database nor another browser can read it (RFC 9700, 4.7 and 2.1.1).
"""

import secrets
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from caisey_core.catalogue.sign_ins import SignInAttempt
from caisey_core.domain.refused import Refused
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import plugin_doors, sign_in, tenancy
from caisey_core.services.house import House
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.sign_in import LIMIT_SECONDS, is_web_address, not_working
from caisey_core.services.tokens import hash_of, new_token, seal_under, unseal_under
from caisey_core.services.views import SentAway, SignedIn
from caisey_hookspecs import Attempt, Identity, IncomingRequest, Rejected, SignInForm, SignInRedirect, Unavailable

ATTEMPT_SECONDS: Final = 600
LARGEST_STATE: Final = 4096  # bytes
CALLBACK: Final = "callback"
GONE: Final = Refused(
    "This sign-in was used already, took longer than ten minutes, or was begun in another browser.",
    "Sign in again from here.",
    422,
)


class _Kept(Struct, frozen=True):
    """What an attempt keeps until the browser is back."""

    state: bytes
    going: str
    fresh: bool


async def start(
    house: House, slug: str, plugin: str, going: str, address: str, browser: str, *, fresh: bool
) -> SentAway | Refused:
    """Send a browser to a plugin's provider.

    `browser` is the token in its cookie for attempts, `going` the page that the person wanted; with `fresh` they have to prove
    who they are even if the provider still knows them.
    """
    refused = await plugin_doors.admit(
        house, slug, plugin, address
    )  # each attempt is a row: nobody fills the database with them
    if refused is not None:
        return refused
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    if plugin not in await house.plugins.enabled(tenant.id, "identity"):
        return NOT_FOUND
    handle = secrets.token_urlsafe(32)
    attempt = Attempt(address=address, return_url=sign_in.return_url(house, slug, plugin), handle=handle, fresh=fresh)
    try:
        asked = await house.plugins.call(
            tenant.id,
            plugin,
            Identity,
            lambda identity: identity.begin(attempt),
            LIMIT_SECONDS,
            expect=(SignInForm, SignInRedirect),
        )
    except (Unavailable, Rejected, PluginFault) as error:
        return not_working(error)
    if isinstance(asked, SignInForm):
        return NOT_FOUND  # this way has a form on the sign-in page, and no other page
    if not is_web_address(asked.url) or len(asked.state) > LARGEST_STATE:
        return not_working("the plugin gave an address that no browser can be sent to.")
    browser = browser if browser.startswith("cai_") else new_token()[0]
    now = house.clock.now()
    kept = SignInAttempt(
        id=uuid4(),
        plugin=plugin,
        handle_hash=hash_of(handle),
        browser_hash=hash_of(browser),
        sealed=seal_under(browser, f"attempt {handle}", msgspec.msgpack.encode(_Kept(asked.state, going, fresh))),
        expires_at=now + ATTEMPT_SECONDS * 1_000_000,
    )
    await house.catalogue.sign_ins.create_attempt(tenant.id, kept, now)
    return SentAway(url=asked.url, browser=browser)


async def finish(
    house: House, slug: str, plugin: str, request: IncomingRequest, attempts: str, signed_in: str
) -> SignedIn | Refused:
    """Judge what a provider's answer says about the browser that brought it.

    `attempts` and `signed_in` are the tokens in that browser's two cookies.
    """
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant
    if plugin not in await house.plugins.enabled(tenant.id, "identity"):
        return NOT_FOUND
    handles = [value for name, value in request.query if name == "state"]
    if len(handles) != 1 or not attempts:
        return GONE
    sealed = await house.catalogue.sign_ins.take_attempt(
        tenant.id, plugin, hash_of(handles[0]), hash_of(attempts), house.clock.now()
    )
    opened = unseal_under(attempts, f"attempt {handles[0]}", sealed) if sealed is not None else None
    if opened is None:
        return GONE
    kept = msgspec.msgpack.decode(opened, type=_Kept)
    attempt = Attempt(
        request=request,
        state=kept.state,
        address=request.address,
        return_url=sign_in.return_url(house, slug, plugin),
        handle=handles[0],
        fresh=kept.fresh,
    )
    outcome = await sign_in.judge(house, tenant, plugin, attempt, signed_in)
    if isinstance(outcome, SignInForm):
        return not_working("it asked for a form where none can be shown.")
    return msgspec.structs.replace(outcome, going=kept.going) if isinstance(outcome, SignedIn) else outcome
