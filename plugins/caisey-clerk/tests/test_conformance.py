"""What every identity plugin keeps, of Clerk; the instance here only describes itself."""

import base64
import json
from typing import Any

from caisey_clerk.settings import BACKEND, Row, Settings
from caisey_hookspecs import HttpAnswer, Secret
from caisey_hookspecs.testing import FakeContext, IdentityConformance

ISSUER = "https://clerk.msp.example"
DESCRIPTION = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/oauth/authorize",
    "token_endpoint": f"{ISSUER}/oauth/token",
    "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "code_challenge_methods_supported": ["S256"],
}


class TestConformance(IdentityConformance):
    """The suite of the contract; who comes in, and by which tokens, is shown with keys of the tests in Clerk's shapes."""

    plugin = "clerk"
    settings = Settings(
        publishable_key="pk_live_" + base64.b64encode(b"clerk.msp.example$").decode(),
        secret_key=Secret("sk_live_of-the-instance"),
        client_id="caisey",
        client_secret=Secret("s3cr3t-of-the-client"),
        organization="org_2msp",
        mapping=(Row(clerk_role="org:admin", role="admin"),),
        origins=("https://app.msp.example",),
        webhook_secret=Secret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    )

    def prepare(self, context: FakeContext[Any]) -> None:
        """The instance says where things are and has the organization; it refuses every code."""
        answers = {
            f"{ISSUER}/.well-known/oauth-authorization-server": DESCRIPTION,
            f"{ISSUER}/.well-known/jwks.json": {"keys": []},
            f"{BACKEND}/organizations/org_2msp": {"object": "organization", "id": "org_2msp", "name": "MSP"},
        }
        for address, body in answers.items():
            context.http.answer("GET", address, _answer(200, body))
        context.http.answer("POST", f"{ISSUER}/oauth/token", _answer(400, {"error": "invalid_grant"}))


def _answer(status: int, body: object) -> HttpAnswer:
    return HttpAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())
