"""Plugins as a tenant's admins see and change them: at once, for their tenant alone, on every server of the database."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused, Wrong
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.plugin_host.choices import Opened, TenantChoices
from caisey_core.plugin_host.discovery import Installed
from caisey_core.plugin_host.entered import Sent, as_entered, from_form, from_json, without_secrets
from caisey_core.plugin_host.host import PluginFault
from caisey_core.plugin_host.judge import Judged, judge
from caisey_core.plugin_host.settings import Setting
from caisey_core.record.keys import KeyTrouble
from caisey_core.services.house import House
from caisey_core.services.journal import HELD, STAMPED
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.step_up import refuse_unless_sure
from caisey_core.services.views import PluginDetail, PluginTest, PluginTrouble, PluginView
from caisey_hookspecs import PluginInfo, Rejected, Unavailable

ANYWAY: Final = "anyway"  # the input that stores what the plugin could not be asked about
VERSION: Final = "version"
CHANGED_MEANWHILE: Final = Refused(
    "Somebody else changed this plugin after you opened it. Nothing was saved.",
    "Look at what is stored now and make your change again.",
    409,
    VERSION,
)


class Given(Struct, frozen=True, kw_only=True):
    """Settings as a browser's form or a program gave them, one of the two; and whether the plugin may reach private addresses."""

    fields: Sent | None = None
    json: Mapping[str, Any] | None = None
    allow_private: bool = False

    def entered(self, form: Sequence[Setting]) -> dict[str, Any]:
        """Return what was entered into this form."""
        return from_form(form, self.fields) if self.fields is not None else from_json(form, self.json or {})


class SettingsForm(Struct, frozen=True):
    """A form and what its inputs hold."""

    form: tuple[Setting, ...]
    entered: dict[str, Any]


class Usable(Struct, frozen=True):
    """A plugin that can be used, with what the tenant stored for it."""

    name: str
    installed: Installed
    info: PluginInfo
    chosen: TenantChoices

    @property
    def stored(self) -> Opened:
        """Return the tenant's choice; an empty one where it never chose."""
        return self.chosen.plugins.get(self.name) or Opened(self.name, enabled=self.info.enabled_by_default)

    @property
    def settings(self) -> dict[str, Any]:
        """Return what is stored, secrets in clear; nothing where it cannot be read."""
        return _tree(self.stored.settings)

    @property
    def visible(self) -> dict[str, Any]:
        """Return what is stored, secrets sealed, also where they cannot be opened any more."""
        return _tree(self.stored.stored)


def _tree(stored: bytes | None) -> dict[str, Any]:
    try:
        return {} if stored is None else msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.MsgspecError:  # damaged: its trouble is told, and entering all of it again replaces it
        return {}


# --- to see ------------------------------------------------------------------------------------------------------------


async def page(house: House, member: Member) -> tuple[PluginView, ...] | Refused:
    """Return what is installed or was, and how it does for this tenant."""
    if (refused := refuse_unless(member, May.SEE_PLUGINS)) is not None:
        return refused
    chosen = await house.plugins.chosen(member.tenant)
    views = [await _view(house, member, name, chosen) for name in house.plugins.installed]
    gone = [choice for name, choice in chosen.plugins.items() if name not in house.plugins.installed]
    return (*views, *(_missing(choice) for choice in gone))


async def detail(house: House, member: Member, name: str) -> PluginDetail | Refused:
    """Return one plugin with what is stored for it."""
    if (refused := refuse_unless(member, May.SEE_PLUGINS)) is not None:
        return refused
    chosen = await house.plugins.chosen(member.tenant)
    one = house.plugins.installed.get(name)
    if one is None:
        gone = chosen.plugins.get(name)
        return NOT_FOUND if gone is None else _bare(_missing(gone))
    view = await _view(house, member, name, chosen)
    if one.info is None:
        return _bare(view)
    found = Usable(name, one, one.info, chosen)
    return PluginDetail(
        plugin=view,
        settings=without_secrets(one.form, found.visible),
        settings_schema=msgspec.json.decode(one.schema),
        allow_private=found.stored.allow_private,
        version=found.stored.version,
    )


async def form(house: House, member: Member, name: str, given: Given | None) -> SettingsForm:
    """Return a plugin's form with what is stored, or with what was given. No secret is in it, unless it was just typed."""
    one = house.plugins.installed.get(name)
    if one is None or one.info is None:
        return SettingsForm((), {})
    if given is not None:
        return SettingsForm(one.form, given.entered(one.form))
    stored = Usable(name, one, one.info, await house.plugins.chosen(member.tenant)).visible
    return SettingsForm(one.form, as_entered(one.form, stored))


def _bare(view: PluginView) -> PluginDetail:
    """Return one that cannot be used. Where it failed is for the operator: caisey plugins --traceback."""
    return PluginDetail(plugin=view, settings={}, settings_schema={}, allow_private=False, version=0)


