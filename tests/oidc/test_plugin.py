"""The plugin's answers: what it asks of a provider, what it makes of claims, and the odd ways of each provider."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from doubles import Given, answer
from signer import CLIENT, ISSUER, claims, logout_claims, public, rsa, signed

from caisey_hookspecs import Attempt, Identified, IncomingRequest, NotIdentified, Rejected, Secret, SignOut, Unavailable
from caisey_oidc import presets
from caisey_oidc.settings import Preset, Row, Settings
from caisey_oidc.sign_in import CompanySignIn

KEY = rsa()
DIRECTORY = "11111111-2222-3333-4444-555555555555"
ENTRA = f"https://login.microsoftonline.com/{DIRECTORY}/v2.0"
BACK = "https://caisey.example.test/t/acme/plugins/oidc/callback"
TECHS = (Row(group="techs", role="technician", clients=("Harbor",)),)


def given(issuer: str = ISSUER, described: dict[str, Any] | None = None, **settings: Any) -> Given:
    """A provider that describes itself, and an admin's settings for it."""
    made = Given(Settings(**{"issuer": issuer, "client_id": CLIENT, "client_secret": Secret("s+e%c:r"), **settings}))
    base = issuer.removesuffix("/")
    told = {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/authorize?tenant=1",
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/jwks",
        "userinfo_endpoint": f"{base}/me",
        "end_session_endpoint": f"{base}/end",
        "grant_types_supported": None,
        **(described or {}),
    }
    made.http.answers[f"{base}/.well-known/openid-configuration"] = answer(told)
    made.http.answers[f"{base}/jwks"] = answer(public(KEY))
    return made


async def came_back(at: Given, plugin: CompanySignIn | None = None, **changes: Any) -> Identified | NotIdentified:
    """Sign somebody in with these claims."""
    plugin = plugin or CompanySignIn(at.context)
    asked = await plugin.begin(Attempt(handle="h", return_url=BACK))
    sent = parse_qs(urlsplit(asked.url).query)
    issuer = changes.pop("iss", None) or presets.issuer_of(at.settings)
    told = claims(sent["nonce"][0], at.clock.seconds, **{"iss": issuer, "groups": ["techs"], **changes})
    base = presets.issuer_of(at.settings).removesuffix("/")
    at.http.answers[f"{base}/token"] = answer({"id_token": signed(KEY, told), "access_token": "opens"})
    request = IncomingRequest(method="GET", path="callback", query=(("code", "c"), ("state", "h")))
    return await plugin.complete(Attempt(request=request, state=asked.state, return_url=BACK, handle="h"))


async def known(at: Given, **changes: Any) -> Identified:
    """Sign in somebody who is known."""
    found = await came_back(at, **changes)
    assert isinstance(found, Identified), found
    return found


async def test_what_the_provider_is_asked() -> None:
    """The scope openid once, PKCE, and what the address had before."""
    at = given(scopes=("email", "openid", "groups"))
    sent = parse_qs(urlsplit((await CompanySignIn(at.context).begin(Attempt(handle="h", return_url=BACK))).url).query)
    assert sent["scope"] == ["openid email groups"]
    assert (sent["tenant"], sent["state"], sent["redirect_uri"]) == (["1"], ["h"], [BACK])
    assert "prompt" not in sent


