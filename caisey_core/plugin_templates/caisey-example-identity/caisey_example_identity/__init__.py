"""Example identity: people sign in with a code that an admin gave them.

Replace it by what knows your people.
"""

import hmac
from typing import Annotated

from caisey_hookspecs import (
    Attempt,
    Check,
    Context,
    Field,
    Identified,
    Identity,
    NotIdentified,
    PluginInfo,
    Secret,
    SignInForm,
    SignInRedirect,
    hookimpl,
)
from msgspec import Meta, Struct

NOBODY = "a code that nobody has: it is compared where the address is not known, so that both take the same time"


class Person(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may sign in."""

    email: Annotated[str, Meta(title="E-mail address", pattern="^[^@]+@[^@]+$")]
    code: Annotated[Secret, Meta(title="Code", description="At least 12 characters, for this person only.")]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin enters."""

    people: Annotated[tuple[Person, ...], Meta(title="People")] = ()


class Codes(Identity):
    """One tenant's people."""

    def __init__(self, context: Context[Settings]) -> None:
        self._people = {one.email.lower(): one for one in context.settings.people}

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Ask for address and code."""
        return self._form()

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Compare the code, in the same time and with the same words whether the address is known or not."""
        fields = dict(attempt.fields)
        email, code = fields.get("email", "").strip().lower(), fields.get("code", "")
        person = self._people.get(email)
        expected = person.code.reveal() if person is not None else NOBODY
        right = hmac.compare_digest(code.encode(), expected.encode())
        if person is None or not right:
            return self._form(email, "The e-mail address or the code is wrong.")
        return Identified(subject=email, email=email)

    async def check(self) -> Check:
        """Say who can sign in, and whose code is too short."""
        short = [one.email for one in self._people.values() if len(one.code.reveal()) < 12]
        if short:
            return Check(False, f"These codes have fewer than 12 characters: {', '.join(short)}.")
        return Check(True, f"{len(self._people)} people can sign in.")

    def _form(self, email: str = "", complaint: str = "") -> SignInForm:
        return SignInForm(
            title="Sign in",
            fields=(
                Field(name="email", label="E-mail address", kind="email", autocomplete="username", value=email[:254]),
                Field(name="code", label="Code", kind="password", autocomplete="current-password"),
            ),
            complaint=complaint,
        )


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="example-identity",
        title="Example identity",
        version="0.1.0",
        kinds=("identity",),
        settings=Settings,
    )


@hookimpl
def caisey_identity(context: Context[Settings]) -> Identity:
    """Make a tenant's identity object."""
    return Codes(context)
