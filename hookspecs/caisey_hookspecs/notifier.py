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
    """Lives from the moment that a tenant enables the plugin until a setting changes; runs on the plugin's own thread.

    Its `check` sends nothing to anybody.
    """

    @abstractmethod
    async def deliver(self, notice: Notice) -> Delivery:
        """Return once the vendor has accepted the notice, within 10 seconds; one `key` reaches a person at most once.

        Raises Unavailable if a later try may help, Rejected if none will: an admin reads its text.
        """


@hookspec(firstresult=True)
def caisey_notifier(context: Context[Any]) -> Notifier:
    """Make a tenant's notifier. Called for one plugin at a time, on its own thread, within 1 second; does no I/O."""
    raise NotImplementedError  # a specification is never run
