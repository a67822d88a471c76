"""Sign-in with a company's own provider: a real, certified one, in a real browser."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from companies import Companies
from playwright.sync_api import Page, expect
from providers import companies_at
from real_provider import CLIENT_ID, SECRET, Provider, free_port, install
from signer import rsa

PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {"email": "alice@acme-msp.example", "email_verified": True, "name": "Alice Ito", "groups": ["dispatch"]},
    "bob": {"email": "bob@acme-msp.example", "email_verified": True, "name": "Bob Stone", "groups": ["accounting"]},
    "mia": {"email": "mia@acme-msp.example", "email_verified": True, "name": "Mia", "groups": ["techs"]},
}


@dataclass
class Stage:
    """A company and its provider."""

    companies: Companies
    provider: Provider

    @property
    def home(self) -> str:
        """The company's address."""
        return f"{self.companies.url}/t/acme-msp"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Both on loopback."""
    port = free_port()
    provider = Provider(install(tmp_path_factory.mktemp("npm") / "provider"), f"http://127.0.0.1:{port}/t/acme-msp", PEOPLE)
    provider.start()
    settings = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "button": "Sign in with Acme",
        "scopes": ["profile", "email", "groups"],
        "mapping": [
            {"group": "dispatch", "role": "dispatcher"},
            {"group": "techs", "role": "technician", "clients": ["Harbor of Acme MSP"]},
        ],
        "join": True,
        "email_domains": ["acme-msp.example"],
    }
    with companies_at(tmp_path_factory.mktemp("companies") / "data", port, {"acme-msp": settings}) as companies:
        yield Stage(companies, provider)
    provider.stop()


def sign_in(page: Page, name: str) -> None:
    """Go to the provider and through its pages."""
    page.get_by_role("link", name="Sign in with Acme").click()
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


Person = Callable[..., Page]


def test_a_new_person_signs_in_and_works_where_they_wanted_to_go(stage: Stage, person: Person) -> None:
    """From a link deep inside: to the provider and back there, as a member made just now with the role of the group."""
    page = person(f"{stage.home}/sessions")
    expect(page).to_have_url(re.compile(r"/sign-in\?to="))
    sign_in(page, "alice")
    expect(page).to_have_url(f"{stage.home}/sessions")
    page.goto(f"{stage.home}/account")
    expect(page.get_by_text("Alice Ito").first).to_be_visible()
    page.goto(f"{stage.home}/members")
    expect(page.get_by_role("row").filter(has_text="Alice Ito")).to_contain_text("Dispatcher")


def test_the_wrong_group_is_told_and_not_let_in(stage: Stage, person: Person) -> None:
    """In words, on the page where one may try another way."""
    page = person(f"{stage.home}/sign-in")
    sign_in(page, "bob")
    expect(page.get_by_role("alert")).to_contain_text("in no group that may sign in here. Ask an admin of your company.")
    assert not Axe().run(page).response["violations"]
    expect(page.get_by_role("link", name="Sign in with Acme")).to_be_visible()
    page.goto(f"{stage.home}/account")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_member_is_known_by_their_verified_address(stage: Stage, person: Person) -> None:
    """Mia had an account before; it is hers that she comes to, with what the provider decides."""
    page = person(f"{stage.home}/sign-in")
    sign_in(page, "mia")
    page.wait_for_url(f"{stage.home}/queue")
    page.goto(f"{stage.home}/account")
    expect(page.get_by_text("Mia of Acme MSP").first).to_be_visible()


def test_signing_out_signs_out_at_the_provider(stage: Stage, person: Person) -> None:
    """The next sign-in asks for the password again; the browser ends on our sign-in page."""
    page = person(f"{stage.home}/sign-in")
    sign_in(page, "alice")
    page.wait_for_url(f"{stage.home}/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page).to_have_url(re.compile(re.escape(f"{stage.home}/sign-in")))
    page.get_by_role("link", name="Sign in with Acme").click()
    expect(page.get_by_placeholder("Enter any login")).to_be_visible()


def test_the_provider_ends_a_sign_in_at_once(stage: Stage, person: Person) -> None:
    """Back-channel logout: the person signs out at the provider, elsewhere, and our page knows it with its next request."""
    page = person(f"{stage.home}/sign-in")
    sign_in(page, "alice")
    page.wait_for_url(f"{stage.home}/")
    elsewhere = page.context.new_page()
    elsewhere.goto(f"{stage.provider.issuer}/session/end")
    elsewhere.get_by_role("button", name="Yes, sign me out").click()
    elsewhere.wait_for_load_state()
    assert "backchannel" not in stage.provider.log(), stage.provider.log()
    page.goto(f"{stage.home}/account")
    expect(page).to_have_url(re.compile("/sign-in"))
    log = stage.companies.acme.browser("admin").get("/t/acme-msp/audit?q=oidc+says+so").text
    assert "Signed Alice Ito out; oidc says so" in log


def test_a_provider_that_comes_back_with_other_keys(stage: Stage, person: Person) -> None:
    """A restart with a rotation keeps nobody out, and who is signed in here stays."""
    page = person(f"{stage.home}/sign-in")
    sign_in(page, "alice")
    page.wait_for_url(f"{stage.home}/")
    stage.provider.stop()
    page.goto(f"{stage.home}/account")
    expect(page.get_by_text("Alice Ito").first).to_be_visible()
    stage.provider.key = rsa("second")
    stage.provider.start()
    other = person(f"{stage.home}/sign-in")
    sign_in(other, "mia")
    other.wait_for_url(f"{stage.home}/queue")
