"""Clerk through a running server: sign-in in a real browser, session tokens at the API, and a webhook that ends what is signed in.

The stand-in answers the few addresses that are used, in the shapes that Clerk documents.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx2
import pytest
from companies import Companies
from doors import Browser, until
from hostile import Hostile, Reply, come_back, hostile, leave, told
from playwright.sync_api import sync_playwright
from providers import companies_at
from real_provider import free_port
from signer import public, rsa, signed
from test_clerk_tokens import v1, v2

KEY = b"a signing key of 24 byte"
INSTANCE = "ins_2abc"
ORIGIN = "https://portal.acme.example"


@dataclass
class StandIn(Hostile):
    """Frontend and Backend API; `people` are those of the organization, with their roles there."""

    key: Any = field(default_factory=lambda: rsa(INSTANCE))
    people: dict[str, str] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)

    def reply(self, path: str, body: bytes) -> Reply:
        """Answer as Clerk does; unknown addresses get its form of an error."""
        if path == "/.well-known/oauth-authorization-server":
            return told(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/oauth/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
                    "code_challenge_methods_supported": ["S256"],
                    "token_endpoint_auth_methods_supported": ["client_secret_basic", "none", "client_secret_post"],
                }
            )
        if path == "/.well-known/jwks.json":
            return told(public(self.key))
        if path == "/oauth/authorize":
            return self._choose()
        if path == "/token":
            return super().reply(path, body)
        if path == "/v1/organizations/org_1":
            return told(
                {"object": "organization", "id": "org_1", "name": "Acme MSP", "slug": "acme-msp", "created_at": 1764000000000}
            )
        if (found := re.fullmatch(r"/v1/users/(user_\w+)(/organization_memberships)?", path)) is not None:
            return self._user(found[1]) if found[2] is None else self._memberships(found[1])
        return told(
            {"errors": [{"code": "resource_not_found", "message": "not found", "meta": {}}], "clerk_trace_id": "x"}, 404
        )

    def _choose(self) -> Reply:
        asked = {name: values[0] for name, values in parse_qs(self.query).items()}
        assert asked["scope"].split() == ["openid", "email", "profile", "user:org:read"]
        assert asked["code_challenge_method"] == "S256"
        there = urlencode({"code": f"code.{asked['nonce']}", "state": asked["state"]})
        return told(f'<a href="{asked["redirect_uri"]}?{there}">Acme MSP</a>'.encode())

    def _user(self, user: str) -> Reply:
        mail = {"id": "idn_1", "email_address": f"{user[5:]}@acme.example", "verification": {"status": "verified"}}
        return told(
            {
                "object": "user",
                "id": user,
                "first_name": user[5:].capitalize(),
                "last_name": None,
                "primary_email_address_id": "idn_1",
                "email_addresses": [mail],
                "banned": user in self.banned,
                "locked": False,
                "public_metadata": {},
            }
        )

    def _memberships(self, user: str) -> Reply:
        role = self.people.get(user)
        elsewhere = {"id": f"orgmem_0{user}", "role": "org:admin", "organization": {"id": "org_0", "name": "Other"}}
        here = {"id": f"orgmem_1{user}", "role": role, "organization": {"id": "org_1", "name": "Acme MSP"}}
        found = [elsewhere, *([here] if role is not None else [])]
        return told({"data": found, "total_count": len(found)})


@dataclass
class Stage:
    """A company that signs in with Clerk, beside one that does not."""

    companies: Companies
    clerk: StandIn

    def back(self, user: str, browser: Browser, **claims: Any) -> httpx2.Response:
        """Sign in at Clerk and come back."""
        self.clerk.more = {"sub": user, "org_id": "org_1", "sid": f"sess_{user}", **claims}
        return come_back(browser, leave(browser, plugin="clerk"), self.clerk, plugin="clerk", iss=None)

    def sign_in(self, user: str) -> Browser:
        """Return a browser that Clerk signed in."""
        browser = Browser(self.companies.url)
        answer = self.back(user, browser)
        assert answer.status_code == 303, answer.text
        return browser

    def hook(self, kind: str, data: dict[str, Any], identity: str) -> httpx2.Response:
        """Tell something as Clerk does."""
        body = json.dumps({"type": kind, "object": "event", "data": data, "instance_id": INSTANCE, "timestamp": 1}).encode()
        sent = str(int(time.time()))
        signature = base64.b64encode(hmac.digest(KEY, f"{identity}.{sent}.".encode() + body, hashlib.sha256)).decode()
        headers = {"svix-id": identity, "svix-timestamp": sent, "svix-signature": f"v1,{signature}"}
        address = f"{self.companies.url}/t/acme-msp/plugins/clerk/webhook"
        return httpx2.post(address, content=body, headers={"content-type": "application/json", **headers}, timeout=20)

    def api(self, token: str, tenant: str = "acme-msp") -> httpx2.Response:
        """Ask for devices with a token."""
        headers = {"authorization": f"Bearer {token}"}
        return httpx2.get(f"{self.companies.url}/api/v1/t/{tenant}/devices", headers=headers, timeout=20)

    def token(self, user: str, version: Any = v2, **changes: Any) -> str:
        """Return a session token."""
        claims = version(int(time.time()), **{"iss": self.clerk.issuer, "azp": ORIGIN, "sub": user, **changes})
        return signed(self.clerk.key, claims, typ="JWT", oiat=1, cat="cl_B7d4PD111AAA")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server of this module's own."""
    with hostile(StandIn) as clerk:
        clerk.people = {"user_ada": "org:admin", "user_tim": "org:tech", "user_bea": "org:tech", "user_moe": "org:member"}
        settings = {
            "publishable_key": f"pk_test_{base64.b64encode(b'some-name-12.clerk.accounts.dev$').decode()}",
            "frontend_api": clerk.issuer,
            "backend_api": f"{clerk.issuer}/v1",
            "secret_key": "sk_test_not_a_real_one",
            "client_id": "caisey",
            "organization": "org_1",
            "mapping": [
                {"clerk_role": "admin", "role": "admin"},
                {"clerk_role": "org:tech", "role": "technician", "clients": ["Harbor of Acme MSP"]},
            ],
            "origins": [ORIGIN],
            "webhook_secret": f"whsec_{base64.b64encode(KEY).decode()}",
            "instance": INSTANCE,
        }
        with companies_at(tmp_path_factory.mktemp("clerk") / "data", free_port(), {"acme-msp": settings}, "clerk") as made:
            yield Stage(made, clerk)


