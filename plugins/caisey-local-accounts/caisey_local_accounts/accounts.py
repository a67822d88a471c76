"""Accounts with argon2id hashes; the same work and the same words whether the account exists or not."""

from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from caisey_hookspecs import (
    Attempt,
    Check,
    Clock,
    FactorAdded,
    FactorAnswer,
    FactorKind,
    Factors,
    FactorSetup,
    Field,
    Identified,
    Identity,
    NotIdentified,
    Rejected,
    SignInForm,
    SignInRedirect,
    Store,
)
from caisey_local_accounts.kept import Kept
from caisey_local_accounts.passkeys import host_of, question
from caisey_local_accounts.second_step import LATE, WRONG_CODE, SecondStep
from caisey_local_accounts.throttle import Throttle

SHORTEST, LONGEST = 12, 1024  # characters; NIST SP 800-63B-4, section 3.1.1.2
WORST = frozenset(
    [
        "password",
        "passwort",
        "contraseña",
        "motdepasse",
        "123456789012",
        "1234567890123",
        "qwertyuiopas",
        "letmeinletmein",
        "iloveyouiloveyou",
        "administrator",
        "changemechangeme",
        "correcthorsebatterystaple",
        "passwordpassword",
        "qwertzuiopas",
        "welcome12345",
    ]
)
WRONG = "The e-mail address or the password is wrong."
WRONG_PASSKEY = "This passkey opens no account here. Sign in with your password."


