"""What every identity plugin keeps, of OpenID Connect; the provider here only describes itself."""

import json
from typing import Any

from caisey_hookspecs import HttpAnswer, Secret
from caisey_hookspecs.testing import FakeContext, IdentityConformance
from caisey_oidc.settings import Settings

ISSUER = "https://id.vendor.example"
DESCRIPTION = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "end_session_endpoint": f"{ISSUER}/end",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "code_challenge_methods_supported": ["S256"],
    "backchannel_logout_supported": True,
}


class TestConformance(IdentityConformance):
    """The suite of the contract; that somebody comes in is shown with a real provider in a browser."""

    plugin = "oidc"
    settings = Settings(issuer=ISSUER, client_id="caisey", client_secret=Secret("s3cr3t-of-the-client"))

    def prepare(self, context: FakeContext[Any]) -> None:
        """The provider says where things are, and refuses every code."""
        answers = {
            "/.well-known/openid-configuration": HttpAnswer(200, {"content-type": "application/json"}, _json(DESCRIPTION)),
            "/keys": HttpAnswer(200, {"content-type": "application/json"}, _json({"keys": []})),
        }
        for path, answer in answers.items():
            context.http.answer("GET", ISSUER + path, answer)
        refused = HttpAnswer(400, {"content-type": "application/json"}, _json({"error": "invalid_grant"}))
        context.http.answer("POST", f"{ISSUER}/token", refused)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