async def test_the_secret_is_encoded_before_it_is_sent() -> None:
    """RFC 6749, 2.3.1: as in a form, then base64; in the body where the provider wants it there; left out where there is none."""
    at = given()
    await known(at)
    header = (
        dict(at.http.headers[-2])["authorization"]
        if "authorization" not in at.http.headers[-1]
        else at.http.headers[-1]["authorization"]
    )
    assert base64.b64decode(header.removeprefix("Basic ")) == b"caisey:s%2Be%25c%3Ar"
    at = given(described={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    await known(at)
    form = next(parse_qs(body.decode()) for body in at.http.bodies if body)
    assert (form["client_id"], form["client_secret"]) == ([CLIENT], ["s+e%c:r"])
    at = given(client_secret=None)
    await known(at)
    form = next(parse_qs(body.decode()) for body in at.http.bodies if body)
    assert form["client_id"] == [CLIENT]
    assert "client_secret" not in form
    assert 43 <= len(form["code_verifier"][0]) <= 128
    with pytest.raises(Rejected, match="client_secret_basic"):
        await came_back(given(described={"token_endpoint_auth_methods_supported": ["private_key_jwt"]}))


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example.test"}, "calls itself"),
    "a slash more": ({"issuer": f"{ISSUER}/"}, "calls itself"),
    "no issuer": ({"issuer": None}, "not one of OpenID"),
    "no keys": ({"jwks_uri": None}, "not one of OpenID"),
    "keys in clear": ({"jwks_uri": "http://id.example.test/jwks"}, "jwks_uri"),
    "a script as address": ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
    "credentials in the address": ({"token_endpoint": "https://a:b@id.example.test/token"}, "token_endpoint"),
    "a number as address": ({"token_endpoint": 7}, "not one of OpenID"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_a_description_that_is_not_the_providers(name: str) -> None:
    """Said to the admin in words."""
    described, said = DESCRIPTIONS[name]
    with pytest.raises(Rejected, match=said):
        await CompanySignIn(given(described=described).context).begin(Attempt())


async def test_a_provider_that_is_down_is_asked_again_soon_and_not_at_once() -> None:
    """The last good description stays for as long as a new one cannot be had."""
    at, address = given(), f"{ISSUER}/.well-known/openid-configuration"
    good = at.http.answers.pop(address)
    plugin = CompanySignIn(at.context)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await plugin.begin(Attempt())
    assert at.http.times(address) == 1
    at.clock.go_on(11)
    at.http.answers[address] = good
    assert await plugin.begin(Attempt())
    at.clock.go_on(3601)
    for bad in (answer(b"<html>", 200), answer({}, 503), answer(b"[]"), answer({"issuer": "https://evil.example.test"})):
        at.http.answers[address] = bad
        assert await plugin.begin(Attempt())
        at.clock.go_on(11)


async def test_a_sign_in_that_was_begun_with_other_settings_ends() -> None:
    """Mix-up by a change of the provider meanwhile."""
    first, second = given(), given("https://other.example.test")
    asked = await CompanySignIn(first.context).begin(Attempt(handle="h", return_url=BACK))
    request = IncomingRequest(method="GET", path="callback", query=(("code", "c"), ("state", "h")))
    said = await CompanySignIn(second.context).complete(Attempt(request=request, state=asked.state, return_url=BACK))
    assert isinstance(said, NotIdentified)
    assert "another provider" in said.reason
    said = await CompanySignIn(second.context).complete(Attempt(request=request, state=b"\xff", return_url=BACK))
    assert isinstance(said, NotIdentified)


async def test_the_identity_is_issuer_and_subject() -> None:
    """The same subject at another provider is somebody else."""
    first, second = await known(given()), await known(given("https://other.example.test"))
    assert first.subject != second.subject
    long = [(await known(given(), sub="a" * 254 + letter)).subject for letter in "ab"]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 255
    assert (await known(given(), sid="s")).provider_session != (await known(given())).provider_session == ""


async def test_the_first_row_that_fits_gives_the_role_and_all_its_rows_the_clients() -> None:
    """One row for all clients means all; no row, no access; without rows admins decide."""
    rows = (
        Row(group="lead", role="senior technician"),
        Row(group="techs", role="technician", clients=("Harbor",)),
        Row(group="north", role="technician", clients=("Northwind", "Harbor")),
        Row(group="audit", role="auditor", clients=("Other",)),
    )
    at = given(mapping=rows)
    for groups, role, clients in (
        (["techs"], "technician", ("Harbor",)),
        (["north", "techs", "audit"], "technician", ("Harbor", "Northwind")),
        (["techs", "lead"], "senior technician", ("*",)),
        ("audit", "auditor", ("Other",)),
    ):
        found = await known(at, groups=groups)
        assert (found.role, found.clients) == (role, clients)
    assert isinstance(await came_back(at, groups=["techs north"]), NotIdentified)
    divided = given(mapping=rows, groups_divided=True)
    assert (await known(divided, groups="x techs")).role == "technician"
    found = await known(given())
    assert (found.role, found.clients) == (None, None)


async def test_a_claims_path_is_a_list_of_keys() -> None:
    """Names of claims hold dots, colons and slashes."""
    name = "https://msp.example/roles"
    assert (await known(given(mapping=TECHS, groups_claim=(name,)), groups=None, **{name: ["techs"]})).role
    at = given(mapping=TECHS, groups_claim=("realm_access", "roles"))
    assert (await known(at, groups=None, realm_access={"roles": ["techs"]})).role
    for odd in ("techs", ["techs"], {"roles": {"techs": 1}}, None):
        at.http.answers[f"{ISSUER}/me"] = answer({"sub": "alice"})
        assert isinstance(await came_back(at, groups=None, realm_access=odd), NotIdentified)


async def test_userinfo_is_asked_only_for_what_is_missing() -> None:
    """And adds, never replaces."""
    at = given(mapping=TECHS)
    await known(at)
    assert at.http.times(f"{ISSUER}/me") == 0
    at.http.answers[f"{ISSUER}/me"] = answer({"sub": "alice", "groups": ["techs"], "name": "Other", "sid": "theirs"})
    found = await known(at, groups=None, name="Alice")
    assert (found.role, found.name, found.provider_session) == ("technician", "Alice", "")
    assert at.http.headers[-1]["authorization"] == "Bearer opens"


async def test_signing_out_at_the_provider() -> None:
    """With the hint unless it is too long for an address; nowhere if the admin or the provider does not want it."""
    ended = SignOut(provider_session="s", hint="token", return_url="https://caisey.example.test/t/acme/sign-in")
    to = await CompanySignIn(given().context).sign_out(ended)
    assert to is not None
    sent = parse_qs(urlsplit(to).query)
    assert sent == {"client_id": [CLIENT], "post_logout_redirect_uri": [ended.return_url], "id_token_hint": ["token"]}
    long = await CompanySignIn(given().context).sign_out(
        SignOut(provider_session="", hint="x" * 6000, return_url=ended.return_url)
    )
    assert long is not None
    assert "id_token_hint" not in long
    assert await CompanySignIn(given(sign_out_there=False).context).sign_out(ended) is None
    assert await CompanySignIn(given(described={"end_session_endpoint": None}).context).sign_out(ended) is None


@pytest.mark.parametrize(
    ("reply", "ok", "said"),
    [
        (answer({"error": "invalid_grant"}, 400), True, "knows this client"),
        (answer({"error": "invalid_client"}, 401), False, "secret is wrong"),
        (answer(b"<html>", 200), True, "shows at the first sign-in"),
    ],
)
async def test_the_test_button(reply: Any, ok: bool, said: str) -> None:
    """It tells a wrong secret from a right one, without anybody signing in."""
    at = given()
    at.http.answers[f"{ISSUER}/token"] = reply
    check = await CompanySignIn(at.context).check()
    assert (check.ok, said in check.message) == (ok, True), check.message


async def test_the_test_button_names_what_is_wrong() -> None:
    """A provider that is away, has no PKCE, or settings that cannot be."""
    assert not (await CompanySignIn(Given(Settings(client_id="x", issuer=ISSUER)).context).check()).ok
    at = given(described={"code_challenge_methods_supported": ["plain"]})
    at.http.answers[f"{ISSUER}/token"] = answer({"error": "invalid_grant"}, 400)
    assert "PKCE" in (await CompanySignIn(at.context).check()).message
    assert "issuer is missing" in (await CompanySignIn(Given(Settings(client_id="x")).context).check()).message


async def test_logouts_that_are_old_are_forgotten() -> None:
    """Ids of logout tokens stay for two hours."""
    at = given()
    at.store.entries[f"logout/{at.clock.seconds - 8000:012d}/x"] = b""
    at.store.entries[f"logout/{at.clock.seconds - 60:012d}/y"] = b""
    token = signed(KEY, logout_claims(at.clock.seconds))
    request = IncomingRequest(method="POST", path="backchannel-logout", body=b"logout_token=" + token.encode())
    plugin = CompanySignIn(at.context)
    assert (await plugin.incoming(request)).status == 200
    assert [change.reference for change in at.news] == [f"{ISSUER}#session=s1"]
    assert len(at.store.entries) == 2
    assert (await plugin.incoming(request)).status == 400
    assert len(at.news) == 1


# --- presets ---


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        f"https://sts.windows.net/{DIRECTORY}/",
        f"https://login.microsoftonline.com/{DIRECTORY}/v2.0/",
        f"https://login.microsoftonline.com.evil.example/{DIRECTORY}/v2.0",
    ],
)
async def test_entra_id_needs_its_directory(issuer: str) -> None:
    """Anybody's directory could sign in otherwise."""
    with pytest.raises(Rejected, match="directory"):
        await CompanySignIn(given(issuer, preset="entra").context).begin(Attempt())


async def test_entra_id() -> None:
    """App roles by default; the address counts with `xms_edov` only; overage and other directories are said in words."""
    at = given(ENTRA, preset="entra", mapping=TECHS, email_domains=("acme.example",))
    right = {"roles": ["techs"], "email": "a@acme.example", "xms_edov": True, "tid": DIRECTORY}
    found = await known(at, **right)
    assert (found.email, found.may_link) == ("a@acme.example", True)
    for more in ({"xms_edov": None}, {"xms_edov": "1"}, {"xms_edov": None, "email_verified": True}):
        assert isinstance(await came_back(at, **{**right, **more}), NotIdentified)
    other = await came_back(at, **{**right, "tid": DIRECTORY.replace("1", "9")})
    assert isinstance(other, NotIdentified)
    assert "another directory" in other.reason
    groups = given(ENTRA, preset="entra", mapping=TECHS, groups_claim=("groups",))
    groups.http.answers[f"{ENTRA}/me"] = answer({"sub": "alice"})
    over = await came_back(groups, groups=None, _claim_names={"groups": "src1"}, _claim_sources={})
    assert isinstance(over, NotIdentified)
    assert "so many groups" in over.reason


async def test_google() -> None:
    """The issuer is known; the domain is `hd`, not the address; there is no end of the session."""
    at = given(presets.GOOGLE, preset="google", email_domains=("acme.example",), described={"end_session_endpoint": None})
    at.settings = Settings(preset="google", client_id=CLIENT, client_secret=Secret("s"), email_domains=("acme.example",))
    plugin = CompanySignIn(at.context)
    assert parse_qs(urlsplit((await plugin.begin(Attempt())).url).query)["hd"] == ["acme.example"]
    assert (await known(at, email="a@acme.example", email_verified=True, hd="acme.example")).may_link
    for hd in (None, "other.example", ["acme.example"]):
        assert isinstance(await came_back(at, email="a@acme.example", email_verified=True, hd=hd), NotIdentified)
    with pytest.raises(Rejected, match="Google"):
        presets.issuer_of(Settings(preset="google", client_id="x", issuer="https://evil.example"))
    assert "oauth2.googleapis.com" in presets.hosts_of(at.settings)


@pytest.mark.parametrize(
    ("preset", "issuer", "groups"),
    [
        ("okta", "https://acme.okta.com", ["techs"]),
        ("okta", "https://acme.okta.com/oauth2/default", ["techs"]),
        ("keycloak", "https://sso.example.test/realms/acme", ["/msp/techs"]),
        ("other", "https://acme.auth0.com/", ["techs"]),
    ],
)
async def test_issuers_and_groups_as_they_are(preset: Preset, issuer: str, groups: list[str]) -> None:
    """Two issuers of Okta, paths of Keycloak, the slash of Auth0: taken exactly."""
    at = given(issuer, preset=preset, mapping=(Row(group=groups[0], role="admin"),))
    assert (await known(at, groups=groups)).role == "admin"
    wrong = await came_back(at, groups=groups, iss=issuer.removesuffix("/") if issuer.endswith("/") else f"{issuer}/")
    assert isinstance(wrong, NotIdentified)
