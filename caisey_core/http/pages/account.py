"""The member's own account."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.forms import form
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.http.who import browser_of
from caisey_core.services import account
from caisey_core.services.house import House


class NewPassword(Struct, frozen=True, kw_only=True):
    """What was typed."""

    current: str = ""
    password: str = ""
    again: str = ""


async def _shown(
    house: House, request: AnyRequest, member: Member, refused: Refused | None = None, *, done: bool = False
) -> Response[bytes]:
    view = await account.page(house, member, browser_of(house.config, request))
    return await page(
        house,
        request,
        member,
        "account.html",
        nav="account",
        status=refused.status if refused else 200,
        view=view,
        refused=refused,
        done=done,
    )


@get("/account")
async def show(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the account."""
    return await _shown(house, request, member)


@post("/account/password", status_code=200)
async def set_password(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Set the password; a refusal shows the form again, without what was typed: passwords never travel back."""
    typed = await form(request, NewPassword)
    browser = browser_of(house.config, request)
    refused = await account.set_password(house, member, browser, typed.current, typed.password, typed.again)
    return await _shown(house, request, member, refused, done=refused is None)


handlers = [show, set_password]
