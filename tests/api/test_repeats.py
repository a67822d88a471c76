"""What a program sends twice under one key is done once: on both databases, also when both come at the same moment."""

import threading
from uuid import uuid4

import httpx2
from databases import both
from doors import TLS, Browser, Caisey
from tokens import make, send

pytestmark = both


def _clients(caisey: Caisey) -> list[str]:
    return [one["name"] for one in caisey.people["admin"].get("/clients?limit=200")["items"]]


def test_the_same_answer_again(caisey: Caisey) -> None:
    """Also one with a secret that is shown once; the second says that it is one."""
    ada, key = caisey.people["admin"], str(uuid4())
    first = send(ada, "/installers", {}, key)
    again = send(ada, "/installers", {}, key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    made = [one for one in ada.get("/installers")["items"] if one["id"] == first.json()["view"]["id"]]
    assert len(made) == 1


def test_another_request_under_the_same_key(caisey: Caisey) -> None:
    """Another body, another address: refused, and not done."""
    ada, key = caisey.people["admin"], str(uuid4())
    assert send(ada, "/clients", {"name": "Under one key"}, key).status_code == 201
    for path, body in (
        ("/clients", {"name": "Under the same key"}),
        ("/installers", {}),
        ("/clients?x=1", {"name": "Under one key"}),
    ):
        other = send(ada, path, body, key)
        assert other.status_code == 422, path
        assert other.json()["field"] == "Idempotency-Key"
    assert "Under the same key" not in _clients(caisey)


def test_a_key_is_its_callers(caisey: Caisey) -> None:
    """Another token, of the same member too, has keys of its own."""
    ada, key = caisey.people["admin"], "one key for all"
    browser = Browser(caisey.url)
    browser.get(ada.sign_in.removeprefix(caisey.url))
    browser.post(ada.sign_in.removeprefix(caisey.url))
    second = make(browser, ada, scopes=["read", "manage"])
    refused = send(ada, "/clients", {"name": "Spaces"}, key)
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")  # no spaces in a key
    key = key.replace(" ", "-")
    assert send(ada, "/clients", {"name": "First token"}, key).status_code == 201
    assert send(second, "/clients", {"name": "Second token"}, key).status_code == 201
    assert {"First token", "Second token"} <= set(_clients(caisey))


def test_both_at_once(caisey: Caisey) -> None:
    """Twelve at the same moment: one is done, the others get its answer, or are told that it is under way."""
    ada, key, answers = caisey.people["admin"], str(uuid4()), list[httpx2.Response]()
    start = threading.Barrier(12)

    def go() -> None:
        start.wait()
        answers.append(send(ada, "/installers", {}, key))

    threads = [threading.Thread(target=go) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["view"]["id"] for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert "under way" in answer.json()["detail"]
            assert answer.headers["retry-after"] == "1"
    assert send(ada, "/installers", {}, key).headers["idempotency-replayed"] == "true"


def test_a_refusal_takes_no_key(caisey: Caisey) -> None:
    """Nothing was done: the same key may send what is right now."""
    ada, key = caisey.people["admin"], str(uuid4())
    assert send(ada, "/clients", {"name": ""}, key).status_code == 422
    assert send(ada, "/clients", {"nome": "x"}, key).status_code == 422
    assert send(ada, "/clients", {"name": "Corrected"}, key).status_code == 201
    assert _clients(caisey).count("Corrected") == 1


def test_a_file_too(caisey: Caisey) -> None:
    """An upload is told apart by its content, and is carried once."""
    tom, key = caisey.people["tom"], str(uuid4())
    session = caisey.active()
    place = caisey.data.with_name("carried-once.txt")

    def upload(content: bytes) -> httpx2.Response:
        headers = {"authorization": f"Bearer {tom.token}", "idempotency-key": key}
        address = f"{tom.base}/sessions/{session}/files"
        return httpx2.post(address, params={"path": str(place)}, content=content, headers=headers, timeout=30, verify=TLS)

    first, again, other = upload(b"x" * 300_000), upload(b"x" * 300_000), upload(b"y" * 300_000)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422), other.text
    assert first.json()["id"] == again.json()["id"]
    caisey.finish(session)


def test_an_erasure_takes_the_kept_answers(caisey: Caisey) -> None:
    """They may hold what was erased. That it was done stays known: it is not done a second time."""
    tom, ada, key = caisey.people["tom"], caisey.people["admin"], str(uuid4())
    device = caisey.devices["HD-FRONTDESK"]
    asked = send(tom, f"/devices/{device.id}/sessions", {"reason": "A reason that is erased later"}, key)
    session = asked.json()["id"]
    assert device.answer(device.asked()) == 200
    caisey.state(session, "active")
    assert send(tom, f"/devices/{device.id}/sessions", {"reason": "A reason that is erased later"}, key).json() == asked.json()
    caisey.finish(session)
    ada.post(f"/sessions/{session}/erase", {"reason": "asked for"})
    again = send(tom, f"/devices/{device.id}/sessions", {"reason": "A reason that is erased later"}, key)
    assert again.status_code == 409
    assert "done before" in again.json()["detail"]
    assert "A reason" not in again.text