def _missing(choice: Opened) -> PluginView:
    return PluginView(
        name=choice.plugin,
        title=choice.plugin,
        version="",
        kinds=(),
        enabled=False,
        state="missing",
        detail="It is not installed on this server any more. Its settings are kept until it is back.",
    )


async def _view(house: House, member: Member, name: str, chosen: TenantChoices) -> PluginView:
    one, health = house.plugins.installed[name], house.plugins.health(member.tenant, name)
    info = one.info
    if info is None:
        broken = PluginView(
            name=name,
            title=name,
            version="",
            kinds=(),
            enabled=False,
            state="broken",
            detail=one.verdict.removeprefix("broken: "),
        )
        return msgspec.structs.replace(broken, distribution=one.distribution)
    enabled = await house.plugins.is_enabled(member.tenant, name)
    state: Literal["ok", "failing", "off"] = "off" if health.state == "off" else "ok"
    if enabled and health.state in ("failing", "resting"):
        state = "failing"
    used = {kind: await house.plugins.enabled(member.tenant, kind) for kind in info.kinds}
    return PluginView(
        name=name,
        title=info.title,
        version=info.version,
        kinds=info.kinds,
        enabled=enabled,
        state=state,
        detail=health.words,
        distribution=one.distribution,
        documentation=info.documentation if info.documentation.startswith("https://") else "",
        has_settings=bool(one.form),
        default_of=tuple(kind for kind, names in used.items() if names and names[0] == name),
        one_of_several=tuple(kind for kind, names in used.items() if name in names and len(names) > 1),
        calls=health.calls,
        failures=health.failures,
        hangs=health.hangs,
        median_seconds=health.median_seconds,
        slowest_seconds=health.slowest_seconds,
        troubles=tuple(PluginTrouble(at=int(one.at.timestamp() * 1_000_000), words=one.words) for one in health.troubles),
    )


# --- to change ---------------------------------------------------------------------------------------------------------


async def usable(house: House, member: Member, name: str) -> Usable | Refused:
    """Return a plugin that the member may change, with what is stored for it now."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_PLUGINS)) is not None:
        return refused
    one = house.plugins.installed.get(name)
    if one is None:
        return NOT_FOUND
    if one.info is None:
        return Refused(f"This plugin cannot be used: {one.verdict}.", "Tell the operator of the server.", 409)
    await house.plugins.changed(member.tenant)
    return Usable(name, one, one.info, await house.plugins.chosen(member.tenant))


async def test(house: House, member: Member, name: str, given: Given | None) -> PluginTest | Refused:
    """Try settings without storing them; None: those that are stored."""
    found = await usable(house, member, name)
    if isinstance(found, Refused):
        return found
    if given is None:
        settings, allow_private = found.settings, found.stored.allow_private
    else:
        judged = await _judged(house, found, given)
        if isinstance(judged, Refused):
            return judged
        settings, allow_private = judged.settings, given.allow_private
    said = await _tried(house, member, found, settings, allow_private=allow_private)
    if not isinstance(said, Refused):
        return PluginTest(ok=True, message=said or "It works.")
    return PluginTest(ok=False, message=said.reason)


async def save(
    house: House, member: Member, name: str, given: Given, version: int, *, enable: bool, anyway: bool
) -> PluginDetail | Refused:
    """Store settings once the plugin said that they work, and enable it if wanted. `version` is that of what the admin saw.

    What the plugin says is wrong is never stored. Where it could not be asked (it is away, hangs or fails) nothing is known, and
    `anyway` stores it.
    """
    found = await usable(house, member, name)
    if isinstance(found, Refused):
        return found
    if found.stored.version != version:
        return CHANGED_MEANWHILE
    judged = await _judged(house, found, given)
    if isinstance(judged, Refused):
        return judged
    said = await _tried(house, member, found, judged.settings, allow_private=given.allow_private)
    if isinstance(said, Refused) and not (anyway and said.field == ANYWAY):
        return said
    before = found.settings
    changed = tuple(one.name for one in found.installed.form if before.get(one.name) != judged.settings.get(one.name))
    event = e.PluginChanged(
        actor=member.actor,
        at=STAMPED,
        plugin=name,
        settings=changed,
        allow_private=given.allow_private,
        proven=isinstance(said, str),
    )
    on = enable or found.stored.enabled
    switched = on and not await house.plugins.is_enabled(member.tenant, name)
    stored = await _store(house, member, found, version, judged, given, on=on)
    if stored is not None:
        return stored
    events: list[e.AnyEvent] = [event] if changed or given.allow_private != found.stored.allow_private else []
    if switched:
        events.append(e.PluginEnabled(actor=member.actor, at=STAMPED, plugin=name))
    return await _done(house, member, name, *events)


async def _store(
    house: House, member: Member, found: Usable, version: int, judged: Judged, given: Given, *, on: bool
) -> Refused | None:
    if house.journal.held:
        return HELD
    try:
        async with house.plugins.choices.changing(member.tenant, house.clock.now()) as change:
            if change.version(found.name) != version:
                return CHANGED_MEANWHILE
            form, private = found.installed.form, given.allow_private
            await change.save(found.name, form, judged.settings, allow_private=private, enabled=on)
    except KeyTrouble as error:
        return Refused(f"The secrets cannot be sealed: {error}", "Tell the operator of the server.", 503)
    return None


async def enable(house: House, member: Member, name: str, *, anyway: bool) -> PluginDetail | Refused:
    """Enable a plugin with what is stored for it, once the plugin said that it works."""
    found = await usable(house, member, name)
    if isinstance(found, Refused):
        return found
    if found.stored.trouble:
        return Refused(found.stored.trouble, "Enter its settings again.", 409)
    if found.stored.settings is None and found.installed.needs_settings:
        return Refused("This plugin needs settings.", "Enter them first; saving them can enable it too.", 409)
    if await house.plugins.is_enabled(member.tenant, name):
        return await _done(house, member, name)
    said = await _tried(house, member, found, found.settings, allow_private=found.stored.allow_private)
    if isinstance(said, Refused) and not (anyway and said.field == ANYWAY):
        return said
    return await _switch(house, member, name, on=True)


async def disable(house: House, member: Member, name: str) -> PluginDetail | Refused:
    """Disable a plugin; its settings stay. The last way to sign in stays too."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_PLUGINS)) is not None:
        return refused
    if name not in house.plugins.installed:
        return NOT_FOUND
    if await house.plugins.enabled(member.tenant, "identity") == [name]:
        return Refused("This is the last way to sign in: nobody could come back.", "Enable another one first.", 409)
    if not await house.plugins.is_enabled(member.tenant, name) and not await _is_chosen(house, member, name):
        return await _done(house, member, name)
    return await _switch(house, member, name, on=False)


