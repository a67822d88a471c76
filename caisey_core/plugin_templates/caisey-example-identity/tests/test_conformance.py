"""What every identity plugin keeps, and what this one does on top."""

from typing import Any

import pytest
from caisey_hookspecs import Attempt, Identity, Secret, SignInForm
from caisey_hookspecs.testing import FakeContext, IdentityConformance, an_attempt, context_of

from caisey_example_identity import Codes, Person, Settings, caisey_plugin

SETTINGS = Settings(people=(Person("ines@harbor.example", Secret("correct-horse-9")),))
RIGHT = (("email", "Ines@harbor.example"), ("code", "correct-horse-9"))


class TestConformance(IdentityConformance):
    """The suite of the contract."""

    plugin = "example-identity"
    settings = SETTINGS

    async def sign_in(self, identity: Identity, context: FakeContext[Any]) -> Attempt | None:
        """Ines signs in."""
        return an_attempt(fields=RIGHT)


@pytest.mark.asyncio
async def test_a_wrong_code_and_an_unknown_address_look_the_same() -> None:
    """The same words; the address stays in the form, the code does not."""
    identity = Codes(context_of(caisey_plugin(), SETTINGS))
    for email in ("ines@harbor.example", "nobody@harbor.example"):
        shown = await identity.complete(an_attempt(fields=(("email", email), ("code", "wrong"))))
        assert isinstance(shown, SignInForm)
        assert shown.complaint == "The e-mail address or the code is wrong."
        assert [one.value for one in shown.fields] == [email, ""]


@pytest.mark.asyncio
async def test_a_short_code_is_told_to_the_admin() -> None:
    """Before the settings are saved, and without the code."""
    weak = Settings(people=(Person("ines@harbor.example", Secret("1234")),))
    found = await Codes(context_of(caisey_plugin(), weak)).check()
    assert not found.ok
    assert "ines@harbor.example" in found.message
