"""Accounts with argon2id hashes; the same work and the same words whether the account exists or not."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from caisey_hookspecs import (
    Attempt,
    Check,
    Clock,
    Field,
    Identified,
    Identity,
    NotIdentified,
    Rejected,
    SignInForm,
    SignInRedirect,
    Store,
)
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


class LocalAccounts(Identity):
    """One tenant's accounts, in the plugin's store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._throttle = Throttle(store, clock)
        self._hasher = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)  # OWASP's choice, one round more
        self._nobody = self._hasher.hash("the password of an account that does not exist")

    def _form(self, email: str = "", complaint: str = "") -> SignInForm:
        return SignInForm(
            title="Sign in",
            fields=(
                Field(name="email", label="E-mail address", kind="email", autocomplete="username", value=email),
                Field(name="password", label="Password", kind="password", autocomplete="current-password"),
            ),
            complaint=complaint,
        )

    async def begin(self, attempt: Attempt) -> SignInForm | SignInRedirect:
        """Ask for address and password."""
        return self._form()

    async def complete(self, attempt: Attempt) -> Identified | NotIdentified | SignInForm | SignInRedirect:
        """Check them; after too many failures make the account and the address wait."""
        fields = dict(attempt.fields)
        email, password = fields.get("email", "").strip().lower()[:254], fields.get("password", "")[:LONGEST]
        wait = await self._throttle.wait_seconds(email, attempt.address)
        if wait > 0:
            return NotIdentified(reason=f"Too many tries. Wait {round(wait) or 1} seconds.", retry_after_seconds=wait)
        entry = await self._store.get(f"account/{email}") if email else None
        stored = entry.value.decode() if entry is not None else self._nobody
        try:
            self._hasher.verify(stored, password)
        except (VerifyMismatchError, InvalidHashError):
            entry = None
        if entry is None:
            await self._throttle.failed(email, attempt.address)
            return self._form(email, WRONG)
        await self._throttle.succeeded(email)
        if self._hasher.check_needs_rehash(stored):
            await self._store.put(f"account/{email}", self._hasher.hash(password).encode(), if_version=entry.version)
        return Identified(subject=email, email=email)

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
        await self._store.delete(f"account/{subject.strip().lower()}")

    async def check(self) -> Check:
        """Nothing can be wrong."""
        return Check(True, "Accounts are kept here; nothing needs to be set.")
