"""A member's own account: the password of the next sign-in."""

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import bad_input
from caisey_core.services.sign_in import LIMIT_SECONDS, LINK
from caisey_core.services.tokens import hash_of
from caisey_core.services.views import AccountPage
from caisey_hookspecs import Attempt, Identified, Identity, NotIdentified, Rejected, SignInForm, SignInRedirect, Unavailable


async def page(house: House, member: Member, browser: str) -> AccountPage:
    """Return what the member can change. `browser` is the token in this browser's cookie."""
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None  # the browser is signed in as this member
    return AccountPage(
        name=row.name,
        email=row.email,
        way=house.plugins.title(row.plugin),
        by_link=await _by_link(house, browser),
    )


async def set_password(house: House, member: Member, browser: str, current: str, password: str, again: str) -> Refused | None:
    """Set the password and sign the member's other browsers out. The current one is asked for, except right after a link."""
    if password != again:
        return bad_input("again", "The two new passwords differ.", "Type the same password twice.")
    row = await house.catalogue.members.by_id(member.tenant, member.id)
    assert row is not None
    try:
        if not await _by_link(house, browser) and not await _is_right(house, member, row.plugin, row.subject, current):
            return bad_input("current", "This is not your current password.", "Type it again, or ask an admin for a new link.")
        await house.plugins.call(
            member.tenant,
            row.plugin,
            Identity,
            lambda identity: identity.set_password(row.subject, password),
            LIMIT_SECONDS,
            expect=type(None),
        )
    except Rejected as error:
        return bad_input("password", str(error), "Choose another password.")
    except (Unavailable, PluginFault) as error:
        return Refused(f"The password could not be set: {error}", "Try again later.", 503)
    await house.catalogue.sign_ins.delete_other_sessions(member.tenant, member.id, hash_of(browser))
    return await house.journal.audit(member.tenant, e.PasswordSet(actor=member.actor, at=STAMPED, member=member.id))


async def _by_link(house: House, browser: str) -> bool:
    found = await house.catalogue.sign_ins.session_by_hash(hash_of(browser))
    return found is not None and found[1].way == LINK


async def _is_right(house: House, member: Member, plugin: str, subject: str, password: str) -> bool:
    """Ask the plugin by its own sign-in, so that guessing here is throttled like guessing there."""

    async def sign_in(identity: Identity) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        asked = await identity.begin(Attempt())
        if isinstance(asked, SignInRedirect):
            raise Rejected("Passwords are not kept here; change yours where you sign in.")
        fields = tuple((field.name, password if field.kind == "password" else subject) for field in asked.fields)
        return await identity.complete(Attempt(fields=fields))

    answers = (Identified, NotIdentified, SignInForm, SignInRedirect)
    said = await house.plugins.call(member.tenant, plugin, Identity, sign_in, LIMIT_SECONDS, expect=answers)
    if isinstance(said, NotIdentified):
        raise Rejected(said.reason)
    return isinstance(said, Identified) and said.subject == subject
