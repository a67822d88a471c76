"""Signing in at a provider: authorization code with PKCE, state and nonce (RFC 6749, 7636, 9207, 9700), and signing out there."""

import base64
import hashlib
import hmac
import secrets
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from msgspec import Struct

from caisey_hookspecs import (
    Attempt,
    Context,
    HttpAnswer,
    IncomingRequest,
    NotIdentified,
    Rejected,
    SignInRedirect,
    SignOut,
    Unavailable,
)
from caisey_openid.claims import Claims
from caisey_openid.keys import KeyRing
from caisey_openid.provider import PATIENCE_SECONDS, Metadata, Provider, parse_json, read_json
from caisey_openid.tokens import Expected, LogoutToken, NotProvedAnew, NotTrusted, id_token, logout_token

LONGEST_CODE: Final = 8192  # characters
LONGEST_HINT: Final = 5000  # characters: a longer ID token does not fit into an address
_ERRORS: Final = {
    "access_denied": "The sign-in was refused: by you, or by your company’s provider.",
    "login_required": "Your company’s provider wants you to sign in there first.",
    "interaction_required": "Your company’s provider wants something of you first.",
    "temporarily_unavailable": "Your company’s provider is not available now.",
    "server_error": "Your company’s provider failed.",
}
OTHER_PROVIDER: Final = NotIdentified(reason="This answer came from another provider than the one that was asked.")
UNREADABLE: Final = NotIdentified(reason="The provider’s answer cannot be used.")
NO_PROOF: Final = NotIdentified(reason="The provider’s answer does not prove who you are.")
NOT_ANEW: Final = NotIdentified(
    reason="You were to prove again who you are, and your company’s provider does not say that you did."
)
USED_CODE: Final = NotIdentified(reason="The provider’s answer was used already or is too old.")


