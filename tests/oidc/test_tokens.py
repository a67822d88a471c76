"""Tokens that break one rule each are refused, and those that keep all are taken."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from doubles import Given, answer
from joserfc.jwk import ECKey, OKPKey, RSAKey
from signer import CLIENT, ISSUER, LOGOUT, claims, encoded, logout_claims, public, rsa, signed, unsigned, with_shared_secret

from caisey_hookspecs import Unavailable
from caisey_openid import Expected, KeyRing, NotTrusted, id_token, logout_token

JWKS = f"{ISSUER}/jwks"
KEY = rsa()
STRANGER = rsa()
TWICE = encoded(b'{"alg":"none","alg":"RS256","kid":"one"}')
EC: ECKey = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED: OKPKey = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)


def given() -> Given:
    """A provider that shows one RSA key."""
    made = Given(None)
    made.http.answers[JWKS] = answer(public(KEY))
    return made


def expected(at: Given, **changes: Any) -> Expected:
    """What a token has to say now."""
    wanted: dict[str, Any] = {"issuer": ISSUER, "client_id": CLIENT, "now": at.clock.seconds, "leeway_seconds": 60}
    return Expected(**{**wanted, **changes})


async def read(at: Given, token: str, **changes: Any) -> Any:
    """Judge an ID token."""
    more = {name: changes.pop(name) for name in ("access_token", "proved_after") if name in changes}
    return await id_token(token, KeyRing(at.http, at.clock), JWKS, expected(at, **changes), nonce="n", **more)


async def test_a_right_token_is_taken() -> None:
    """Also with several audiences that are known, with little clock difference, and with headers that we do not know."""
    at = given()
    now = at.clock.seconds
    assert (await read(at, signed(KEY, claims(now=now), typ="JWT", oiat=1, cat="x")))["sub"] == "alice"
    both = claims(now=now, aud=[CLIENT, "other"], azp=CLIENT)
    assert await read(at, signed(KEY, both), trusted_audiences=("other",))
    assert await read(at, signed(KEY, claims(now=now + 50)))
    assert await read(at, signed(KEY, claims(now=now, iat=now - 350, exp=now - 50)))
    assert await read(at, signed(KEY, claims(now=now, nbf=now + 30)))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
async def test_rsa_keys_sign_both_ways(algorithm: str) -> None:
    """PSS and PKCS #1."""
    assert await read(at := given(), signed(KEY, claims(now=at.clock.seconds), algorithm))


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")])
async def test_keys_of_curves_sign(key: ECKey | OKPKey, algorithm: str) -> None:
    """The provider may have other keys than RSA."""
    at = given()
    at.http.answers[JWKS] = answer(public(KEY, EC, ED))
    assert await read(at, signed(key, claims(now=at.clock.seconds), algorithm))


