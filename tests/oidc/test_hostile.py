"""Sign-in at a provider that lies, and with browsers that bring what is not theirs: refused in words on the sign-in page, never a 500."""

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from companies import Companies
from doors import Browser, until
from hostile import Hostile, come_back, hostile, leave, told
from providers import companies_at
from real_provider import free_port
from signer import claims, encoded, logout_claims, rsa, signed, unsigned, with_shared_secret

STRANGER = rsa("one")
USED = "used already, took longer than ten minutes, or was begun in another browser"


@dataclass
class Stage:
    """Two companies; acme's provider lies, bolt has a provider of its own."""

    companies: Companies
    provider: Hostile
    other: Hostile

    def browser(self) -> Browser:
        """Open a browser that nobody is signed in with."""
        return Browser(self.companies.url)

    def sign_in(self, **more: Any) -> Browser:
        """Return a browser that is signed in by the provider."""
        self.provider.more = more
        browser = self.browser()
        answer = come_back(browser, leave(browser), self.provider)
        assert answer.status_code == 303, words(answer.text)
        return browser

    def audit(self, words_of_it: str) -> int:
        """Count entries of the audit log that say so."""
        page = self.companies.acme.browser("admin").get("/t/acme-msp/audit?q=" + words_of_it.replace(" ", "+"))
        return page.text.count("<li") if words_of_it in page.text else 0


