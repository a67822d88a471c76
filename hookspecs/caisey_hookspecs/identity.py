"""Identity: who is this person? The core decides what the person may do; a plugin says only who it is."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from caisey_hookspecs.plugin import Context, IncomingRequest, Rejected, TenantObject, hookspec


class Field(Struct, frozen=True, kw_only=True):
    """A field of a sign-in form, rendered by the core."""

    name: str
    label: str
    kind: str = "text"  # text, email, password, code, hidden (comes back as `value`, shown to nobody)
    autocomplete: str = "off"  # WHATWG autofill token, so that password managers work
    value: str = ""  # what to show in it; never for a password


class SignInForm(Struct, frozen=True, kw_only=True):
    """Ask the person. `complaint` says what was wrong with the last try and what to do."""

    title: str
    fields: tuple[Field, ...]
    button: str = "Sign in"
    complaint: str = ""
    passkey: str = ""  # what `navigator.credentials.get` takes (WebAuthn, JSON): the page offers a passkey beside the fields
    passkey_field: str = "passkey"  # in which its answer comes back, as JSON


class SignInRedirect(Struct, frozen=True):
    """Send the browser to a provider; it comes back to /t/{tenant}/plugins/{plugin}/callback, which is `Attempt.return_url`.

    The address carries `Attempt.handle` as the query parameter `state`, and the provider brings that back.
    """

    url: str  # https, 8,000 characters at most
    state: bytes = b""  # 4 KiB at most: kept sealed for this browser and handed back once, within 10 minutes
    title: str = ""  # what the button says; empty: the plugin's title


class Identified(Struct, frozen=True, kw_only=True):
    """The person is known. `subject` never changes for a person and is unique within the plugin and tenant.

    `role` and `clients` are for providers that decide them: what is given is applied at each sign-in, what is None is left
    to the tenant's admins. Names of clients that Caisey does not have are passed over.
    """

    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    role: str | None = None  # admin, dispatcher, technician, senior technician or auditor
    clients: tuple[str, ...] | None = None  # names of the clients that the member serves; "*": all; empty: none
    may_join: bool = False  # a member may be made of an unknown person: by default a technician who serves no client
    may_link: bool = False  # an unknown person with a verified e-mail address may be the member who has that address
    provider_session: str = ""  # the provider's name of this sign-in, for news that it ended
    sign_out_hint: str = ""  # 16 KiB at most: kept sealed while the sign-in lasts, for `Identity.sign_out`


class NotIdentified(Struct, frozen=True, kw_only=True):
    """The person is not known; `reason` is shown and must not say which part was wrong."""

    reason: str
    what_to_do: str = ""  # shown after the reason; empty: to try again
    retry_after_seconds: float | None = None  # set while tries are throttled


FactorKind = Literal["authenticator", "passkey"]


class Factor(Struct, frozen=True, kw_only=True):
    """Something by which a person signs in besides the password."""

    id: str
    kind: FactorKind
    title: str  # what the person calls it
    added_at: datetime
    last_used_at: datetime | None = None


class Factors(Struct, frozen=True, kw_only=True):
    """A person's factors; `kinds` are those that can be added here now."""

    kinds: tuple[FactorKind, ...] = ()
    factors: tuple[Factor, ...] = ()
    recovery_codes: int = 0  # that are left


class FactorSetup(Struct, frozen=True, kw_only=True):
    """How a person sets a factor up; `state` comes back with their answer."""

    kind: FactorKind
    state: str
    secret: str = ""  # of an authenticator, to be typed
    uri: str = ""  # of an authenticator (otpauth://), to be scanned
    passkey: str = ""  # what `navigator.credentials.create` takes (WebAuthn, JSON)


class FactorAnswer(Struct, frozen=True, kw_only=True):
    """What came of a setup: the code that an authenticator shows, or what the browser made (JSON)."""

    kind: FactorKind
    state: str
    answer: str
    title: str