class LocalAccounts(Identity):
    """One tenant's accounts, in the plugin's store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._throttle = Throttle(store, clock)
        self._second = SecondStep(store, clock)
        self._hasher = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)  # OWASP's choice, one round more
        self._nobody = self._hasher.hash("the password of an account that does not exist")

    async def _form(self, origin: str, email: str = "", complaint: str = "") -> SignInForm:
        fields = (
            Field(name="email", label="E-mail address", kind="email", autocomplete="username webauthn", value=email),
            Field(name="password", label="Password", kind="password", autocomplete="current-password"),
        )
        if not host_of(origin):
            return SignInForm(title="Sign in", fields=fields, complaint=complaint)
        ceremony = await self._second.steps.make("passkey")
        return SignInForm(
            title="Sign in",
            fields=(*fields, Field(name="ceremony", label="", kind="hidden", value=ceremony)),
            complaint=complaint,
            passkey=question(origin, ceremony),
        )

    async def _second_form(self, subject: str, kept: Kept, origin: str, complaint: str = "") -> SignInForm:
        hidden = [Field(name="step", label="", kind="hidden", value=await self._second.steps.make("second", subject))]
        asked = ""
        if kept.passkeys and host_of(origin):
            ceremony = await self._second.steps.make("passkey")
            hidden.append(Field(name="ceremony", label="", kind="hidden", value=ceremony))
            asked = question(origin, ceremony, kept.passkeys)
        label = "Code of your app, or a recovery code" if kept.authenticators else "Recovery code"
        return SignInForm(
            title="One more step",
            fields=(Field(name="code", label=label, kind="code", autocomplete="one-time-code"), *hidden),
            button="Continue",
            complaint=complaint,
            passkey=asked,
        )

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Ask for address and password, or a passkey."""
        return await self._form(_origin(attempt))

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Check what came; after too many failures make the account and the address wait."""
        fields = dict(attempt.fields)
        if fields.get("passkey"):
            return await self._passkey(attempt, fields)
        if fields.get("step"):
            return await self._code(attempt, fields)
        return await self._password(attempt, fields)

    async def _password(self, attempt: Attempt, fields: dict[str, str]) -> Identified | NotIdentified | SignInForm:
        email, password = fields.get("email", "").strip().lower()[:254], fields.get("password", "")[:LONGEST]
        if (wait := await self._waits(email, attempt)) is not None:
            return wait
        entry = await self._store.get(f"account/{email}") if email else None
        stored = entry.value.decode() if entry is not None else self._nobody
        try:
            self._hasher.verify(stored, password)
        except (VerifyMismatchError, InvalidHashError):
            entry = None
        if entry is None:
            await self._throttle.failed(email, attempt.address)
            return await self._form(_origin(attempt), email, WRONG)
        if self._hasher.check_needs_rehash(stored):
            await self._store.put(f"account/{email}", self._hasher.hash(password).encode(), if_version=entry.version)
        kept = await self._second.kept(email)
        if kept.any:  # failures are not forgotten yet: the password alone must not make room for guessing codes
            return await self._second_form(email, kept, _origin(attempt))
        await self._throttle.succeeded(email)
        return Identified(subject=email, email=email)

    async def _code(self, attempt: Attempt, fields: dict[str, str]) -> Identified | NotIdentified | SignInForm:
        said = await self._second.steps.read("second", fields["step"])
        if said is None:
            return await self._form(_origin(attempt), complaint=LATE)
        (subject,) = said
        if (wait := await self._waits(subject, attempt)) is not None:
            return wait
        if not await self._second.takes_code(subject, fields.get("code", "")[:LONGEST]):
            await self._throttle.failed(subject, attempt.address)
            return await self._second_form(subject, await self._second.kept(subject), _origin(attempt), WRONG_CODE)
        await self._throttle.succeeded(subject)
        return Identified(subject=subject, email=subject)

    async def _passkey(self, attempt: Attempt, fields: dict[str, str]) -> Identified | NotIdentified | SignInForm:
        origin = _origin(attempt)
        subject = await self._second.takes_passkey(origin, fields.get("ceremony", ""), fields["passkey"])
        if subject is None:
            return await self._form(origin, complaint=WRONG_PASSKEY)
        await self._throttle.succeeded(subject)
        return Identified(subject=subject, email=subject)

    async def _waits(self, account: str, attempt: Attempt) -> NotIdentified | None:
        wait = await self._throttle.wait_seconds(account, attempt.address)
        if wait <= 0:
            return None
        return NotIdentified(reason=f"Too many tries. Wait {round(wait) or 1} seconds.", retry_after_seconds=wait)

    async def factors(self, subject: str, origin: str) -> Factors:
        """Return what a member has besides the password."""
        return await self._second.listed(subject, origin)

    async def new_factor(self, subject: str, name: str, kind: FactorKind, origin: str) -> FactorSetup:
        """Begin to set a factor up."""
        return await self._second.new(subject, name, kind, origin)

    async def add_factor(self, subject: str, answer: FactorAnswer, origin: str) -> FactorAdded:
        """Keep a factor whose answer is right."""
        return await self._second.add(subject, answer, origin)

    async def remove_factor(self, subject: str, factor: str) -> None:
        """Drop a factor."""
        await self._second.remove(subject, factor)

    async def new_recovery_codes(self, subject: str) -> tuple[str, ...]:
        """Replace the recovery codes."""
        return await self._second.new_recovery_codes(subject)

    async def set_password(self, subject: str, password: str) -> None:
        """Set a password. Raises Rejected for a weak one."""
        subject = subject.strip().lower()
        if not SHORTEST <= len(password) <= LONGEST:
            raise Rejected(f"A password has at least {SHORTEST} characters; a short sentence is good.")
        plain = password.lower()
        if plain in WORST or len(set(plain)) < 5 or plain == subject or plain == subject.partition("@")[0]:
            raise Rejected("This password is too easy to guess; choose another.")
        await self._store.put(f"account/{subject}", self._hasher.hash(password).encode())

    async def forget(self, subject: str) -> None:
        """Drop an account."""
        subject = subject.strip().lower()
        await self._store.delete(f"account/{subject}")
        await self._second.forget(subject)

    async def check(self) -> Check:
        """Nothing can be wrong."""
        return Check(True, "Accounts are kept here; nothing needs to be set.")


def _origin(attempt: Attempt) -> str:
    place = urlsplit(attempt.return_url)
    return f"{place.scheme}://{place.netloc}"