async def _is_chosen(house: House, member: Member, name: str) -> bool:
    choice = (await house.plugins.chosen(member.tenant)).plugins.get(name)
    return choice is not None and choice.enabled


async def _switch(house: House, member: Member, name: str, *, on: bool) -> PluginDetail | Refused:
    if house.journal.held:
        return HELD
    async with house.plugins.choices.changing(member.tenant, house.clock.now()) as change:
        await change.enable(name, enabled=on)
    kind = e.PluginEnabled if on else e.PluginDisabled
    return await _done(house, member, name, kind(actor=member.actor, at=STAMPED, plugin=name))


async def prefer(house: House, member: Member, name: str, kind: str) -> PluginDetail | Refused:
    """Let a plugin come first among the tenant's plugins of a kind."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_PLUGINS)) is not None:
        return refused
    if name not in house.plugins.installed:
        return NOT_FOUND
    if name not in await house.plugins.enabled(member.tenant, kind):
        return bad_input("kind", "This plugin is not enabled for that kind of work.", "Enable it first.")
    if house.journal.held:
        return HELD
    async with house.plugins.choices.changing(member.tenant, house.clock.now()) as change:
        await change.prefer(kind, name)
    return await _done(house, member, name, e.PluginDefaultSet(actor=member.actor, at=STAMPED, of=kind, plugin=name))


async def _done(house: House, member: Member, name: str, *events: e.AnyEvent) -> PluginDetail | Refused:
    await house.plugins.changed(member.tenant)
    if events and (refused := await house.journal.audit(member.tenant, *events)) is not None:
        return refused
    return await detail(house, member, name)


async def _judged(house: House, found: Usable, given: Given) -> Judged | Refused:
    form, kind, stored = found.installed.form, found.info.settings, found.settings
    try:
        entered, typed = given.entered(form), given.fields is not None
        judged = await house.plugins.run(found.name, lambda: judge(form, kind, entered, stored, typed=typed))
    except PluginFault as error:
        return Refused(str(error), "Its settings cannot be read now; try again, or tell the operator.", 503)
    if not judged.complaints:
        return judged
    wrong = tuple(Wrong(complaint.path, complaint.words) for complaint in judged.complaints)
    reason = f"{len(wrong)} settings are wrong." if len(wrong) > 1 else f"A setting is wrong: {wrong[0].reason}"
    return Refused(reason, "Correct what is marked and try again.", 422, wrong[0].field, wrong=wrong)


async def _tried(
    house: House, member: Member, found: Usable, settings: Mapping[str, Any], *, allow_private: bool
) -> str | Refused:
    """Ask the plugin; returns what it said of settings that work. A refusal for the field ANYWAY says that nothing is known."""
    opened = msgspec.json.encode(settings)
    try:
        said = await house.plugins.check(member.tenant, found.name, opened, allow_private=allow_private)
    except Rejected as error:
        return Refused(str(error), "Correct the settings and try again.", 422)
    except Unavailable as error:
        return Refused(f"It could not be tried: {error}", "Try again later, or save it untried.", 409, ANYWAY)
    except PluginFault as error:
        return Refused(str(error), "Nothing is known about these settings. Try again, or save them untried.", 409, ANYWAY)
    return said.message if said.ok else Refused(said.message, "Correct the settings and try again.", 422)