def words(page: str) -> str:
    """Return what the sign-in page says is wrong."""
    found = re.search(r'<p class="refusal" role="alert" id="refused"><b>(.*?)</b>', page, re.S)
    assert found is not None, page
    return found.group(1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server of this module's own."""
    with hostile() as provider, hostile() as other:
        settings = {
            "acme-msp": {
                "issuer": provider.issuer,
                "client_id": "caisey",
                "client_secret": "p4ssed-to-nobody",
                "mapping": [
                    {"group": "techs", "role": "technician", "clients": ["Harbor of Acme MSP", "no such client"]},
                    {"group": "seniors", "role": "senior technician"},
                ],
                "join": True,
                "email_domains": ["acme.example", "acme-msp.example"],
            },
            "bolt-msp": {"issuer": other.issuer, "client_id": "caisey", "join": True},
        }
        with companies_at(tmp_path_factory.mktemp("oidc") / "data", free_port(), settings) as made:
            yield Stage(made, provider, other)


@pytest.fixture(autouse=True)
def _calm(stage: Stage) -> Iterator[None]:
    """Each test begins with honest providers."""
    yield
    stage.provider.calm()
    stage.other.calm()


def refused(stage: Stage, answer: httpx2.Response, said: str = "") -> None:
    """See that nobody was let in, and that a person reads why."""
    assert 400 <= answer.status_code < 500 or answer.status_code == 503, answer.status_code
    assert said in words(answer.text), words(answer.text)
    assert "caisey" not in {name for name in answer.cookies if not name.endswith(("csrf", "attempt"))}


def test_an_honest_answer_signs_in(stage: Stage) -> None:
    """With PKCE, state and nonce that fit; the person lands where they wanted to go, with the role that their group gives."""
    browser = stage.browser()
    taken = leave(browser, to="/t/acme-msp/account")
    assert taken["response_type"] == "code"
    assert taken["code_challenge_method"] == "S256"
    assert taken["redirect_uri"] == f"{stage.companies.url}/t/acme-msp/plugins/oidc/callback"
    assert min(len(taken["state"]), len(taken["nonce"])) >= 43
    answer = come_back(browser, taken, stage.provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/t/acme-msp/account")
    verifier = stage.provider.verifiers[-1]
    assert 43 <= len(verifier) <= 128
    assert encoded(hashlib.sha256(verifier.encode()).digest()) == taken["code_challenge"]
    assert "Alice" in browser.get("/t/acme-msp/account").text
    row = next(
        line for line in stage.companies.acme.browser("admin").get("/t/acme-msp/members").text.split("<tr") if "Alice" in line
    )
    assert "Technician" in row


def test_who_signs_in_again_proves_it(stage: Stage) -> None:
    """Whoever is signed in comes to prove who they are: the provider is told so, and has to say when they did."""
    browser = stage.sign_in(sub="again", email="again@acme.example")
    taken = leave(browser)
    assert (taken["prompt"], taken["max_age"]) == ("login", "0")
    refused(stage, come_back(browser, taken, stage.provider), "prove again who you are")
    stage.provider.more = {"sub": "again", "email": "again@acme.example", "auth_time": int(time.time())}
    assert come_back(browser, leave(browser), stage.provider).status_code == 303
    stage.provider.more["auth_time"] -= 3600
    refused(stage, come_back(browser, leave(browser), stage.provider), "prove again who you are")


def test_where_to_go_is_on_our_own_site(stage: Stage) -> None:
    """An address elsewhere is not followed."""
    for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example", "/t/bolt-msp/"):
        browser = stage.browser()
        answer = come_back(browser, leave(browser, to=elsewhere), stage.provider)
        assert answer.headers["location"].startswith("/t/acme-msp/"), elsewhere


TOKENS: dict[str, Callable[[Hostile, dict[str, Any]], str]] = {
    "wrong issuer": lambda p, good: signed(p.key, {**good, "iss": "https://evil.example"}),
    "wrong audience": lambda p, good: signed(p.key, {**good, "aud": "other"}),
    "wrong nonce": lambda p, good: signed(p.key, {**good, "nonce": "x" * 43}),
    "no nonce": lambda p, good: signed(p.key, {name: value for name, value in good.items() if name != "nonce"}),
    "alg none": lambda p, good: unsigned(good),
    "HS256 with the public key": lambda p, good: with_shared_secret(p.key.as_pem(private=False), good, kid="one"),
    "expired": lambda p, good: signed(p.key, {**good, "iat": good["iat"] - 500, "exp": good["iat"] - 120}),
    "future": lambda p, good: signed(p.key, {**good, "iat": good["iat"] + 86400, "exp": good["iat"] + 90000}),
    "a stranger's key": lambda p, good: signed(STRANGER, good),
    "a logout token": lambda p, good: signed(p.key, logout_claims(iss=good["iss"]), typ="logout+jwt"),
    "200 kB": lambda p, good: signed(p.key, {**good, "more": "x" * 150_000}),
    "no token": lambda p, good: "",
    "no JSON inside": lambda p, good: signed(p.key, b"\xff\xfe"),
    "control characters in the subject": lambda p, good: signed(p.key, {**good, "sub": "ali\x00ce"}),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_hostile_token_signs_nobody_in(stage: Stage, name: str) -> None:
    """Each breaks one rule; the person reads that it proves nothing, the log which rule it was."""
    stage.provider.token = lambda good: TOKENS[name](stage.provider, good)
    browser = stage.browser()
    refused(stage, come_back(browser, leave(browser), stage.provider), "does not prove who you are")
    assert browser.client.get("/t/acme-msp/account", follow_redirects=False).status_code == 303


def test_an_answer_is_used_once(stage: Stage) -> None:
    """State and code: Back and Reload read that they start over, and nobody is signed in a second time."""
    browser = stage.browser()
    taken = leave(browser)
    assert come_back(browser, taken, stage.provider).status_code == 303
    refused(stage, come_back(browser, taken, stage.provider), USED)
    second = leave(browser)
    refused(stage, come_back(browser, second, stage.provider, code=f"code.{taken['nonce']}"), "used already or is too old")


def test_an_answer_belongs_to_one_browser(stage: Stage) -> None:
    """The attacker's answer in a victim's browser, and the other way round (login CSRF); also without any cookie."""
    mine, theirs = stage.browser(), stage.browser()
    taken = leave(mine)
    leave(theirs)
    refused(stage, come_back(theirs, taken, stage.provider), USED)
    refused(stage, come_back(stage.browser(), taken, stage.provider), USED)
    assert come_back(mine, taken, stage.provider).status_code == 303  # the others could not use it up


def test_an_answer_belongs_to_one_tenant(stage: Stage) -> None:
    """The state of one company's sign-in opens no other's, in the same browser."""
    browser = stage.browser()
    taken = leave(browser, "bolt-msp")
    refused(stage, come_back(browser, taken, stage.provider, "acme-msp"), USED)
    assert come_back(browser, taken, stage.other, "bolt-msp").status_code == 303


def test_several_tabs_sign_in_at_the_same_time(stage: Stage) -> None:
    """Each has its own state."""
    browser = stage.browser()
    first, second = leave(browser), leave(browser)
    assert come_back(browser, first, stage.provider).status_code == 303
    assert come_back(browser, second, stage.provider).status_code == 303


@pytest.mark.parametrize("error", [None, "access_denied"])
def test_another_providers_answer_is_refused(stage: Stage, error: str | None) -> None:
    """RFC 9207: the issuer is in the answer, also in one that tells an error, and is the one that was asked."""
    for said in (stage.other.issuer, f"{stage.provider.issuer}/", "", None):
        browser = stage.browser()
        changes = {"iss": said, **({"error": error, "code": None} if error else {})}
        redeemed = len(stage.provider.codes)
        refused(stage, come_back(browser, leave(browser), stage.provider, **changes), "another provider")
        assert len(stage.provider.codes) == redeemed


def test_what_the_provider_says_is_never_shown_as_it_is(stage: Stage) -> None:
    """Errors have our own words."""
    for error, said in (("access_denied", "was refused"), ("<script>alert(1)</script>", "did not sign you in")):
        browser = stage.browser()
        answer = come_back(browser, leave(browser), stage.provider, code=None, error=error, error_description="<b>Call 555</b>")
        refused(stage, answer, said)
        assert "555" not in answer.text
        assert "<script>alert" not in answer.text


def test_odd_callbacks_are_refused_in_words(stage: Stage) -> None:
    """Parameters twice, without end, missing, or sent as a form."""
    path = "/t/acme-msp/plugins/oidc/callback"
    for sent in ("", "?state=", "?state=a&state=b", "?" + "x=1&" * 500, "?state=%00%ff", "?code=" + "c" * 20_000):
        browser = stage.browser()
        refused(stage, browser.client.get(path + sent, follow_redirects=False), USED)
    for twice in ("code", "iss"):
        browser = stage.browser()
        taken = leave(browser)
        sent = f"?state={taken['state']}&iss={stage.provider.issuer}&code=code.x&{twice}=again"
        refused(stage, browser.client.get(path + sent, follow_redirects=False), "cannot be used")
    for code in ("", "c" * 9000):
        browser = stage.browser()
        refused(stage, come_back(browser, leave(browser), stage.provider, code=code), "cannot be used")
    browser = stage.browser()
    assert browser.client.post(path, data={"state": "x", "code": "y"}, follow_redirects=False).status_code == 404


REPLIES: dict[str, tuple[str, tuple[int, bytes], str]] = {
    "a proxy's page": ("/token", (200, b"<html>maintenance</html>"), "no JSON object"),
    "a list": ("/token", told([]), "no JSON object"),
    "nothing": ("/token", (200, b""), "no JSON object"),
    "a name twice": ("/token", (200, b'{"id_token": "a", "id_token": "b"}'), "no JSON object"),
    "2 MiB": ("/token", (200, b'{"id_token": "' + b"x" * (2 << 20) + b'"}'), "larger than 1 MiB"),
    "20 MiB": ("/token", (200, b"x" * (20 << 20)), "10 MiB"),
    "brackets without end": ("/token", (200, b"[" * 500_000), "no JSON object"),
    "no token": ("/token", told({"access_token": "opens"}), "does not prove"),
    "a token that is no text": ("/token", told({"id_token": ["a"], "access_token": "opens"}), "does not prove"),
    "an error of its own": ("/token", told({"error": "server_error"}, 500), "answers 500"),
    "a wrong secret": ("/token", told({"error": "invalid_client"}, 401), "its secret is wrong"),
    "an error that is no text": ("/token", told({"error": {"a": 1}}, 400), "did not sign you in"),
    "a redirect": ("/token", (302, b""), "answers 302"),
}


@pytest.mark.parametrize("name", REPLIES)
def test_odd_answers_of_the_token_endpoint(stage: Stage, name: str) -> None:
    """Words for the person; the server goes on."""
    path, reply, said = REPLIES[name]
    browser = stage.browser()
    taken = leave(browser)
    stage.provider.replies[path] = reply
    answer = come_back(browser, taken, stage.provider)
    refused(stage, answer, said if answer.status_code == 422 else "does not work now")
    if answer.status_code == 503:  # the person need not know why; the admin reads it
        assert said in stage.companies.acme.browser("admin").get("/t/acme-msp/plugins/oidc").text
    stage.provider.calm()
    until(lambda: come_back(browser, leave(browser), stage.provider).status_code == 303, "the next sign-in", 60)


def test_userinfo_that_tells_about_somebody_else(stage: Stage) -> None:
    """It is asked when the groups are missing, and believed only about the same person."""
    stage.provider.more = {"groups": None}
    stage.provider.replies["/me"] = told({"sub": "mallory", "groups": ["seniors"]})
    browser = stage.browser()
    refused(stage, come_back(browser, leave(browser), stage.provider), "does not prove")
    stage.provider.replies["/me"] = told({"sub": "alice", "groups": ["techs"], "email": "mallory@acme.example"})
    assert come_back(browser, leave(browser), stage.provider).status_code == 303


def test_no_group_that_fits_is_no_access(stage: Stage) -> None:
    """There is no role by default, also not for who is a member already."""
    stage.sign_in()
    for groups in ([], ["others"], "tech", ["Techs"], {"techs": True}, 7, [["techs"]]):
        stage.provider.more = {"groups": groups}
        browser = stage.browser()
        refused(stage, come_back(browser, leave(browser), stage.provider), "in no group that may sign in")


def test_only_verified_addresses_of_listed_domains(stage: Stage) -> None:
    """`email_verified` is JSON true, nothing else."""
    bad: list[dict[str, Any]] = [
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": None},
        {"email": "alice@evil.example"},
        {"email": "alice@acme.example@evil.example"},
        {"email": "alice@sub.acme.example"},
        {"email": ["alice@acme.example"]},
    ]
    for more in bad:
        stage.provider.more = more
        browser = stage.browser()
        refused(stage, come_back(browser, leave(browser), stage.provider), "no verified address")


def test_an_address_connects_with_the_member_who_has_it(stage: Stage) -> None:
    """At the first sign-in only; afterwards the subject counts, whatever the address says."""
    mia = {"sub": "mia-at-the-provider", "email": "mia@acme-msp.example", "groups": ["seniors"]}
    assert "Mia of Acme MSP" in stage.sign_in(**mia).get("/t/acme-msp/account").text
    again = stage.sign_in(**{**mia, "email": "senior@acme-msp.example"})
    assert "Mia of Acme MSP" in again.get("/t/acme-msp/account").text


def test_the_last_admin_is_not_lost_to_a_mapping(stage: Stage) -> None:
    """The provider makes the only admin a technician: nobody could administer the company any more, so that it is not done."""
    admin = stage.sign_in(sub="the-admin", email="admin@acme-msp.example", groups=["techs"])
    assert admin.get("/t/acme-msp/members").status_code == 200
    assert "Admin of Acme MSP" in admin.get("/t/acme-msp/account").text
    assert admin.get("/t/acme-msp/audit").status_code == 200


def test_a_role_follows_the_group_at_each_sign_in(stage: Stage) -> None:
    """Up and down, and said in the audit log."""
    person = {"sub": "moving", "email": "moving@acme.example", "name": "Moving Person"}
    for groups in (["techs"], ["seniors"], ["techs", "seniors"]):
        stage.sign_in(**person, groups=groups)
    log = re.sub(r"<[^>]+>", "", stage.companies.acme.browser("admin").get("/t/acme-msp/audit?q=Moving").text)
    assert "Moving Person is senior technician (before: technician) now; oidc says so" in log
    assert "Moving Person is technician (before: senior technician) now, for Harbor of Acme MSP; oidc says so" in log


def test_names_of_people_are_data(stage: Stage) -> None:
    """Control characters are taken out, markup is text, length has an end."""
    name = "<b>Eve</b>\u202e\u0007 " + "e" * 300
    browser = stage.sign_in(sub="eve", email="eve@acme.example", name=name)
    page = browser.get("/t/acme-msp/account").text
    assert "<b>Eve</b>" not in page
    assert "&lt;b&gt;Eve&lt;/b&gt;" in page
    assert "e" * 101 not in page


# --- back-channel logout ---


def logout(stage: Stage, token: str, **more: Any) -> httpx2.Response:
    """Tell the server that a sign-in ended, as a provider does: no cookie, no token of a form."""
    url = f"{stage.companies.url}/t/acme-msp/plugins/oidc/backchannel-logout"
    return httpx2.post(url, data={"logout_token": token}, timeout=20, **more)


def is_in(browser: Browser) -> bool:
    """Say whether a browser is signed in."""
    return browser.client.get("/t/acme-msp/account", follow_redirects=False).status_code == 200


def test_a_logout_token_ends_that_sign_in_only(stage: Stage) -> None:
    """By its session; a second use, and a session that is not there, change nothing."""
    first, second = stage.sign_in(sub="twice", sid="one"), stage.sign_in(sub="twice", sid="two")
    token = signed(
        stage.provider.key, logout_claims(iss=stage.provider.issuer, sub="twice", sid="one", jti="a"), typ="logout+jwt"
    )
    assert is_in(first)
    answer = logout(stage, token)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert not is_in(first)
    assert is_in(second)
    assert logout(stage, token).status_code == 400
    unknown = logout_claims(iss=stage.provider.issuer, sid="nobody's", jti="b", sub="nobody")
    assert logout(stage, signed(stage.provider.key, unknown)).status_code == 200
    assert is_in(second)


def test_a_logout_of_a_person_ends_all_their_sign_ins(stage: Stage) -> None:
    """Without a session the subject counts; others stay."""
    browsers = [stage.sign_in(sub="all", email="all@acme.example", sid=sid) for sid in ("x", "y", None)]
    other = stage.sign_in(sub="other", email="other@acme.example", sid="z")
    told_of = logout_claims(iss=stage.provider.issuer, sub="all", sid=None, jti="c")
    assert logout(stage, signed(stage.provider.key, told_of)).status_code == 200
    assert not any(map(is_in, browsers))
    assert is_in(other)


def test_forged_logouts_end_nothing(stage: Stage) -> None:
    """Wrong keys, an ID token, another tenant's provider, and what is no token at all: 400, never 500."""
    browser = stage.sign_in(sub="stays", email="stays@acme.example", sid="stay")
    good = logout_claims(iss=stage.provider.issuer, sub="stays", sid="stay", jti="d")
    forged = [
        signed(STRANGER, good),
        unsigned(good),
        with_shared_secret(stage.provider.key.as_pem(private=False), good, kid="one"),
        signed(stage.provider.key, {**good, "nonce": "n"}),
        signed(stage.provider.key, {**good, "aud": "other"}),
        signed(stage.provider.key, claims(iss=stage.provider.issuer, sub="stays", sid="stay")),
        signed(stage.other.key, {**good, "iss": stage.other.issuer}),
        "",
        "x" * 200_000,
    ]
    for token in forged:
        assert logout(stage, token).status_code == 400, token[:80]
    url = f"{stage.companies.url}/t/acme-msp/plugins/oidc/backchannel-logout"
    for body in (b"", b"\xff", b"logout_token=a&logout_token=b", b"&" * 1000, b"logout_token=%ff"):
        answer = httpx2.post(url, content=body, headers={"content-type": "application/x-www-form-urlencoded"}, timeout=20)
        assert answer.status_code == 400, body[:20]
    assert httpx2.post(url, content=b"x" * (300 * 1024), timeout=20).status_code == 413
    assert httpx2.get(url, timeout=20).status_code == 405
    assert is_in(browser)


def test_what_is_not_there_looks_the_same(stage: Stage) -> None:
    """An unknown tenant, plugin and path."""
    answers = [
        httpx2.get(f"{stage.companies.url}/t/{path}", timeout=20)
        for path in (
            "nobody/plugins/oidc/x",
            "acme-msp/plugins/nothing/x",
            "acme-msp/plugins/clerk/callback",
            "nobody/plugins/oidc/callback",
        )
    ]
    assert {answer.status_code for answer in answers} == {404}
    bodies = {re.sub(r'"request_id":"\w+"', "", answer.text) for answer in answers}
    assert len(bodies) == 1
    assert httpx2.get(f"{stage.companies.url}/t/acme-msp/plugins/oidc/other", timeout=20).status_code == 404


def test_secrets_and_tokens_are_not_in_the_log(stage: Stage) -> None:
    """Neither the client's secret nor a code, verifier or token."""
    browser = stage.browser()
    taken = leave(browser)
    come_back(browser, taken, stage.provider)
    log = stage.companies.server.log()
    for secret in (taken["state"], taken["nonce"], stage.provider.verifiers[-1], "p4ssed-to-nobody"):
        assert secret not in log
    data = b"".join(path.read_bytes() for path in stage.companies.server.data.glob("*.db*"))
    assert stage.provider.verifiers[-1].encode() not in data
    assert base64.b64encode(taken["state"].encode()) not in data
    assert taken["state"].encode() not in data


def test_keys_change_while_people_sign_in(stage: Stage) -> None:
    """A rotation is noticed with the first token that the new key signed."""
    browser = stage.browser()
    assert come_back(browser, leave(browser, "bolt-msp"), stage.other, "bolt-msp").status_code == 303
    stage.other.key = rsa("two")
    browser = stage.browser()
    assert come_back(browser, leave(browser, "bolt-msp"), stage.other, "bolt-msp").status_code == 303


def test_a_provider_that_is_down(stage: Stage) -> None:
    """Said on the sign-in page, where the other ways still work; the company beside notices nothing."""
    stage.provider.replies["/token"] = (503, b"")
    browser = stage.browser()
    refused(stage, come_back(browser, leave(browser), stage.provider), "does not work now")
    page = browser.get("/t/acme-msp/sign-in")
    assert page.status_code == 200
    assert "Password" in page.text
    other = stage.browser()
    assert come_back(other, leave(other, "bolt-msp"), stage.other, "bolt-msp").status_code == 303
