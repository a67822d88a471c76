"""The identity object: a person's claims become a subject, a role and clients."""

import hashlib
from typing import Final
from urllib.parse import parse_qs

from msgspec.structs import replace

from caisey_hookspecs import (
    Attempt,
    Change,
    Check,
    Context,
    Identified,
    Identity,
    IncomingAnswer,
    IncomingRequest,
    NotIdentified,
    Rejected,
    SignInRedirect,
    SignOut,
    Unavailable,
)
from caisey_oidc import presets
from caisey_oidc.settings import Row, Settings
from caisey_openid import Claims, Client, Known, NotTrusted, RelyingParty, at_path, texts
from caisey_openid.relying_party import NO_PROOF, error_of

BACK_CHANNEL: Final = "backchannel-logout"
REMEMBERED_SECONDS: Final = 2 * 3600  # a logout token's id, against a second use
LARGEST_LOGOUT: Final = 64 * 1024  # bytes
EVERY_CLIENT: Final = "*"
LONGEST_SUBJECT: Final = 255  # characters, of issuer and subject together
ASK: Final = "Ask an admin of your company."
NOT_IN_A_GROUP: Final = NotIdentified(reason="Your account is in no group that may sign in here.", what_to_do=ASK)
NOT_THIS_DOMAIN: Final = NotIdentified(
    reason="Your account has no verified address of a domain that may sign in here.", what_to_do=ASK
)


