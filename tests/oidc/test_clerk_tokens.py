"""Clerk's session tokens in its two versions: what they say comes out the same, and what breaks a rule opens nothing."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from doubles import Given, answer
from signer import public, rsa, signed, unsigned, with_shared_secret

from caisey_clerk.session_token import permissions_of
from caisey_clerk.settings import Row, Settings, hosts_of, issuer_of
from caisey_clerk.sign_in import ClerkSignIn
from caisey_hookspecs import Identified, Rejected, Secret

HOST = "clerk.msp.example"
ISSUER = f"https://{HOST}"
JWKS = f"{ISSUER}/.well-known/jwks.json"
ORIGIN = "https://portal.msp.example"
INSTANCE = "ins_2abc"
KEY = rsa(INSTANCE)
ROTATED = rsa(INSTANCE)  # Clerk keeps the key's id when it changes the key


def settings(**changes: Any) -> Settings:
    """What an admin entered."""
    wanted: dict[str, Any] = {
        "publishable_key": f"pk_live_{base64.b64encode(f'{HOST}$'.encode()).decode()}",
        "secret_key": Secret("sk_live_x"),
        "client_id": "oauth1",
        "organization": "org_1",
        "mapping": (Row(clerk_role="org:admin", role="admin"), Row(clerk_role="tech", role="technician", clients=("Harbor",))),
        "origins": (ORIGIN,),
        **changes,
    }
    return Settings(**wanted)


def v2(now: int, **changes: Any) -> dict[str, Any]:
    """The claims of version 2."""
    made: dict[str, Any] = {
        "v": 2,
        "iss": ISSUER,
        "azp": ORIGIN,
        "iat": now,
        "nbf": now - 10,
        "exp": now + 60,
        "jti": "j",
        "sid": "sess_1",
        "sub": "user_1",
        "sts": "active",
        "fva": [5, -1],
        "pla": "o:free",
        "fea": "o:dashboard,o:teams",
        "o": {"id": "org_1", "slg": "acme-msp", "rol": "admin", "per": "manage,read", "fpm": "3,2"},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def v1(now: int, **changes: Any) -> dict[str, Any]:
    """The claims of version 1."""
    made = v2(now, v=None, o=None, fea=None, pla=None, sts=None)
    listed = ["org:dashboard:manage", "org:dashboard:read", "org:teams:read", "org:sys_memberships:read"]
    return {**made, "org_id": "org_1", "org_slug": "acme-msp", "org_role": "org:admin", "org_permissions": listed, **changes}


def token(claims: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    """Return a token as Clerk signs it, with the headers that it adds."""
    return signed(key, claims, typ="JWT", oiat=1, cat="cl_B7d4PD111AAA", **header)


def given(**changes: Any) -> Given:
    """An instance that shows its key."""
    made = Given(settings(**changes))
    made.http.answers[JWKS] = answer(public(KEY))
    return made


@pytest.mark.parametrize("version", [v1, v2])
async def test_both_versions_say_the_same(version: Callable[[int], dict[str, Any]]) -> None:
    """Person, role without prefix, permissions, session."""
    at = given()
    found = await ClerkSignIn(at.context).bearer(token(version(at.clock.seconds)))
    assert found == Identified(
        subject=f"{ISSUER}#user_1",
        groups=("dashboard:manage", "dashboard:read", "teams:read"),
        role="admin",
        clients=("*",),
        provider_session="sess_1",
    )


async def test_no_network_once_the_keys_are_there() -> None:
    """One question for the keys, however many tokens come; a token that nothing signed asks once more, and not again."""
    at = given()
    clerk = ClerkSignIn(at.context)
    for _ in range(5):
        assert await clerk.bearer(token(v2(at.clock.seconds)))
    assert at.http.times(JWKS) == 1
    at.clock.go_on(61)
    for _ in range(5):
        assert await clerk.bearer(token(v2(at.clock.seconds), rsa(INSTANCE))) is None
    assert at.http.times(JWKS) == 2


async def test_a_rotated_key_with_the_same_id() -> None:
    """A signature that does not fit asks for the keys again."""
    at = given()
    clerk = ClerkSignIn(at.context)
    assert await clerk.bearer(token(v2(at.clock.seconds)))
    at.http.answers[JWKS] = answer(public(ROTATED))
    at.clock.go_on(61)
    assert await clerk.bearer(token(v2(at.clock.seconds), ROTATED))


WRONG: dict[str, Callable[[int], dict[str, Any]]] = {
    "another issuer": lambda now: v2(now, iss="https://clerk.evil.example"),
    "no issuer": lambda now: v2(now, iss=None),
    "expired": lambda now: v2(now, exp=now - 6),
    "not valid yet": lambda now: v2(now, nbf=now + 6),
    "issued in the future": lambda now: v2(now, iat=now + 6),
    "no end": lambda now: v2(now, exp=None),
    "an end as text": lambda now: v2(now, exp=str(now + 60)),
    "another origin": lambda now: v2(now, azp="https://evil.example"),
    "no origin": lambda now: v2(now, azp=None),
    "no organization chosen": lambda now: v2(now, sts="pending"),
    "no active organization": lambda now: v2(now, o=None),
    "no active organization, version 1": lambda now: v1(now, org_id=None),
    "another organization": lambda now: v2(now, o={"id": "org_2", "rol": "admin"}),
    "another organization, version 1": lambda now: v1(now, org_id="org_2"),
    "version 1 within version 2": lambda now: {**v1(now), "v": 2},
    "a role without a place here": lambda now: v2(now, o={"id": "org_1", "rol": "member"}),
    "no role": lambda now: v2(now, o={"id": "org_1"}),
    "somebody acts for the person": lambda now: v2(now, act={"sub": "user_9"}),
    "no person": lambda now: v2(now, sub=None),
    "no session": lambda now: v2(now, sid=None),
    "an organization that is text": lambda now: v2(now, o="org_1"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_claim_opens_nothing(wrong: str) -> None:
    """The signature is right, one claim is not."""
    at = given()
    assert await ClerkSignIn(at.context).bearer(token(WRONG[wrong](at.clock.seconds))) is None


async def test_forgeries_open_nothing() -> None:
    """No signature, the public key as a secret, extensions, other kinds of tokens, rubbish."""
    at = given()
    good = v2(at.clock.seconds)
    pem = KEY.as_pem(private=False)
    forged = [
        unsigned(good),
        with_shared_secret(pem, good, kid=INSTANCE),
        token(good, crit=["b64"]),
        signed(KEY, good, kid="ins_other"),
        token(good)[:-4] + "AAAA",
        token({**good, "x": "a" * 9000}),
        *("", "a.b", "a.b.c", "..", "é.é.é", "mt_abc.d.e", "oat_abc.d.e", "ak_abc.d.e", "cai_abc"),
    ]
    clerk = ClerkSignIn(at.context)
    assert [await clerk.bearer(one) for one in forged] == [None] * len(forged)
    assert await clerk.bearer(token(good)) is not None, "the honest one is taken"


async def test_without_origins_no_token_is_taken() -> None:
    """Who entered none wants none; native applications name none."""
    off, native = given(origins=()), given(origins=(), native=True)
    assert await ClerkSignIn(off.context).bearer(token(v2(off.clock.seconds))) is None
    assert off.http.asked == []
    assert await ClerkSignIn(native.context).bearer(token(v2(native.clock.seconds, azp=None)))
    assert await ClerkSignIn(native.context).bearer(token(v2(native.clock.seconds))) is None


def test_permissions_that_both_readings_grant() -> None:
    """Masks belong to features; where it is told differently whether a user's features count, the smaller set is taken."""
    told = {"per": "manage,read", "fpm": "3,2"}
    assert permissions_of("o:dashboard,o:teams", told) == {"dashboard:manage", "dashboard:read", "teams:read"}
    assert permissions_of("ou:dashboard,uo:teams", told) == {"dashboard:manage", "dashboard:read", "teams:read"}
    assert permissions_of("u:beta,o:teams", {"per": "manage,read", "fpm": "3,2"}) == {"teams:read"}
    assert permissions_of("u:beta,o:teams", {"per": "manage,read", "fpm": "2,1"}) == frozenset()
    for odd in (None, 5, "", "o:"):
        assert permissions_of(odd, told) == frozenset()
    assert permissions_of("o:a", {"per": "x", "fpm": "many"}) == frozenset()


def test_the_key_names_the_instance() -> None:
    """And nothing but a host; a proxy's address goes before it."""
    assert issuer_of(settings()) == ISSUER
    assert hosts_of(settings()) == (HOST, "api.clerk.com")
    assert issuer_of(settings(frontend_api="https://caisey.example/__clerk/")) == "https://caisey.example/__clerk"
    for inside in ("clerk.msp.example", "a/b$", "user@host$", "$", "clerk .example$"):
        with pytest.raises(Rejected):
            issuer_of(settings(publishable_key=f"pk_live_{base64.b64encode(inside.encode()).decode()}"))
