"""Notifier: carries a notice to a person."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from msgspec import Struct

from caisey_hookspecs.plugin import Context, TenantObject, hookspec


class Notice(Struct, frozen=True, kw_only=True):
    """One message to one member. It holds no secret and no content of a session."""

    key: str  # the same for every try, so that a repetition can be dropped
    recipient: str  # the member's stable id
    recipient_address: str = ""  # the member's e-mail address
    title: str
    text: str
    link: str = ""  # absolute address in the web UI; asks for sign-in and then lands there
    urgency: Literal["normal", "high", "urgent"] = "normal"


class InPage(Struct, frozen=True, kw_only=True):
    """A card for the recipient's open pages; with `desktop` the browser shows it outside the page where it may."""

    title: str
    text: str
    link: str = ""
    desktop: bool = False


class Delivery(Struct, frozen=True, kw_only=True):
    """What came of it. A plugin that works through the recipient's open pages returns the card for them."""

    delivered: bool
    detail: str = ""
    in_page: InPage | None = None


class Notifier(TenantObject, ABC):
    """A tenant's way to reach people. Its `check` sends nothing to anybody.

    Thread: the plugin's own; several notices may be on their way at the same time.
    Example:
        class Console(Notifier):
            async def deliver(self, notice: Notice) -> Delivery:
                print(f"{notice.recipient_address}: {notice.title}")
                return Delivery(delivered=True)

        notifier = Console()
    """

    @abstractmethod
    async def deliver(self, notice: Notice) -> Delivery:
        """Return once the vendor has accepted the notice; one `key` reaches a person at most once.

        Called: once what it tells is durable; the same key may come again after Unavailable or a time-out.
        Limit: 10 seconds.
        Raises: Unavailable if a later try may help, Rejected if none will; an admin reads the words.
        Example:
            told = Notice(key="a-1", recipient="m-7", recipient_address="tom@msp.example", title="Assigned: HD-XRAY", text="")
            assert await notifier.deliver(told) == Delivery(delivered=True)
        """


@hookspec(firstresult=True)
def caisey_notifier(context: Context[Any]) -> Notifier:
    """Make a tenant's notifier; do no I/O.

    Called: when the object is first needed after the tenant enabled the plugin or changed a setting.
    Thread: the plugin's own.
    Limit: 1 second.
    Raises: nothing; a setting that cannot be right is told by `check`.
    Example:
        @hookimpl
        def caisey_notifier(context: Context[NoSettings]) -> Notifier:
            return notifier

        assert caisey_notifier(context) is notifier
    """
    raise NotImplementedError  # a specification is never run