WRONG_CLAIMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "another issuer": lambda now: {"iss": "https://evil.example.test"},
    "the issuer with a slash": lambda now: {"iss": f"{ISSUER}/"},
    "no issuer": lambda now: {"iss": None},
    "an issuer in a list": lambda now: {"iss": [ISSUER]},
    "another audience": lambda now: {"aud": "other"},
    "no audience": lambda now: {"aud": None},
    "an empty list of audiences": lambda now: {"aud": []},
    "a number among the audiences": lambda now: {"aud": [CLIENT, 1], "azp": CLIENT},
    "a further audience that nobody trusts": lambda now: {"aud": [CLIENT, "other"], "azp": CLIENT},
    "issued to another client": lambda now: {"azp": "other"},
    "expired": lambda now: {"iat": now - 500, "exp": now - 61},
    "no end": lambda now: {"exp": None},
    "an end as text": lambda now: {"exp": str(now + 300)},
    "an end with a fraction": lambda now: {"exp": now + 300.5},
    "an end far away": lambda now: {"exp": 1e30},
    "an end that is true": lambda now: {"exp": True},
    "issued tomorrow": lambda now: {"iat": now + 86400, "exp": now + 90000},
    "issued long ago": lambda now: {"iat": now - 700},
    "no time of issue": lambda now: {"iat": None},
    "valid later": lambda now: {"nbf": now + 120},
    "no nonce": lambda now: {"nonce": None},
    "an empty nonce": lambda now: {"nonce": ""},
    "another nonce": lambda now: {"nonce": "m"},
    "a nonce in a list": lambda now: {"nonce": ["n"]},
    "no subject": lambda now: {"sub": None},
    "an empty subject": lambda now: {"sub": ""},
    "a number as subject": lambda now: {"sub": 1},
    "a subject without end": lambda now: {"sub": "a" * 256},
    "a logout": lambda now: {"events": LOGOUT},
    "an access token of Cognito": lambda now: {"token_use": "access"},
    "another access token's hash": lambda now: {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
async def test_a_wrong_claim_is_refused(wrong: str) -> None:
    """The signature is right, one claim is not."""
    at = given()
    told = claims(now=at.clock.seconds, **WRONG_CLAIMS[wrong](at.clock.seconds))
    with pytest.raises(NotTrusted):
        await read(at, signed(KEY, told))


async def test_two_audiences_need_the_authorized_party() -> None:
    """Even where both are known; and ours is always among them."""
    at = given()
    with pytest.raises(NotTrusted, match="authorized party"):
        await read(at, signed(KEY, claims(now=at.clock.seconds, aud=[CLIENT, "other"])), trusted_audiences=("other",))
    with pytest.raises(NotTrusted, match="somebody else"):
        await read(at, signed(KEY, claims(now=at.clock.seconds, aud="other")), trusted_audiences=("other",))


async def test_the_access_token_belongs_to_the_id_token() -> None:
    """`at_hash` is checked where the provider sends it."""
    at = given()
    half = base64.urlsafe_b64encode(hashlib.sha256(b"opens").digest()[:16]).rstrip(b"=").decode()
    token = signed(KEY, claims(now=at.clock.seconds, at_hash=half))
    assert await read(at, token, access_token="opens")
    with pytest.raises(NotTrusted, match="hash"):
        await read(at, token, access_token="another")


def _forgeries(now: int) -> dict[str, str]:
    good = claims(now=now)
    pem, der = KEY.as_pem(private=False), KEY.as_der(private=False)
    jwk = json.dumps(KEY.as_dict(private=False)).encode()
    start, _, signature = signed(KEY, good).rpartition(".")
    header, _, _ = start.partition(".")
    return {
        **{f"alg {word}": unsigned(good, word) for word in ("none", "None", "NONE", "nOnE")},
        "alg none with a signature": unsigned(good, signature=signature),
        "no alg": f"{encoded({'kid': 'one'})}.{encoded(good)}.{signature}",
        "HS256 with the public key as PEM": with_shared_secret(pem, good, kid="one"),
        "HS256 with the public key as DER": with_shared_secret(der, good, kid="one"),
        "HS256 with the public key as JWK": with_shared_secret(jwk, good, kid="one"),
        "HS256 without a key's id": with_shared_secret(pem, good),
        "a stranger's key under the same id": signed(STRANGER, good),
        "a stranger's key in the header": signed(STRANGER, good, jwk=STRANGER.as_dict(private=False)),
        "a stranger's key at an address": signed(STRANGER, good, jku="https://evil.example.test/jwks"),
        "other claims under a right signature": f"{header}.{encoded({**good, 'sub': 'mallory'})}.{signature}",
        "RS384": signed(KEY, good, "RS384"),
        "RS512": signed(KEY, good, "RS512"),
        "an extension that must be understood": signed(KEY, good, crit=["exp"], exp=1),
        "an access token by its type": signed(KEY, good, typ="at+jwt"),
        "a logout token by its type": signed(KEY, good, typ="logout+jwt"),
        "a type that is no text": signed(KEY, good, typ=7),
        "a key's id that is no text": f"{encoded({'alg': 'RS256', 'kid': 1})}.{encoded(good)}.{signature}",
        "five parts": ".".join(["e30"] * 5),
        "two parts": start,
        "an empty part": f"{start}.",
        "no token": "",
        "no header": f"x.{encoded(good)}.{signature}",
        "letters of elsewhere": signed(KEY, good) + "é",
        "200 kB": signed(KEY, {**good, "more": "x" * 150_000}),
        "a name twice": signed(KEY, json.dumps(good)[:-1].encode() + b', "sub": "mallory"}'),
        "a header's name twice": f"{TWICE}.{encoded(good)}.{signature}",
        "claims in a list": signed(KEY, json.dumps([good]).encode()),
        "claims that are no JSON": signed(KEY, b"alice"),
        "claims nested without end": signed(KEY, b"[" * 30_000),
        "not a number": signed(KEY, json.dumps(good)[:-1].encode() + b', "auth_time": NaN}'),
    }


@pytest.mark.parametrize("name", _forgeries(0))
async def test_a_forged_token_is_refused(name: str) -> None:
    """Whatever was done to it, and never with another error than the one that callers know."""
    at = given()
    with pytest.raises(NotTrusted):
        await read(at, _forgeries(at.clock.seconds)[name])


async def test_only_algorithms_that_the_provider_names_are_taken() -> None:
    """Ours and theirs; a provider that names HS256 alone is not believed."""
    at = given()
    token = signed(KEY, claims(now=at.clock.seconds), "PS256")
    with pytest.raises(NotTrusted, match="algorithm"):
        await read(at, token, algorithms=("RS256",))
    with pytest.raises(NotTrusted, match="algorithm"):
        await read(at, with_shared_secret(b"x" * 32, claims(now=at.clock.seconds)), algorithms=("HS256",))


async def test_who_must_sign_in_anew_has_done_so() -> None:
    """`auth_time` counts, and a provider that leaves it out has proved nothing."""
    at = given()
    now = at.clock.seconds
    assert await read(at, signed(KEY, claims(now=now, auth_time=now)), proved_after=now)
    for told in (now - 3600, None, str(now)):
        with pytest.raises(NotTrusted):
            await read(at, signed(KEY, claims(now=now, auth_time=told)), proved_after=now)


# --- logout tokens ---


async def told(at: Given, token: str) -> Any:
    """Judge a logout token."""
    return await logout_token(token, KeyRing(at.http, at.clock), JWKS, expected(at))


async def test_a_right_logout_token_is_taken() -> None:
    """With a session, a person or both; without an end only while it is new."""
    at = given()
    now = at.clock.seconds
    found = await told(at, signed(KEY, logout_claims(now), typ="logout+jwt"))
    assert (found.sid, found.sub, found.jti) == ("s1", "alice", "j1")
    assert (await told(at, signed(KEY, logout_claims(now, sid=None)))).sid == ""
    assert (await told(at, signed(KEY, logout_claims(now, sub=None)))).sub == ""
    assert await told(at, signed(KEY, logout_claims(now, exp=None)))


WRONG_LOGOUTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "a nonce": lambda now: {"nonce": "n"},
    "no event": lambda now: {"events": None},
    "another event": lambda now: {"events": {"http://schemas.openid.net/event/other": {}}},
    "the event is no object": lambda now: {"events": {next(iter(LOGOUT)): None}},
    "nobody": lambda now: {"sub": None, "sid": None},
    "no id": lambda now: {"jti": None},
    "another issuer": lambda now: {"iss": "https://evil.example.test"},
    "another audience": lambda now: {"aud": "other"},
    "expired": lambda now: {"iat": now - 500, "exp": now - 61},
    "old without an end": lambda now: {"iat": now - 200, "exp": None},
    "tomorrow's": lambda now: {"iat": now + 86400, "exp": now + 90000},
    "no time": lambda now: {"iat": None},
    "a session that is no text": lambda now: {"sid": 1},
}


