"""The contract between Caisey and its plugins: import what you need from here.

A plugin says what it is, and makes an object for each tenant that enables it. A complete notifier:

Example:
    class Console(Notifier):
        async def deliver(self, notice: Notice) -> Delivery:
            print(notice.title)
            return Delivery(delivered=True)

    @hookimpl
    def caisey_plugin() -> PluginInfo:
        return PluginInfo(name="console", title="Console", version="1.0", kinds=("notifier",))

    @hookimpl
    def caisey_notifier(context: Context[NoSettings]) -> Notifier:
        return Console()
"""

from caisey_hookspecs.identity import (
    Attempt,
    Factor,
    FactorAdded,
    FactorAnswer,
    FactorKind,
    Factors,
    FactorSetup,
    Field,
    Identified,
    Identity,
    NotIdentified,
    SignInForm,
    SignInRedirect,
    SignOut,
)
from caisey_hookspecs.notifier import Delivery, InPage, Notice, Notifier
from caisey_hookspecs.plugin import (
    CONTRACT,
    Change,
    Check,
    Clock,
    Context,
    CoreEvent,
    Entry,
    Http,
    HttpAnswer,
    IncomingAnswer,
    IncomingRequest,
    Kind,
    NoSettings,
    PluginInfo,
    Rejected,
    Reporter,
    Secret,
    Store,
    TenantObject,
    Unavailable,
    hookimpl,
    hookspec,
)
from caisey_hookspecs.shell import (
    CommandEnd,
    CommandView,
    EndpointShell,
    Launch,
    Shell,
    ShellListener,
    Size,
)
from caisey_hookspecs.ticketing import (
    Changes,
    Choice,
    Choices,
    Company,
    Configuration,
    Conflict,
    Contact,
    NewNote,
    NewStatus,
    NewTimeEntry,
    Note,
    Page,
    Status,
    Ticket,
    Ticketing,
    TicketSearch,
    TimeEntry,
    VendorMember,
    Visibility,
)

__all__ = [
    "CONTRACT",
    "Attempt",
    "Change",
    "Changes",
    "Check",
    "Choice",
    "Choices",
    "Clock",
    "CommandEnd",
    "CommandView",
    "Company",
    "Configuration",
    "Conflict",
    "Contact",
    "Context",
    "CoreEvent",
    "Delivery",
    "EndpointShell",
    "Entry",
    "Factor",
    "FactorAdded",
    "FactorAnswer",
    "FactorKind",
    "FactorSetup",
    "Factors",
    "Field",
    "Http",
    "HttpAnswer",
    "Identified",
    "Identity",
    "InPage",
    "IncomingAnswer",
    "IncomingRequest",
    "Kind",
    "Launch",
    "NewNote",
    "NewStatus",
    "NewTimeEntry",
    "NoSettings",
    "NotIdentified",
    "Note",
    "Notice",
    "Notifier",
    "Page",
    "PluginInfo",
    "Rejected",
    "Reporter",
    "Secret",
    "Shell",
    "ShellListener",
    "SignInForm",
    "SignInRedirect",
    "SignOut",
    "Size",
    "Status",
    "Store",
    "TenantObject",
    "Ticket",
    "TicketSearch",
    "Ticketing",
    "TimeEntry",
    "Unavailable",
    "VendorMember",
    "Visibility",
    "hookimpl",
    "hookspec",
]