class FactorAdded(Struct, frozen=True, kw_only=True):
    """A factor was added. The first one brings recovery codes, which are shown once."""

    factor: Factor
    recovery_codes: tuple[str, ...] = ()


class Attempt(Struct, frozen=True, kw_only=True):
    """What the browser brought to a sign-in: the form's fields, or the provider's answer."""

    fields: tuple[tuple[str, str], ...] = ()
    request: IncomingRequest | None = None  # the provider's answer
    state: bytes = b""  # what the redirect of this very attempt left with the core
    address: str = ""
    return_url: str = ""  # this plugin's callback address
    handle: str = ""  # for a redirect's `state`; empty while the core only asks what to show on the sign-in page
    fresh: bool = False  # the person shall prove again who they are, even if the provider knows them still


class SignOut(Struct, frozen=True, kw_only=True):
    """A member signed out here; the provider may want to know."""

    provider_session: str
    hint: str  # `Identified.sign_out_hint` of that sign-in
    return_url: str  # where the provider may send the browser afterwards


class Identity(TenantObject, ABC):
    """Says who a person is.

    Signing in by redirect, in order: the sign-in page calls `begin` without a handle and shows a button. Pressing it calls
    `begin` with a handle; the core keeps `SignInRedirect.state` for this browser and sends it to the address. When the browser
    comes back with that handle as `state`, the core forgets the attempt and calls `complete` with the request and the state
    kept. An answer with no, an old, a used or another browser's handle never reaches the plugin.

    Thread: the plugin's own; several people may sign in at the same time.
    Raises: any method may raise Unavailable and Rejected; the person reads that this way to sign in does not answer. Anything
        else counts as a fault of the plugin.
    Example:
        class Pin(Identity):
            async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
                return SignInForm(title="Sign in", fields=(Field(name="pin", label="PIN", kind="password"),))

            async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
                if hmac.compare_digest(dict(attempt.fields).get("pin", "").encode(), b"735512"):
                    return Identified(subject="reception")
                return NotIdentified(reason="This PIN is wrong.")

        class Provider(Pin):
            async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
                query = urlencode({"state": attempt.handle, "redirect_uri": attempt.return_url})
                return SignInRedirect(f"https://id.vendor.example/authorize?{query}", state=b"a nonce")

        identity, provider = Pin(), Provider()
    """

    @abstractmethod
    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Start a sign-in: a form to show, or an address to go to.

        Called: for the sign-in page (without a handle), and when the person chose this way by its button (with one).
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            form = await identity.begin(Attempt(address="192.0.2.7"))
            assert isinstance(form, SignInForm) and form.fields[0].name == "pin"
            away = await provider.begin(Attempt(handle="h4ndle", return_url="https://caisey.example/t/msp/plugins/x/callback"))
            assert isinstance(away, SignInRedirect) and "state=h4ndle" in away.url
        """

    @abstractmethod
    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Judge what came back. A form as answer asks again (a second factor, a new password).

        Take the same time and the same words whether the person exists or not, and slow down guessing (`context.store` outlives
        a restart).

        Called: with the form's fields, or with the provider's request and the state that was kept.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            assert await identity.complete(Attempt(fields=(("pin", "735512"),))) == Identified(subject="reception")
            assert isinstance(await identity.complete(Attempt(fields=(("pin", "1"),))), NotIdentified)
        """

    async def bearer(self, token: str) -> Identified | None:
        """Say whose API token this is, or None if it is not this plugin's.

        Called: for a request of the API with a token that the core did not issue; an answer is kept for 15 seconds.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected; then the token counts as nobody's.
        Example:
            assert await identity.bearer("eyJhbGciOi…") is None
        """
        return None

    async def set_password(self, subject: str, password: str) -> None:
        """Set a member's password, and make their account if there is none. Without it the plugin keeps no passwords.

        Called: when a member chooses a password.
        Limit: 10 seconds.
        Raises: Rejected, with the reason, where it is too weak or passwords live elsewhere; Unavailable.
        Example:
            with contextlib.suppress(NotImplementedError):
                await identity.set_password("reception", "a sentence of some length")
        """
        raise NotImplementedError

    async def factors(self, subject: str, origin: str) -> Factors:
        """Say what a person signs in with besides the password, and what they can add.

        `origin` is the scheme, host and port under which the web UI is reached; a passkey belongs to its host. Without this
        method there are none.

        Called: for the member's account page.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            assert await identity.factors("reception", "https://caisey.example") == Factors()
        """
        return Factors()

    async def new_factor(self, subject: str, name: str, kind: FactorKind, origin: str) -> FactorSetup:
        """Begin to set a factor up for a person who is called `name`.

        Called: when a member chose one of `Factors.kinds` on their account page.
        Limit: 10 seconds.
        Raises: Rejected, in words for the person, where this kind cannot be had here; Unavailable.
        Example:
            class Tokens(Pin):
                async def new_factor(self, subject: str, name: str, kind: FactorKind, origin: str) -> FactorSetup:
                    return FactorSetup(kind=kind, state="sealed", secret="JBSWY3DPEHPK3PXP")

            setup = await Tokens().new_factor("reception", "Ines", "authenticator", "https://caisey.example")
            assert setup.secret != ""
        """
        raise Rejected("This way to sign in has no second step.")

    async def add_factor(self, subject: str, answer: FactorAnswer, origin: str) -> FactorAdded:
        """Judge the answer and keep the factor; the first one brings recovery codes.

        Called: with what the person typed or the browser made, and the `state` of the setup.
        Limit: 10 seconds.
        Raises: Rejected, in words for the person, where it does not fit; Unavailable.
        Example:
            answer = FactorAnswer(kind="authenticator", state="sealed", answer="123456", title="My phone")
            with contextlib.suppress(Rejected):
                added = await identity.add_factor("reception", answer, "https://caisey.example")
        """
        raise Rejected("This way to sign in has no second step.")

    async def remove_factor(self, subject: str, factor: str) -> None:
        """Drop a factor by its id; what is not there is no error. Without the last one the recovery codes go too.

        Called: when a member removes one on their account page.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            await identity.remove_factor("reception", "no such factor")
        """
        return

    async def new_recovery_codes(self, subject: str) -> tuple[str, ...]:
        """Replace a person's recovery codes and return the new ones, which are shown once.

        Called: when a member asks for them on their account page.
        Limit: 10 seconds.
        Raises: Rejected, in words for the person, for one without a factor; Unavailable.
        Example:
            with contextlib.suppress(Rejected):
                codes = await identity.new_recovery_codes("reception")
        """
        raise Rejected("This way to sign in has no second step.")

    async def sign_out(self, ended: SignOut) -> str | None:
        """Return an address (https) to send the browser to after our own sign-out, so that the provider signs out too, or None.

        Called: once the sign-in has ended here.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected; then the browser stays here.
        Example:
            ended = SignOut(provider_session="sess_2aZ", hint="", return_url="https://caisey.example/")
            assert await identity.sign_out(ended) is None
        """
        return None

    async def forget(self, subject: str) -> None:
        """Drop what is stored of a member who left; of somebody who is not known there is nothing to drop.

        Called: when a member was removed. This version of the server does not call it yet.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            await identity.forget("reception")
        """
        return


@hookspec(firstresult=True)
def caisey_identity(context: Context[Any]) -> Identity:
    """Make a tenant's identity object; do no I/O.

    Called: when the object is first needed after the tenant enabled the plugin or changed a setting.
    Thread: the plugin's own.
    Limit: 1 second.
    Raises: nothing; a setting that cannot be right is told by `check`.
    Example:
        @hookimpl
        def caisey_identity(context: Context[NoSettings]) -> Identity:
            return identity

        assert caisey_identity(context) is identity
    """
    raise NotImplementedError  # a specification is never run
