"""Dangerous settings: who signed in some time ago signs in again first, so that a browser left open changes nothing.

By browser only. A program's token is asked for its own scope instead, at the door through which it comes.
"""

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services.house import House

AGAIN = Refused(
    "You signed in a while ago, and this is a dangerous setting.",
    "Sign in again, then repeat it here: what you typed stays.",
    403,
    sign_in_again=True,
)


def stale(house: House, member: Member) -> bool:
    """Say whether the member must sign in again before a dangerous setting."""
    longest = house.config.sign_in_again_minutes * 60_000_000
    return member.proved_at is not None and house.clock.now() - member.proved_at > longest


def refuse_unless_sure(house: House, member: Member, what: May) -> Refused | None:
    """Return the refusal for a member whose role does not allow it, or who signed in too long ago for it."""
    if (refused := refuse_unless(member, what)) is not None:
        return refused
    return AGAIN if stale(house, member) else None
