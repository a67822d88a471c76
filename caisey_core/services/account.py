"""A member's own account: the password of the next sign-in, and what is asked for besides it."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from caisey_core.catalogue.members import MemberRow
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import tenancy
from caisey_core.services.house import House, log
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import bad_input
from caisey_core.services.sign_in import LIMIT_SECONDS, LINK
from caisey_core.services.tokens import hash_of
from caisey_core.services.views import AccountPage, FactorView
from caisey_hookspecs import (
    Attempt,
    FactorAdded,
    FactorAnswer,
    FactorKind,
    Factors,
    FactorSetup,
    Identified,
    Identity,
    NotIdentified,
    Rejected,
    SignInForm,
    SignInRedirect,
    Unavailable,
)

R = TypeVar("R")


async def page(house: House, member: Member, browser: str) -> AccountPage:
    """Return what the member can change. `browser` is the token in this browser's cookie."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None  # the browser is signed in as this member
    try:
        own = await _ask(house, member, row.plugin, lambda found: found.factors(row.subject, _origin(house)), Factors)
    except (Unavailable, Rejected, PluginFault) as error:
        log.warning("an identity plugin failed", plugin=row.plugin, error=str(error))
        own = Factors()
    return AccountPage(
        name=row.name,
        email=row.email,
        way=house.plugins.title(row.plugin),
        by_link=await _by_link(house, browser),
        kinds=own.kinds,
        factors=tuple(
            FactorView(
                id=one.id,
                kind=one.kind,
                title=one.title,
                added_at=_microseconds(one.added_at),
                last_used_at=_microseconds(one.last_used_at) if one.last_used_at is not None else None,
            )
            for one in own.factors
        ),
        recovery_codes=own.recovery_codes,
    )


async def set_password(house: House, member: Member, browser: str, current: str, password: str, again: str) -> Refused | None:
    """Set the password and sign the member's other browsers out. The current one is asked for, except right after a link."""
    if password != again:
        return bad_input("again", "The two new passwords differ.", "Type the same password twice.")
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    if (refused := await _confirmed(house, member, row, browser, current)) is not None:
        return refused
    try:
        await _ask(house, member, row.plugin, lambda found: found.set_password(row.subject, password), type(None))
    except Rejected as error:
        return bad_input("password", str(error), "Choose another password.")
    except (Unavailable, PluginFault) as error:
        return _later(error)
    await house.catalogue.sign_ins.delete_other_sessions(member.tenant, member.id, hash_of(browser))
    await tenancy.rights_changed(house, member.tenant)
    return await house.journal.audit(member.tenant, e.PasswordSet(actor=member.actor, at=STAMPED, member=member.id))


async def new_factor(house: House, member: Member, browser: str, kind: FactorKind, current: str) -> FactorSetup | Refused:
    """Begin to set a factor up."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    if (refused := await _confirmed(house, member, row, browser, current)) is not None:
        return refused
    try:
        return await _ask(
            house, member, row.plugin, lambda found: found.new_factor(row.subject, row.name, kind, _origin(house)), FactorSetup
        )
    except Rejected as error:
        return Refused(str(error), "Choose another way.", 422)
    except (Unavailable, PluginFault) as error:
        return _later(error)


async def add_factor(house: House, member: Member, answer: FactorAnswer) -> FactorAdded | Refused:
    """Keep a factor whose answer is right: from now on the password alone is not enough."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    try:
        added = await _ask(
            house, member, row.plugin, lambda found: found.add_factor(row.subject, answer, _origin(house)), FactorAdded
        )
    except Rejected as error:
        return bad_input("answer", str(error), "")
    except (Unavailable, PluginFault) as error:
        return _later(error)
    refused = await house.journal.audit(
        member.tenant,
        e.FactorAdded(actor=member.actor, at=STAMPED, member=member.id, factor=added.factor.kind, title=added.factor.title),
    )
    return refused or added


async def remove_factor(house: House, member: Member, browser: str, factor: str, current: str) -> Refused | None:
    """Drop a factor."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    if (refused := await _confirmed(house, member, row, browser, current)) is not None:
        return refused
    try:
        own = await _ask(house, member, row.plugin, lambda found: found.factors(row.subject, _origin(house)), Factors)
        known = next((one for one in own.factors if one.id == factor), None)
        if known is None:
            return Refused("This does not open your account any more.", "Nothing needs to be done.")
        await _ask(house, member, row.plugin, lambda found: found.remove_factor(row.subject, factor), type(None))
    except (Rejected, Unavailable, PluginFault) as error:
        return _later(error)
    return await house.journal.audit(
        member.tenant,
        e.FactorRemoved(actor=member.actor, at=STAMPED, member=member.id, factor=known.kind, title=known.title),
    )


async def new_recovery_codes(house: House, member: Member, browser: str, current: str) -> tuple[str, ...] | Refused:
    """Replace the recovery codes; they are shown once."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    if (refused := await _confirmed(house, member, row, browser, current)) is not None:
        return refused
    try:
        codes: tuple[str, ...] = await _ask(
            house, member, row.plugin, lambda found: found.new_recovery_codes(row.subject), tuple
        )
    except Rejected as error:
        return Refused(str(error), "", 422)
    except (Unavailable, PluginFault) as error:
        return _later(error)
    refused = await house.journal.audit(member.tenant, e.RecoveryCodesMade(actor=member.actor, at=STAMPED, member=member.id))
    return refused or codes


def _origin(house: House) -> str:
    place = urlsplit(house.config.url)
    return f"{place.scheme}://{place.netloc}"


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _later(error: Exception) -> Refused:
    return Refused(f"Your account could not be changed: {error}", "Try again later.", 503)


async def _ask(
    house: House, member: Member, plugin: str, method: Callable[[Identity], Coroutine[Any, Any, R]], expect: type[R]
) -> R:
    return await house.plugins.call(member.tenant, plugin, Identity, method, LIMIT_SECONDS, expect=expect)


async def _confirmed(house: House, member: Member, row: MemberRow, browser: str, current: str) -> Refused | None:
    """Refuse without the current password, except right after a link."""
    try:
        if await _by_link(house, browser) or await _is_right(house, member, row.plugin, row.subject, current):
            return None
    except Rejected as error:
        return bad_input("current", str(error), "")
    except (Unavailable, PluginFault) as error:
        return _later(error)
    return bad_input("current", "This is not your current password.", "Type it again, or ask an admin for a new link.")


async def _by_link(house: House, browser: str) -> bool:
    found = await house.catalogue.sign_ins.session_by_hash(hash_of(browser))
    return found is not None and found[1].way == LINK


async def _is_right(house: House, member: Member, plugin: str, subject: str, password: str) -> bool:
    """Ask the plugin by its own sign-in, so that guessing here is throttled like guessing there."""

    async def sign_in(identity: Identity) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        asked = await identity.begin(Attempt())
        if isinstance(asked, SignInRedirect):
            raise Rejected("Passwords are not kept here; change yours where you sign in.")
        typed = [field for field in asked.fields if field.kind != "hidden"]
        fields = tuple((field.name, password if field.kind == "password" else subject) for field in typed)
        return await identity.complete(Attempt(fields=fields))

    answers = (Identified, NotIdentified, SignInForm, SignInRedirect)
    said = await house.plugins.call(member.tenant, plugin, Identity, sign_in, LIMIT_SECONDS, expect=answers)
    if isinstance(said, NotIdentified):
        raise Rejected(said.reason)
    if isinstance(said, SignInForm):
        return not said.complaint  # a further step is asked for: the password was right
    return isinstance(said, Identified) and said.subject == subject
