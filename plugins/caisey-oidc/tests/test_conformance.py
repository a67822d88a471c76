"""What every identity plugin keeps, of OpenID Connect; the provider here only describes itself."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from caisey_hookspecs import Attempt, HttpAnswer, Identity, IncomingRequest, Secret, SignInRedirect
from caisey_hookspecs.testing import FakeContext, IdentityConformance, an_attempt
from caisey_oidc.settings import Settings

KEY = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
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
    """The suite of the contract; tests/browser shows the same with a real provider."""

    plugin = "oidc"
    settings = Settings(issuer=ISSUER, client_id="caisey", client_secret=Secret("s3cr3t-of-the-client"))

    async def sign_in(self, identity: Identity, context: FakeContext[Any]) -> Attempt | None:
        """Somebody signed in at the provider, which tells so for the nonce of this very attempt."""
        asked = await identity.begin(an_attempt())
        assert isinstance(asked, SignInRedirect)
        now, sent = int(context.clock.now().timestamp()), parse_qs(urlsplit(asked.url).query)
        claims = {"iss": ISSUER, "aud": "caisey", "sub": "tom", "iat": now, "exp": now + 60, "nonce": sent["nonce"][0]}
        told = {"access_token": "opens", "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)}
        context.http.answer("POST", f"{ISSUER}/token", HttpAnswer(200, {}, _json(told)))
        came = IncomingRequest(method="GET", path="callback", query=(("code", "c"), ("state", sent["state"][0])))
        return an_attempt(request=came, state=asked.state)

    def prepare(self, context: FakeContext[Any]) -> None:
        """The provider says where things are, and refuses every code until somebody signed in there."""
        answers = {
            "/.well-known/openid-configuration": HttpAnswer(200, {"content-type": "application/json"}, _json(DESCRIPTION)),
            "/keys": HttpAnswer(
                200, {"content-type": "application/json"}, _json({"keys": [{"use": "sig", **KEY.as_dict(private=False)}]})
            ),
        }
        for path, answer in answers.items():
            context.http.answer("GET", ISSUER + path, answer)
        refused = HttpAnswer(400, {"content-type": "application/json"}, _json({"error": "invalid_grant"}))
        context.http.answer("POST", f"{ISSUER}/token", refused)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