@pytest.mark.parametrize("wrong", WRONG_LOGOUTS)
async def test_a_wrong_logout_token_is_refused(wrong: str) -> None:
    """The signature is right, one claim is not."""
    at = given()
    with pytest.raises(NotTrusted):
        await told(at, signed(KEY, logout_claims(at.clock.seconds, **WRONG_LOGOUTS[wrong](at.clock.seconds))))


async def test_neither_token_passes_for_the_other() -> None:
    """An ID token signs nobody out, a logout token nobody in."""
    at = given()
    with pytest.raises(NotTrusted):
        await told(at, signed(KEY, claims(now=at.clock.seconds)))
    with pytest.raises(NotTrusted):
        await read(at, signed(KEY, logout_claims(at.clock.seconds)))


# --- keys ---


async def test_a_new_key_is_found_at_once_and_its_address_not_asked_at_will() -> None:
    """Rotation: signed with a key that was not there before. A stranger's ids do not make us ask again and again."""
    at, new = given(), rsa("two")
    ring, now = KeyRing(at.http, at.clock), at.clock.seconds

    async def take(token: str) -> Any:
        return await id_token(token, ring, JWKS, expected(at), nonce="n")

    assert await take(signed(KEY, claims(now=now)))
    at.http.answers[JWKS] = answer(public(new))
    assert await take(signed(new, claims(now=now)))
    asked = at.http.times(JWKS)
    for number in range(50):
        with pytest.raises(NotTrusted):
            await take(signed(STRANGER, claims(now=now), kid=f"k{number}"))
    assert at.http.times(JWKS) == asked
    with pytest.raises(NotTrusted):
        await take(signed(KEY, claims(now=now)))  # the old key was withdrawn


