"""The identity object: sign-in at Clerk as the OpenID provider, session tokens for the API, and news that ends sign-ins."""

import hashlib
from typing import Final

from caisey_clerk import session_token
from caisey_clerk.backend import Backend, Membership, User
from caisey_clerk.people import People
from caisey_clerk.settings import Row, Settings, issuer_of
from caisey_clerk.webhooks import REMEMBERED_SECONDS, Delivery, delivered, key_of, text_at
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
    Unavailable,
)
from caisey_openid import Client, NotTrusted, RelyingParty

WEBHOOK: Final = "webhook"
SCOPES: Final = ("openid", "email", "profile", "user:org:read")
WELL_KNOWN: Final = ("oauth-authorization-server", "openid-configuration")
EVERY_CLIENT: Final = "*"
OTHER_ORGANIZATION: Final = NotIdentified(
    reason="You chose another organization at Clerk. Sign in again and choose this company’s."
)
NOT_A_MEMBER: Final = NotIdentified(reason="You do not belong to this company’s organization at Clerk.")
NO_ROLE: Final = NotIdentified(reason="Your role at Clerk has no role here. Ask an admin of your company.")
CLOSED: Final = NotIdentified(reason="Your account at Clerk is closed.")


class ClerkSignIn(Identity):
    """One tenant's organization."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context, self._settings = context, context.settings
        self._backend = Backend(context.http, context.settings)
        self._people = People(context.store)
        self._party: RelyingParty | None = None

    def _at(self) -> RelyingParty:
        """Return the relying party. Raises Rejected for settings that cannot work."""
        if self._party is None:
            secret = self._settings.client_secret
            client = Client(
                issuer=issuer_of(self._settings),
                client_id=self._settings.client_id,
                client_secret=secret.reveal() if secret is not None else "",
                scopes=SCOPES,
            )
            self._party = RelyingParty(self._context, client, WELL_KNOWN)
        return self._party

    # --- signing in --------------------------------------------------------------------------------------------------

    async def begin(self, attempt: Attempt) -> SignInRedirect:
        """Send the browser to Clerk, where the person chooses the organization."""
        return await self._at().begin(attempt)

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified:
        """Judge Clerk's answer, and ask what the person is in the organization: no token of this kind tells the role."""
        if attempt.request is None:
            return NotIdentified(reason="This way to sign in has no form.")
        known = await self._at().complete(attempt)
        if isinstance(known, NotIdentified):
            return known
        if known.claims.get("org_id") != self._settings.organization:
            return OTHER_ORGANIZATION
        subject = str(known.claims["sub"])
        user, membership = await self._backend.user(subject), await self._backend.membership(subject)
        judged = self._judge(user, membership)
        if isinstance(judged, NotIdentified):
            return judged
        assert user is not None
        assert membership is not None
        await self._people.remember(subject, membership)
        session = known.claims.get("sid")
        return Identified(
            subject=self._subject(subject),
            email=user.email,
            email_verified=bool(user.email),
            name=user.name,
            role=judged.role,
            clients=judged.clients or (EVERY_CLIENT,),
            may_join=self._settings.join,
            provider_session=session if isinstance(session, str) and session else self._some_session(subject),
        )

    def _judge(self, user: User | None, membership: Membership | None) -> Row | NotIdentified:
        if user is None or user.banned or user.locked:
            return CLOSED
        if membership is None:
            return NOT_A_MEMBER
        return self._row(membership.key) or NO_ROLE

    def _row(self, role: str) -> Row | None:
        return next((row for row in self._settings.mapping if row.clerk_role.removeprefix("org:") == role), None)

    def _subject(self, user: str) -> str:
        """Ids of two instances must not be taken for each other."""
        return f"{issuer_of(self._settings)}#{user}"

    @staticmethod
    def _some_session(user: str) -> str:
        """Stand for a session at Clerk that its token did not name: any that ends may be the one."""
        return f"some-session-of#{user}"

    # --- the API -----------------------------------------------------------------------------------------------------

    async def bearer(self, token: str) -> Identified | None:
        """Say whose session token this is."""
        if not self._settings.origins and not self._settings.native:
            return None
        party = self._at()
        accepted = session_token.Accepted(
            issuer=party.client.issuer,
            organization=self._settings.organization,
            origins=self._settings.origins,
            native=self._settings.native,
            now=party.now(),
        )
        try:
            found = await session_token.verified(token, party.keys, accepted)
        except NotTrusted as rule:
            self._context.log.info("a session token was refused: %s", rule)
            return None
        row = self._row(found.role)
        if row is None:
            return None
        return Identified(
            subject=self._subject(found.subject),
            groups=tuple(sorted(found.permissions)),
            role=row.role,
            clients=row.clients or (EVERY_CLIENT,),
            provider_session=found.session,
        )

    # --- news --------------------------------------------------------------------------------------------------------

    async def incoming(self, request: IncomingRequest) -> IncomingAnswer:
        """Take a webhook. It is remembered once it was acted on: the same one twice does nothing."""
        if request.path != WEBHOOK or self._settings.webhook_secret is None:
            return IncomingAnswer(status=404)
        if request.method != "POST":
            return IncomingAnswer(status=405)
        now = self._at().now()
        delivery = delivered(request, key_of(self._settings.webhook_secret.reveal()), now)
        if delivery is None or (self._settings.instance and delivery.instance != self._settings.instance):
            return IncomingAnswer(status=400, body=b"The signature does not hold.")
        seen = f"told/{delivery.sent_at:012d}/{hashlib.sha256(delivery.id.encode()).hexdigest()}"
        if await self._context.store.get(seen) is None:
            await self._act(delivery)
            await self._context.store.put(seen, b"")
        await self._forget_old(now)
        return IncomingAnswer(status=204)

    async def _forget_old(self, now: int) -> None:
        for key in await self._context.store.keys("told/"):
            if key >= f"told/{now - REMEMBERED_SECONDS:012d}":
                return
            await self._context.store.delete(key)

    async def _act(self, told: Delivery) -> None:
        match told.type:
            case "user.deleted":
                await self._gone(text_at(told.data, "id"))
            case "user.updated" if told.data.get("banned") is True or told.data.get("locked") is True:
                await self._ended(self._subject(text_at(told.data, "id")))
            case "organizationMembership.deleted" | "organizationMembership.updated":
                user = text_at(told.data, "public_user_data", "user_id")
                await self._membership_changed(user or await self._people.of_membership(text_at(told.data, "id")))
            case "organization.deleted" if text_at(told.data, "id") == self._settings.organization:
                while people := await self._people.some():
                    for user in people:
                        await self._gone(user)
            case "session.ended" | "session.removed" | "session.revoked":
                await self._ended(text_at(told.data, "id"))
                if user := text_at(told.data, "user_id"):
                    await self._ended(self._some_session(user))

    async def _membership_changed(self, user: str) -> None:
        """Ask what is so now: messages come late and in any order. Sign-ins end first, whatever the answer is."""
        if not user or not await self._people.knows(user):
            return
        try:
            membership = await self._backend.membership(user)
        except (Unavailable, Rejected) as error:
            await self._ended(self._subject(user))
            raise Unavailable("Clerk could not be asked what changed.") from error
        if membership is None:
            await self._gone(user)
        elif not await self._people.is_as_before(user, membership):
            await self._people.remember(user, membership)
            await self._ended(self._subject(user))

    async def _gone(self, user: str) -> None:
        if user:
            await self._context.report(Change("member-removed", self._subject(user)))
            await self._people.forget(user)

    async def _ended(self, reference: str) -> None:
        if reference:
            await self._context.report(Change("session-ended", reference))

    # --- the settings ------------------------------------------------------------------------------------------------

    async def check(self) -> Check:
        """Try the settings: keys, client and organization."""
        try:
            party = self._at()
            provider = await party.provider.metadata()
            await party.keys.refresh(f"{party.client.issuer}/.well-known/jwks.json")
            if self._settings.webhook_secret is not None:
                key_of(self._settings.webhook_secret.reveal())
            organization = await self._backend.organization()
        except (Unavailable, Rejected) as error:
            return Check(False, str(error))
        if organization is None:
            return Check(False, "Clerk has no organization with this id under this secret key.")
        if provider.code_challenge_methods_supported and "S256" not in provider.code_challenge_methods_supported:
            return Check(False, "Clerk’s description offers no PKCE with S256, which sign-in needs.")
        name = organization.name or organization.id
        if self._settings.publishable_key.startswith("pk_test_"):
            return Check(True, f"Clerk answers for {name}. These are keys of a development instance: not for production.")
        return Check(True, f"Clerk answers for {name}.")
