"""The page *Plugins*: what is installed and how it does; one plugin with its settings, to try, save, enable and disable."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member
from caisey_core.http.pages.answers import Done, answer, given
from caisey_core.http.pages.plugin_form import fields, with_row, without_row
from caisey_core.http.problems import RefusedError
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.services import plugins
from caisey_core.services.house import House
from caisey_core.services.plugins import ANYWAY, Given, SettingsForm
from caisey_core.services.views import PluginDetail, PluginTest

House_ = NamedDependency[House]
Member_ = NamedDependency[Member]


@get("/plugins")
async def list_plugins(request: AnyRequest, house: House_, member: Member_) -> Response[bytes]:
    """Show what is installed and how it does."""
    view = given(await plugins.page(house, member))
    return await page(house, request, member, "plugins/list.html", nav="plugins", view=view)


async def _shown(
    house: House,
    request: AnyRequest,
    member: Member,
    name: str,
    sent: Given | None = None,
    *,
    form: SettingsForm | None = None,
    refused: Refused | None = None,
    tested: PluginTest | None = None,
) -> Response[bytes]:
    """Show a plugin; with what was sent, where it is shown again. Secrets that were typed do not travel back."""
    detail = given(await plugins.detail(house, member, name))
    form = form or await plugins.form(house, member, name, sent)
    return await page(
        house,
        request,
        member,
        "plugins/detail.html",
        nav="plugins",
        status=refused.status if refused else 200,
        detail=detail,
        plugin=detail.plugin,
        fields=fields(form.form, form.entered, refused.wrong if refused else ()),
        allow_private=detail.allow_private if sent is None else sent.allow_private,
        refused=refused,
        tested=tested,
        typed_secret=sent is not None and detail.plugin.has_settings,
        anyway=refused is not None and refused.field == ANYWAY,
        may_change=member.may(May.CHANGE_PLUGINS),
    )


@get("/plugins/{plugin:str}")
async def show_plugin(request: AnyRequest, plugin: FromPath[str], house: House_, member: Member_) -> Response[bytes]:
    """Show one plugin."""
    return await _shown(house, request, member, plugin)


@post("/plugins/{plugin:str}", status_code=200)
async def change_plugin(request: AnyRequest, plugin: FromPath[str], house: House_, member: Member_) -> Response[Any]:
    """Do what the pressed button says: one form, so that nothing that was typed is lost and no script is needed."""
    sent = await request.form()
    act, _, where = str(sent.get("_act", "save")).partition(":")
    new = Given(fields=sent, allow_private=bool(sent.get("_allow_private")))
    if act in ("add", "remove"):
        given(await plugins.usable(house, member, plugin))
        form = await plugins.form(house, member, plugin, new)
        changed = (with_row if act == "add" else without_row)(form.form, form.entered, where)
        return await _shown(house, request, member, plugin, new, form=msgspec.structs.replace(form, entered=changed))
    outcome = await _act(house, member, plugin, act, where, new, str(sent.get("_version", "")))
    if isinstance(outcome, PluginTest):
        if _by_script(request):
            return Response(msgspec.json.encode(outcome), media_type="application/json")
        return await _shown(house, request, member, plugin, new, tested=outcome)
    if isinstance(outcome, Refused):
        if _by_script(request) or (outcome.status in (403, 404) and not outcome.sign_in_again):
            raise RefusedError(outcome)
        return await _shown(house, request, member, plugin, new, refused=outcome)
    address = f"/t/{member.tenant_slug}/plugins/{outcome.plugin.name}"
    if not _by_script(request):
        return Redirect(address, status_code=HTTP_303_SEE_OTHER)
    return answer(request, Done(said=_said(act, outcome), go=address), address)


async def _act(
    house: House, member: Member, plugin: str, act: str, where: str, new: Given, version: str
) -> PluginDetail | PluginTest | Refused:
    match act:
        case "test":
            return await plugins.test(house, member, plugin, new)
        case "disable":
            return await plugins.disable(house, member, plugin)
        case "default":
            return await plugins.prefer(house, member, plugin, where)
    seen = int(version) if version.isdecimal() and version.isascii() and len(version) < 16 else -1
    enable, anyway = act.startswith("enable"), act.endswith("-anyway")
    return await plugins.save(house, member, plugin, new, seen, enable=enable, anyway=anyway)


def _by_script(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _said(act: str, detail: PluginDetail) -> str:
    title = detail.plugin.title
    if act == "disable":
        return f"{title} is disabled. Its settings are kept."
    if act == "default":
        return f"{title} comes first now."
    return f"{title} is enabled." if act.startswith("enable") else "Saved. It works with these settings from now on."


handlers = [list_plugins, show_plugin, change_plugin]