async def test_a_key_that_changed_under_its_id_is_asked_for() -> None:
    """Some providers keep the id across a rotation."""
    at, new = given(), rsa("one")
    ring, now = KeyRing(at.http, at.clock), at.clock.seconds
    assert await id_token(signed(KEY, claims(now=now)), ring, JWKS, expected(at), nonce="n")
    at.http.answers[JWKS] = answer(public(new))
    assert await id_token(signed(new, claims(now=now)), ring, JWKS, expected(at), nonce="n")


async def test_keys_are_kept_as_long_as_the_provider_says_within_bounds() -> None:
    """Ten minutes at least, a day at most."""
    for said, kept in (("max-age=5", 600), ("public, max-age=3600", 3600), ("max-age=999999", 86400), ("no-store", 600)):
        at = given()
        at.http.answers[JWKS] = answer(public(KEY), **{"cache-control": said})
        ring = KeyRing(at.http, at.clock)
        await ring.refresh(JWKS)
        at.clock.go_on(kept - 1)
        await ring.refresh(JWKS)
        assert at.http.times(JWKS) == 1, said
        at.clock.go_on(1)
        await ring.refresh(JWKS)
        assert at.http.times(JWKS) == 2, said


BAD_SETS = {
    "a proxy's page": answer(b"<html>maintenance</html>"),
    "an error": answer({"error": "server_error"}, 500),
    "no keys": answer({"keys": []}),
    "a thousand keys": answer({"keys": public(KEY)["keys"] * 1000}),
    "keys that are none": answer({"keys": ["x", {}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": 1, "e": []}]}),
    "keys for encryption": answer(public(KEY, use="enc")),
    "a short key": answer({"keys": [{"kty": "RSA", "kid": "one", "n": encoded(b"\xff" * 128), "e": "AQAB"}]}),
    "a huge key": answer({"keys": [{"kty": "RSA", "kid": "one", "n": encoded(b"\xff" * 1025), "e": "AQAB"}]}),
    "no list": answer({"keys": {}}),
}


@pytest.mark.parametrize("bad", BAD_SETS)
async def test_the_last_good_keys_stay(bad: str) -> None:
    """A provider that stumbles does not keep people out; without any keys it is said to be down."""
    at = given()
    ring = KeyRing(at.http, at.clock)
    await ring.refresh(JWKS)
    at.http.answers[JWKS] = BAD_SETS[bad]
    at.clock.go_on(86401)
    token = signed(KEY, claims(now=at.clock.seconds))
    assert await id_token(token, ring, JWKS, expected(at), nonce="n")
    with pytest.raises(Unavailable):
        await id_token(token, KeyRing(at.http, at.clock), JWKS, expected(at), nonce="n")


async def test_one_odd_key_does_not_spoil_the_others() -> None:
    """Unknown types, other uses, sizes without end: passed over."""
    at = given()
    odd = [
        {"kty": "post-quantum", "kid": "pq"},
        {"kty": "RSA", "kid": "one", "n": "", "e": "AQAB"},
        {"kty": "EC", "crv": "P-521"},
    ]
    at.http.answers[JWKS] = answer({"keys": [*odd, {"kty": "RSA", "use": "enc"}, *public(KEY)["keys"]]})
    assert await read(at, signed(KEY, claims(now=at.clock.seconds)))


async def test_without_a_key_id_it_must_be_clear_which_key_is_meant() -> None:
    """One key of the right type, or none is taken."""
    at = given()
    token = signed(KEY, claims(now=at.clock.seconds), kid=None)
    assert await read(at, token)
    at.http.answers[JWKS] = answer(public(KEY, EC))
    assert await read(at, token)
    at.http.answers[JWKS] = answer(public(KEY, rsa("two")))
    with pytest.raises(NotTrusted):
        await read(at, token)


async def test_a_key_for_another_algorithm_is_not_used() -> None:
    """A key that says `alg` is for that alone."""
    at = given()
    at.http.answers[JWKS] = answer(public(KEY, alg="RS256"))
    assert await read(at, signed(KEY, claims(now=at.clock.seconds)))
    with pytest.raises(NotTrusted):
        await read(at, signed(KEY, claims(now=at.clock.seconds), "PS256"))


def test_keys_are_distinct() -> None:
    """The two RSA keys of these tests have one id and are two keys."""
    assert isinstance(KEY, RSAKey)
    assert KEY.kid == STRANGER.kid
    assert KEY.as_dict(private=False)["n"] != STRANGER.as_dict(private=False)["n"]