def test_sign_in_in_a_real_browser(stage: Stage) -> None:
    """The page sends the browser to Clerk, the person chooses the organization there, and is in with the role of the mapping."""
    stage.clerk.more = {"sub": "user_ada", "org_id": "org_1", "sid": "sess_ada"}

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(f"{stage.companies.url}/t/acme-msp/sign-in")
        page.get_by_role("link", name="Clerk").click()
        page.get_by_role("link", name="Acme MSP").click()
        page.wait_for_url("**/t/acme-msp/")
        page.goto(f"{stage.companies.url}/t/acme-msp/account")
        assert "Ada, ada@acme.example" in page.inner_text("main")
        assert "admin" in page.inner_text(".me")
        assert not trouble
        chromium.close()


@pytest.mark.parametrize(
    ("user", "claims", "words"),
    [
        ("user_moe", {}, "no role here"),
        ("user_none", {}, "do not belong to this company"),
        ("user_ada", {"org_id": "org_0"}, "another organization"),
        ("user_ada", {"org_id": None}, "another organization"),
        ("not a user", {}, "closed"),
    ],
)
def test_who_is_not_let_in(stage: Stage, user: str, claims: dict[str, Any], words: str) -> None:
    """In words on the sign-in page."""
    answer = stage.back(user, Browser(stage.companies.url), **claims)
    assert 400 <= answer.status_code < 500
    assert words in answer.text


