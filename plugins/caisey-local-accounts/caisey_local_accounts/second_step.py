"""What a person signs in with besides the password: authenticator apps, passkeys, recovery codes."""

import secrets
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from caisey_hookspecs import Clock, Factor, FactorAdded, FactorAnswer, FactorKind, Factors, FactorSetup, Rejected, Store
from caisey_local_accounts import authenticators, passkeys
from caisey_local_accounts.kept import Authenticator, Kept, Passkey, Shelf, Steps, hash_of, new_codes

MOST: Final = 10  # factors of one account
LONGEST_TITLE: Final = 60
LATE: Final = "This took too long. Begin again."
WRONG_CODE: Final = "This is not the code that the app shows now. Wait for the next one and type it."


class SecondStep:
    """One tenant's factors."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._shelf = Shelf(store)
        self.steps = Steps(store, clock)

    # --- signing in --------------------------------------------------------------------------------------------------

    async def kept(self, subject: str) -> Kept:
        """Return an account's factors."""
        return await self._shelf.get(subject)

    async def takes_code(self, subject: str, code: str) -> bool:
        """Use up an authenticator's code or a recovery code; False for any other."""
        now = self._clock.now()

        def use(kept: Kept) -> Kept | None:
            for one in kept.authenticators:
                step = authenticators.step_of(one.secret, code, now, one.step)
                if step is not None:
                    used = replace(one, step=step, last_used_at=now)
                    return replace(kept, authenticators=tuple(used if x is one else x for x in kept.authenticators))
            if hash_of(code) in kept.codes:
                return replace(kept, codes=tuple(x for x in kept.codes if x != hash_of(code)))
            return None

        return await self._shelf.change(subject, use) is not None

    async def takes_passkey(self, origin: str, ceremony: str, answer: str) -> str | None:
        """Return whose passkey answered this ceremony, once; None if it did not."""
        if not passkeys.host_of(origin) or await self.steps.read("passkey", ceremony) is None:
            return None
        try:
            identity = passkeys.id_in(answer)
            subject = await self._shelf.owner(identity)
            if subject is None:
                return None
            known = next((one for one in (await self._shelf.get(subject)).passkeys if one.id == identity), None)
            if known is None:
                return None
            count = passkeys.count_of(origin, ceremony, answer, known)
        except Rejected:
            return None
        if not await self.steps.use_up(ceremony):
            return None
        used = replace(known, count=count, last_used_at=self._clock.now())
        changed = await self._shelf.change(
            subject,
            lambda kept: (
                replace(kept, passkeys=tuple(used if x.id == identity else x for x in kept.passkeys))
                if known in kept.passkeys
                else None
            ),
        )
        return subject if changed is not None else None

    # --- the account page --------------------------------------------------------------------------------------------

    async def listed(self, subject: str, origin: str) -> Factors:
        """Return what an account has, and what it can have under this origin."""
        kept = await self._shelf.get(subject)
        kinds: tuple[FactorKind, ...] = ("passkey", "authenticator") if passkeys.host_of(origin) else ("authenticator",)
        apps = [_told("authenticator", one) for one in kept.authenticators]
        keys = [_told("passkey", one) for one in kept.passkeys]
        found = sorted([*apps, *keys], key=lambda one: one.added_at)
        return Factors(kinds=kinds, factors=tuple(found), recovery_codes=len(kept.codes))

    async def new(self, subject: str, name: str, kind: FactorKind, origin: str) -> FactorSetup:
        """Begin to set a factor up."""
        kept = await self._shelf.change(subject, lambda kept: kept)
        assert kept is not None
        if len(kept.authenticators) + len(kept.passkeys) >= MOST:
            raise Rejected(f"You have {MOST} of them already. Remove one first.")
        if kind == "authenticator":
            secret = authenticators.new_secret()
            state = await self.steps.make("new-authenticator", subject, secret)
            return FactorSetup(kind=kind, state=state, secret=secret, uri=authenticators.uri_of(secret, subject))
        if not passkeys.host_of(origin):
            raise Rejected("Passkeys need this server under a name and with TLS. Open it by its name.")
        state = await self.steps.make("new-passkey", subject)
        asked = passkeys.creation(origin, state, kept.handle, subject, name, kept.passkeys)
        return FactorSetup(kind=kind, state=state, passkey=asked)

    async def add(self, subject: str, answer: FactorAnswer, origin: str) -> FactorAdded:
        """Judge the answer and keep the factor."""
        said = await self.steps.read(f"new-{answer.kind}", answer.state)
        if said is None or said[0] != subject:
            raise Rejected(LATE)
        title = " ".join(answer.title.split())[:LONGEST_TITLE]
        identity, now = secrets.token_hex(8), self._clock.now()
        if answer.kind == "authenticator":
            step = authenticators.step_of(said[1], answer.answer, now, 0)
            if step is None:
                raise Rejected(WRONG_CODE)
            app = Authenticator(id=identity, title=title or "Authenticator app", secret=said[1], added_at=now, step=step)
            await self._first_use(answer.state)
            codes = await self._keep(subject, lambda kept: replace(kept, authenticators=(*kept.authenticators, app)))
            return FactorAdded(factor=_told("authenticator", app), recovery_codes=codes)
        name, public, count = passkeys.made(origin, answer.state, answer.answer)
        await self._first_use(answer.state)
        if not await self._shelf.name_passkey(name, subject):
            raise Rejected("This passkey is in use already.")
        key = Passkey(id=name, title=title or "Passkey", public_key=public, count=count, added_at=now)
        codes = await self._keep(subject, lambda kept: replace(kept, passkeys=(*kept.passkeys, key)))
        return FactorAdded(factor=_told("passkey", key), recovery_codes=codes)

    async def _first_use(self, state: str) -> None:
        if not await self.steps.use_up(state):
            raise Rejected(LATE)

    async def _keep(self, subject: str, change: Callable[[Kept], Kept]) -> tuple[str, ...]:
        """Add a factor; the first one brings recovery codes."""
        codes, hashes = new_codes()
        made: list[bool] = []

        def keep(kept: Kept) -> Kept:
            made.append(not kept.any)
            after = change(kept)
            return after if kept.any else replace(after, codes=hashes)

        await self._shelf.change(subject, keep)
        return codes if made[-1] else ()

    async def remove(self, subject: str, factor: str) -> None:
        """Drop a factor."""

        def drop(kept: Kept) -> Kept:
            after = replace(
                kept,
                authenticators=tuple(one for one in kept.authenticators if one.id != factor),
                passkeys=tuple(one for one in kept.passkeys if one.id != factor),
            )
            return after if after.any else replace(after, codes=())

        before = await self._shelf.get(subject)
        await self._shelf.change(subject, drop)
        if any(one.id == factor for one in before.passkeys):
            await self._shelf.forget_passkey(factor)

    async def new_recovery_codes(self, subject: str) -> tuple[str, ...]:
        """Replace the recovery codes."""
        codes, hashes = new_codes()
        if await self._shelf.change(subject, lambda kept: replace(kept, codes=hashes) if kept.any else None) is None:
            raise Rejected("Recovery codes come with an authenticator app or a passkey. Add one first.")
        return codes

    async def forget(self, subject: str) -> None:
        """Drop all of an account."""
        await self._shelf.forget(subject)


def _told(kind: FactorKind, one: Authenticator | Passkey) -> Factor:
    return Factor(id=one.id, kind=kind, title=one.title, added_at=one.added_at, last_used_at=one.last_used_at)
