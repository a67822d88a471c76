"""What every identity plugin keeps, of accounts with passwords."""

from typing import Any

from caisey_hookspecs import Attempt, Identity
from caisey_hookspecs.testing import FakeContext, IdentityConformance, an_attempt


class TestConformance(IdentityConformance):
    """The suite of the contract."""

    plugin = "local-accounts"

    async def sign_in(self, identity: Identity, context: FakeContext[Any]) -> Attempt | None:
        """Tom has an account."""
        await identity.set_password("tom@msp.example", "a sentence of some length")
        return an_attempt(fields=(("email", "Tom@msp.example"), ("password", "a sentence of some length")))
