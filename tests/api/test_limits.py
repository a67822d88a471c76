"""How often a program may knock: told in each answer, refused in words, each token and address for itself."""

from collections.abc import Iterator

import httpx2
import pytest
from companies import Companies, two_companies
from doors import TLS


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server with small quotas."""
    with two_companies(
        tmp_path_factory.mktemp("limits") / "data", api_requests_per_minute=20, api_requests_per_minute_of_address=60
    ) as made:
        yield made


def test_a_token_that_asks_too_often_waits_and_others_do_not(companies: Companies) -> None:
    """20 at once, then 429 with Retry-After; another token of the same company goes on; then the address has had its share."""
    admin, tom = companies.acme.people["admin"], companies.acme.people["tom"]
    answers = [admin.call("GET", "/me") for _ in range(30)]
    done = [answer for answer in answers if answer.status_code == 200]
    assert 20 <= len(done) <= 25  # some come back meanwhile
    assert done[0].headers["ratelimit-policy"] == '"token";q=20;w=60, "address";q=60;w=60'
    left = [int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0]) for answer in done[:20]]
    assert left[0] == 19
    assert left == sorted(left, reverse=True)
    refused = answers[-1]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit"].startswith('"token";r=0;')
    assert "20 a minute" in refused.json()["detail"]
    assert tom.call("GET", "/me").status_code == 200
    stranger = {"authorization": "Bearer cai_nonsense"}
    guesses = [httpx2.get(admin.base + "/me", headers=stranger, verify=TLS) for _ in range(8)]
    assert guesses[0].status_code == 401
    assert guesses[0].headers["www-authenticate"] == "Bearer"
    assert guesses[-1].status_code == 429  # a guess counts as ten
    assert "this address" in tom.call("GET", "/me").json()["detail"]
    assert companies.acme.browser("tom").get("/t/acme-msp/queue").status_code == 200  # people are not counted


def test_nothing_is_done_when_refused(companies: Companies) -> None:
    """One request too many changes nothing, whatever it asks for."""
    admin = companies.bolt.people["admin"]
    while admin.call("GET", "/me").status_code != 429:
        pass
    assert admin.call("POST", "/clients", json={"name": "Never made"}).status_code == 429
    assert "Never made" not in companies.bolt.browser("admin").get("/t/bolt-msp/clients").text