def test_a_banned_person_is_not_let_in(stage: Stage) -> None:
    """Clerk's token is right, the account is closed."""
    stage.clerk.banned.add("user_tim")
    try:
        answer = stage.back("user_tim", Browser(stage.companies.url))
    finally:
        stage.clerk.banned.clear()
    assert (answer.status_code, "closed" in answer.text) == (422, True)


def test_session_tokens_at_the_api(stage: Stage) -> None:
    """Both versions open the API of their company with the member's own rights, for the clients that they serve, and no other's."""
    stage.sign_in("user_tim")
    tech = {"id": "org_1", "rol": "tech", "per": "", "fpm": ""}
    for token in (stage.token("user_tim", o=tech), stage.token("user_tim", v1, org_role="org:tech", org_permissions=[])):
        answer = stage.api(token)
        assert answer.status_code == 200, answer.text
        assert {group["name"] for group in answer.json()["groups"]} <= {"Harbor of Acme MSP"}
        assert stage.api(token, "bolt-msp").status_code == 401, "another company does not know this provider"
    for wrong in (
        stage.token("user_tim", o={**tech, "id": "org_2"}),
        stage.token("user_tim", o=tech, azp="https://evil.example"),
        stage.token("user_nobody", o=tech),
        stage.token("user_tim", o=tech, exp=int(time.time()) - 60),
        signed(rsa(INSTANCE), v2(int(time.time()), iss=stage.clerk.issuer, azp=ORIGIN, sub="user_tim", o=tech)),
    ):
        answer = stage.api(wrong)
        assert answer.status_code == 401, answer.text
        assert wrong not in answer.text


def test_a_webhook_ends_what_is_signed_in(stage: Stage) -> None:
    """Who leaves the organization is out within a second, everywhere; a forged message changes nothing."""
    bea = stage.sign_in("user_bea")
    token = stage.token("user_bea", o={"id": "org_1", "rol": "tech", "per": "", "fpm": ""})
    assert "Bea" in bea.get("/t/acme-msp/account").text
    assert stage.api(token).status_code == 200
    left = {
        "id": "orgmem_1user_bea",
        "role": "org:tech",
        "organization": {"id": "org_1"},
        "public_user_data": {"user_id": "user_bea"},
    }
    del stage.clerk.people["user_bea"]
    forged = httpx2.post(f"{stage.companies.url}/t/acme-msp/plugins/clerk/webhook", json={"type": "user.deleted"}, timeout=20)
    assert forged.status_code == 400
    assert "Bea" in bea.get("/t/acme-msp/account").text
    begun = time.monotonic()
    assert stage.hook("organizationMembership.deleted", left, "msg_bea").status_code == 204
    until(lambda: "Bea," not in bea.get("/t/acme-msp/account").text, "the end of the sign-in")
    until(lambda: stage.api(token).status_code == 401, "the end of the token's rights", patience=60)
    assert time.monotonic() - begun < 60
    assert stage.hook("organizationMembership.deleted", left, "msg_bea").status_code == 204
    log = stage.companies.acme.browser("admin").get("/t/acme-msp/audit?q=clerk").text
    assert "Bea" in log
    assert stage.hook("session.ended", {"id": "sess_user_tim", "user_id": "user_tim"}, "msg_other").status_code == 204


def test_a_session_that_ends_at_clerk_ends_here(stage: Stage) -> None:
    """That one; the person's other sign-in stays."""
    one = stage.sign_in("user_tim")
    other = Browser(stage.companies.url)
    assert stage.back("user_tim", other, sid="sess_other").status_code == 303
    assert stage.hook("session.revoked", {"id": "sess_user_tim", "user_id": "user_tim"}, "msg_tim").status_code == 204
    until(lambda: "Tim," not in one.get("/t/acme-msp/account").text, "the end of the sign-in")
    assert "Tim," in other.get("/t/acme-msp/account").text