class CompanySignIn(Identity):
    """One tenant's provider."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context, self._settings = context, context.settings
        self._party: RelyingParty | None = None

    def _at(self) -> RelyingParty:
        """Return the relying party. Raises Rejected for settings that cannot work, each time: an admin is to see it."""
        if self._party is None:
            settings = self._settings
            client = Client(
                issuer=presets.issuer_of(settings),
                client_id=settings.client_id,
                client_secret=settings.client_secret.reveal() if settings.client_secret is not None else "",
                scopes=tuple(dict.fromkeys(("openid", *settings.scopes))),
                leeway_seconds=settings.leeway_seconds,
                parameters=presets.parameters(settings),
            )
            self._party = RelyingParty(self._context, client)
        return self._party

    async def begin(self, attempt: Attempt) -> SignInRedirect:
        """Send the browser to the provider."""
        asked = await self._at().begin(attempt)
        return replace(asked, title=self._settings.button)

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified:
        """Judge the provider's answer."""
        if attempt.request is None:
            return NotIdentified(reason="This way to sign in has no form.")
        party = self._at()
        known = await party.complete(attempt)
        if isinstance(known, NotIdentified):
            return known
        try:
            claims = await party.with_userinfo(known) if self._lacks(known.claims) else known.claims
        except NotTrusted as rule:
            self._context.log.warning("what the provider told of a person was refused: %s", rule)
            return NO_PROOF
        return self._judge(party, known, claims)

    def _lacks(self, claims: Claims) -> bool:
        """Say whether something is missing that the provider may tell only when asked."""
        settings = self._settings
        if settings.mapping and at_path(claims, presets.groups_path(settings)) is None:
            return True
        return "email" not in claims and bool(settings.email_domains or settings.join)

    def _judge(self, party: RelyingParty, known: Known, claims: Claims) -> Identified | NotIdentified:
        settings = self._settings
        if trouble := presets.trouble_with(settings, claims):
            return NotIdentified(reason=trouble, what_to_do=ASK)
        in_domain = presets.domain_of(settings, claims) in settings.email_domains
        if settings.email_domains and not in_domain:
            return NOT_THIS_DOMAIN
        groups = texts(at_path(claims, presets.groups_path(settings)))
        if settings.groups_divided:
            groups = tuple(one for group in groups for one in group.split())
        fitting = [row for row in settings.mapping if row.group in groups]
        if settings.mapping and not fitting:
            return NOT_IN_A_GROUP
        email = presets.verified_email(settings, claims)
        name = next((said for key in ("name", "preferred_username") if isinstance(said := claims.get(key), str) and said), "")
        sid = known.claims.get("sid")
        return Identified(
            subject=self._subject(party, str(known.claims["sub"])),
            email=email,
            email_verified=bool(email),
            name=name,
            groups=groups,
            role=fitting[0].role if fitting else None,
            clients=_clients(fitting),
            may_join=settings.join,
            may_link=in_domain,
            provider_session=self._session(party, sid) if isinstance(sid, str) and sid else "",
            sign_out_hint=known.id_token if settings.sign_out_there else "",
        )

    @staticmethod
    def _subject(party: RelyingParty, sub: str) -> str:
        """The identity key is issuer and subject, never the address (Core 5.7): after a change of the provider nobody is taken
        for somebody else. An issuer has no fragment, so that the two cannot run into each other."""
        whole = f"{party.client.issuer}#{sub}"
        return whole if len(whole) <= LONGEST_SUBJECT else f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"

    @staticmethod
    def _session(party: RelyingParty, sid: str) -> str:
        return f"{party.client.issuer}#session={sid}"

    async def sign_out(self, ended: SignOut) -> str | None:
        """Say where to sign out at the provider."""
        return await self._at().signed_out_at(ended) if self._settings.sign_out_there else None

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Take a back-channel logout (OpenID Connect Back-Channel Logout 1.0)."""
        if request.path != BACK_CHANNEL:
            return IncomingAnswer(status=404)
        if request.method != "POST":
            return IncomingAnswer(status=405)
        token = _token_in(request.body)
        if not token:
            return _refused("logout_token is missing")
        party = self._at()
        try:
            told = await party.told_of_logout(token)
        except NotTrusted as rule:
            self._context.log.warning("a logout token was refused: %s", rule)
            return _refused("the token is not valid")
        store, used = self._context.store, f"logout/{told.iat:012d}/{hashlib.sha256(told.jti.encode()).hexdigest()}"
        if await store.get(used) is not None:
            return _refused("the token was used already")
        reference = self._session(party, told.sid) if told.sid else self._subject(party, told.sub)
        await self._context.report(Change("session-ended", reference))
        await store.put(used, b"")
        await self._forget_logouts(party.now())
        return IncomingAnswer()

    async def _forget_logouts(self, now: int) -> None:
        """Drop the ids of tokens that are too old to be used again."""
        for key in await self._context.store.keys("logout/"):
            if key >= f"logout/{now - REMEMBERED_SECONDS:012d}":
                return
            await self._context.store.delete(key)

    async def check(self) -> Check:
        """Try the settings: the provider describes itself, shows keys, and knows this client."""
        try:
            party = self._at()
            provider = await party.provider.metadata()
            await party.keys.refresh(provider.jwks_uri)
            # a code that no provider has given: whoever knows the client complains about the code
            nothing = {"grant_type": "authorization_code", "code": "caisey-test", "redirect_uri": "https://caisey.invalid/"}
            answer = await party.ask_for_tokens(provider, {**nothing, "code_verifier": "caisey-test" * 5})
        except (Unavailable, Rejected) as error:
            return Check(False, str(error))
        if "S256" not in provider.code_challenge_methods_supported and provider.code_challenge_methods_supported:
            return Check(False, "The provider takes no PKCE with S256, which sign-in needs.")
        match error_of(answer):
            case "invalid_client" | "unauthorized_client":
                return Check(False, "The provider does not know this client id, or the secret is wrong.")
            case "invalid_grant" | "invalid_request":
                return Check(True, "The provider answers and knows this client.")
        return Check(True, "The provider answers. Whether it knows this client shows at the first sign-in.")


def _clients(fitting: list[Row]) -> tuple[str, ...] | None:
    """Return the clients of all rows with the role that was given; one row for all clients means all."""
    if not fitting:
        return None
    rows = [row for row in fitting if row.role == fitting[0].role]
    if not all(row.clients for row in rows):
        return (EVERY_CLIENT,)
    return tuple(dict.fromkeys(client for row in rows for client in row.clients))


def _token_in(body: bytes) -> str:
    """Return the one logout token in a form, or an empty text."""
    if len(body) > LARGEST_LOGOUT + 100:
        return ""
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=10).get("logout_token", [])
    except ValueError:
        return ""
    return found[0] if len(found) == 1 else ""


def _refused(why: str) -> IncomingAnswer:
    return IncomingAnswer(
        status=400,
        content_type="application/json",
        body=b'{"error":"invalid_request","error_description":"' + why.encode() + b'"}',
    )
