"""Identity: who is this person? The core decides what the person may do; a plugin says only who it is."""

from abc import ABC, abstractmethod
from typing import Any

from msgspec import Struct

from caisey_hookspecs.plugin import Check, Context, IncomingRequest, hookspec


class Field(Struct, frozen=True, kw_only=True):
    """A field of a sign-in form, rendered by the core."""

    name: str
    label: str
    kind: str = "text"  # text, email, password, code
    autocomplete: str = "off"  # WHATWG autofill token, so that password managers work
    value: str = ""  # what to show in it; never for a password


class SignInForm(Struct, frozen=True, kw_only=True):
    """Ask the person. `complaint` says what was wrong with the last try and what to do."""

    title: str
    fields: tuple[Field, ...]
    button: str = "Sign in"
    complaint: str = ""


class SignInRedirect(Struct, frozen=True):
    """Send the browser to a provider; it comes back to /t/{tenant}/plugins/{plugin}/callback."""

    url: str
    state: bytes = b""  # kept by the core in this browser's sign-in attempt and handed back


class Identified(Struct, frozen=True, kw_only=True):
    """The person is known. `subject` never changes for a person and is unique within the plugin and tenant."""

    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    may_join: bool = False  # the plugin allows a member to be made of an unknown person
    provider_session: str = ""  # for sign-out that the provider starts


class NotIdentified(Struct, frozen=True, kw_only=True):
    """The person is not known; `reason` is shown and must not say which part was wrong."""

    reason: str
    retry_after_seconds: float | None = None  # set while tries are throttled


class Attempt(Struct, frozen=True, kw_only=True):
    """What the browser brought to a sign-in: the form's fields, or the provider's answer."""

    fields: tuple[tuple[str, str], ...] = ()
    request: IncomingRequest | None = None
    state: bytes = b""
    address: str = ""
    return_url: str = ""  # this plugin's callback address


class Identity(ABC):
    """Says who a person is. Lives from the moment that a tenant enables the plugin until a setting changes.

    Every method runs on the plugin's own thread and loop; the core waits 10 seconds, then tells the person that this way
    to sign in does not answer. Methods may raise Unavailable and Rejected; anything else counts as a fault of the plugin.
    """

    @abstractmethod
    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Start a sign-in: a form to show, or an address to go to."""

    @abstractmethod
    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Judge what came back. A form as answer asks again (a second factor, a new password)."""

    async def bearer(self, token: str) -> Identified | None:
        """Say whose API token this is, or None if it is not this plugin's; called only for tokens that the core did not issue."""
        return None

    async def set_password(self, subject: str, password: str) -> None:
        """Set a member's password. Raises Rejected, with the reason, where it is too weak or passwords live elsewhere."""
        raise NotImplementedError

    async def forget(self, subject: str) -> None:
        """Drop what is stored of a member who left."""
        return

    async def check(self) -> Check:
        """Try the settings."""
        return Check(True, "Nothing to set.")


@hookspec(firstresult=True)
def caisey_identity(context: Context[Any]) -> Identity:
    """Make a tenant's identity object. Called for one plugin at a time, on its own thread, within 1 second; does no I/O."""
    raise NotImplementedError  # a specification is never run