class Client(Struct, frozen=True, kw_only=True):
    """Who we are to the provider. Without a secret we are a public client, which PKCE alone protects."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    leeway_seconds: int = 60
    trusted_audiences: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()  # more for the authorization request

    def __repr__(self) -> str:
        return f"Client({self.issuer!r}, {self.client_id!r})"


class Known(Struct, frozen=True):
    """A person whom the provider vouches for; `id_token` is the hint for signing out."""

    claims: Claims
    id_token: str
    access_token: str


class _Kept(Struct, frozen=True):
    """What a sign-in leaves with the core until the browser is back."""

    issuer: str
    client_id: str
    nonce: str
    verifier: str
    begun: int
    fresh: bool


class RelyingParty:
    """One client of one provider."""

    def __init__(self, context: Context[Any], client: Client, well_known: tuple[str, ...] = ("openid-configuration",)) -> None:
        self._context, self.client = context, client
        self.provider = Provider(context.http, context.clock, client.issuer, well_known)
        self.keys = KeyRing(context.http, context.clock)

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(self._context.clock.now().timestamp())

    async def begin(self, attempt: Attempt) -> SignInRedirect:
        """Return the provider's address for this sign-in. Raises Unavailable and Rejected, in words for the page."""
        provider = await self.provider.metadata()
        kept = _Kept(
            issuer=self.client.issuer,
            client_id=self.client.client_id,
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            begun=self.now(),
            fresh=attempt.fresh,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(kept.verifier.encode()).digest()).rstrip(b"=").decode()
        wanted = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": attempt.return_url,
            "scope": " ".join(self.client.scopes),
            "state": attempt.handle,
            "nonce": kept.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **dict(self.client.parameters),
            **({"prompt": "login", "max_age": "0"} if attempt.fresh else {}),
        }
        return SignInRedirect(_with(provider.authorization_endpoint, wanted), msgspec.msgpack.encode(kept))

    async def complete(self, attempt: Attempt) -> Known | NotIdentified:
        """Return whom the provider's answer proves. Raises Unavailable and Rejected, in words for the page."""
        assert attempt.request is not None
        try:
            kept = msgspec.msgpack.decode(attempt.state, type=_Kept)
        except msgspec.MsgspecError:
            return UNREADABLE
        answer = _once(attempt.request)
        if answer is None:
            return UNREADABLE
        if (kept.issuer, kept.client_id) != (self.client.issuer, self.client.client_id):
            return OTHER_PROVIDER  # the settings changed meanwhile
        provider = await self.provider.metadata()
        said = answer.get("iss")
        if said is None and provider.authorization_response_iss_parameter_supported:
            return OTHER_PROVIDER
        if said is not None and not hmac.compare_digest(said.encode(), kept.issuer.encode()):
            return OTHER_PROVIDER
        if (error := answer.get("error")) is not None:
            self._context.log.warning("the provider answered with the error %.60r", error)
            return NotIdentified(reason=_ERRORS.get(error, "Your company’s provider did not sign you in."))
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            return UNREADABLE
        return await self._redeem(provider, kept, code, attempt.return_url)

    async def _redeem(self, provider: Metadata, kept: _Kept, code: str, return_url: str) -> Known | NotIdentified:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": return_url,
            "code_verifier": kept.verifier,
        }
        answer = await self.ask_for_tokens(provider, fields)
        if answer.status in (400, 401, 403):
            return self._refused(answer)
        told = read_json(answer, "the sign-in")
        token, access = told.get("id_token"), told.get("access_token", "")
        if not isinstance(token, str) or not isinstance(access, str):
            self._context.log.warning("the provider's answer has no ID token; is the scope openid among the scopes?")
            return NO_PROOF
        try:
            claims = await id_token(
                token,
                self.keys,
                provider.jwks_uri,
                self.expected(provider),
                nonce=kept.nonce,
                access_token=access,
                proved_after=kept.begun if kept.fresh else None,
            )
        except NotProvedAnew:
            return NOT_ANEW
        except NotTrusted as rule:
            self._context.log.warning("an ID token was refused: %s", rule)
            return NO_PROOF
        return Known(claims, token, access)

    def _refused(self, answer: HttpAnswer) -> NotIdentified:
        error = error_of(answer)
        if error == "invalid_grant":
            return USED_CODE
        if error in ("invalid_client", "unauthorized_client"):
            raise Rejected("the provider does not know this client id, or its secret is wrong. An admin has to correct it.")
        self._context.log.warning("the provider refused the code: %d %.60r", answer.status, error)
        return NotIdentified(reason="Your company’s provider did not sign you in.")

    async def ask_for_tokens(self, provider: Metadata, fields: dict[str, str]) -> HttpAnswer:
        """Send a request to the token endpoint as this client. Raises Unavailable, and Rejected where we cannot prove who we are."""
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        methods, secret = provider.token_endpoint_auth_methods_supported, self.client.client_secret
        if not secret:
            fields = {**fields, "client_id": self.client.client_id}
        elif "client_secret_basic" in methods:
            # both are encoded as in a form first (RFC 6749, 2.3.1), or a secret with + or % fails
            pair = f"{quote_plus(self.client.client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif "client_secret_post" in methods:
            fields = {**fields, "client_id": self.client.client_id, "client_secret": secret}
        else:
            raise Rejected("the provider takes neither client_secret_basic nor client_secret_post.")
        return await self._context.http.request(
            "POST",
            provider.token_endpoint,
            headers=headers,
            body=urlencode(fields).encode(),
            timeout_seconds=PATIENCE_SECONDS,
        )

    def expected(self, provider: Metadata) -> Expected:
        """Return what this provider's tokens for us have to say now."""
        return Expected(
            issuer=self.client.issuer,
            client_id=self.client.client_id,
            now=self.now(),
            leeway_seconds=self.client.leeway_seconds,
            algorithms=provider.id_token_signing_alg_values_supported,
            trusted_audiences=self.client.trusted_audiences,
        )

    async def with_userinfo(self, known: Known) -> Claims:
        """Return the claims, and those that only the provider's UserInfo endpoint tells. Raises Unavailable, NotTrusted."""
        provider = await self.provider.metadata()
        if not provider.userinfo_endpoint or not known.access_token:
            return known.claims
        answer = await self._context.http.request(
            "GET",
            provider.userinfo_endpoint,
            headers={"accept": "application/json", "authorization": f"Bearer {known.access_token}"},
            timeout_seconds=PATIENCE_SECONDS,
        )
        told = read_json(answer, "more about you")
        if told.get("sub") != known.claims["sub"]:  # Core 5.3.2: else a token of somebody else's could be slipped in
            raise NotTrusted("the provider told about somebody else")
        return {**told, **known.claims}

    async def signed_out_at(self, ended: SignOut) -> str | None:
        """Return where to send a browser to sign out at the provider (RP-Initiated Logout 1.0), or None if there is no such place."""
        provider = await self.provider.metadata()
        if not provider.end_session_endpoint:
            return None
        fields = {"client_id": self.client.client_id, "post_logout_redirect_uri": ended.return_url}
        if 0 < len(ended.hint) <= LONGEST_HINT:
            fields["id_token_hint"] = ended.hint
        return _with(provider.end_session_endpoint, fields)

    async def told_of_logout(self, token: str) -> LogoutToken:
        """Judge a logout token. Raises NotTrusted and Unavailable."""
        provider = await self.provider.metadata()
        return await logout_token(token, self.keys, provider.jwks_uri, self.expected(provider))


def error_of(answer: HttpAnswer) -> str:
    """Return the error code in an answer of the token endpoint (RFC 6749, 5.2), or an empty text."""
    try:
        error = parse_json(answer.body, "the sign-in").get("error")
    except Unavailable:
        return ""
    return error if isinstance(error, str) else ""


def _once(request: IncomingRequest) -> dict[str, str] | None:
    """Return the answer's parameters, or None where one comes twice (RFC 6749, 3.1) or is longer than any address."""
    found = dict(request.query)
    whole = sum(len(name) + len(value) for name, value in request.query)
    return found if len(found) == len(request.query) and whole <= 4 * LONGEST_CODE else None


def _with(address: str, fields: dict[str, str]) -> str:
    """Add to an address's query."""
    parts = urlsplit(address)
    return parts._replace(query="&".join(filter(None, (parts.query, urlencode(fields))))).geturl()
