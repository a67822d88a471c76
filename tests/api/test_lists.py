"""Lists of the API in parts: each entry is met once, whatever comes and goes meanwhile; on both databases."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from databases import both
from doors import TLS, Caisey, Person, until

pytestmark = both


def walk(person: Person, path: str, limit: int, between: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """Yield all entries of a list, part by part."""
    after = ""
    while True:
        part = person.get(f"{path}{'&' if '?' in path else '?'}limit={limit}&after={after}")
        assert len(part["items"]) <= limit
        yield from part["items"]
        if not (after := part["next"]):
            return
        between()


def test_newest_first_while_more_come(caisey: Caisey) -> None:
    """Installers: those that were there are met once, in order; new ones do not push any into the next part."""
    ada = caisey.people["admin"]
    before = [ada.post("/installers", {})["view"]["id"] for _ in range(7)]
    met = [one["id"] for one in walk(ada, "/installers", 2, lambda: ada.post("/installers", {}) and None)]
    assert len(met) == len(set(met))
    assert [one for one in met if one in before] == before[::-1]


def test_by_name_while_some_are_renamed(caisey: Caisey) -> None:
    """Clients: one that is renamed in front of the place where the walk is does not repeat others."""
    ada = caisey.people["admin"]
    ids = {name: ada.post("/clients", {"name": name})["id"] for name in ("B one", "B two", "B three", "B four")}
    names = iter(["A first", "A second", "A third", "A fourth"])
    met = [one["id"] for one in walk(ada, "/clients", 1, lambda: _rename(ada, ids["B four"], next(names, "A last")))]
    assert len(met) == len(set(met))
    assert {ids["B one"], ids["B two"], ids["B three"]} <= set(met)


def _rename(person: Person, client: str, name: str) -> None:
    person.post(f"/clients/{client}/rename", {"name": name})


def test_devices_by_client(caisey: Caisey) -> None:
    """The devices of all clients, one at once; the place stays when the device there is gone."""
    ada = caisey.people["admin"]
    whole = [row["id"] for group in ada.get("/devices?limit=200")["groups"] for row in group["rows"]]
    met, after = [], ""
    while True:
        part = ada.get(f"/devices?limit=1&after={after}")
        met += [row["id"] for group in part["groups"] for row in group["rows"]]
        if not (after := part["next"]):
            break
    assert met == whole


def test_sessions_that_are_over(caisey: Caisey) -> None:
    """Newest end first; the board has the last ones only, the list all."""
    tom = caisey.people["tom"]
    made = []
    for number in range(5):
        device = caisey.devices["HD-FRONTDESK"].id
        body = {"reason": f"Number {number}", "scopes": ["run"], "duration_minutes": 15}
        session = tom.post(f"/devices/{device}/sessions", body)["id"]
        tom.post(f"/sessions/{session}/cancel", {"reason": "not needed"})
        made.append(session)
        until(lambda session=session: tom.get(f"/sessions/{session}/card")["sealed"], "the seal")
    met = [one["id"] for one in walk(tom, "/sessions/ended", 2)]
    assert len(met) == len(set(met))
    assert [one for one in met if one in made] == made[::-1]
    client = tom.get(f"/sessions/{made[0]}/card")["client"]
    assert set(made) <= {one["id"] for one in walk(tom, f"/sessions/ended?client={client}", 3)}
    other = next(one["id"] for one in tom.get("/clients")["items"] if one["id"] != client)
    assert not set(made) & {one["id"] for one in walk(tom, f"/sessions/ended?client={other}", 3)}


def test_notices_and_audit_entries(caisey: Caisey) -> None:
    """Notices of three assignments, and the log that says who made them."""
    dana, tom = caisey.people["dispatcher"], caisey.people["tom"]
    technician = next(one["id"] for one in dana.get("/devices")["technicians"] if one["name"] == tom.name)
    device = caisey.devices["HD-FRONTDESK"].id
    for _ in range(3):
        given = dana.post("/assignments", {"devices": [device], "technicians": [technician], "reason": "Look at it"})
        dana.post(f"/assignments/{given[0]['id']}/close", {"reason": "done"})
    until(lambda: len(tom.get("/notices?limit=200")["items"]) >= 3, "three notices")
    met = list(walk(tom, "/notices", 1))
    assert len(met) == len({one["id"] for one in met}) >= 3
    assert [one["at"] for one in met] == sorted((one["at"] for one in met), reverse=True)
    ada = caisey.people["admin"]
    positions = [one["position"] for one in walk(ada, "/audit?what=work", 2)]
    assert positions == sorted(set(positions), reverse=True)
    assert len(positions) >= 6
    csv = ada.call("GET", "/audit/export?what=work")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text.count("\r\n") == len(positions) + 1


@pytest.mark.parametrize(
    "path", ["/devices", "/clients", "/installers", "/sessions/ended", "/notices", "/audit", "/shares", "/search?q=x"]
)
@pytest.mark.parametrize("after", ["x", "%00", "kgEC", "9" * 3000, "gqFhAaFiAg", "ktn____________"])
def test_a_place_that_is_none(caisey: Caisey, path: str, after: str) -> None:
    """Refused in words."""
    answer = caisey.people["admin"].call("GET", f"{path}{'&' if '?' in path else '?'}after={after}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == "after"


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1.5"])
def test_a_part_that_is_too_long(caisey: Caisey, limit: str) -> None:
    """From 1 to 200 entries."""
    assert caisey.people["admin"].call("GET", f"/installers?limit={limit}").status_code == 422


def test_the_stream_of_changes(caisey: Caisey) -> None:
    """Each change names what changed; the caller's own token reads it."""
    ada = caisey.people["admin"]
    heard, opened = list[dict[str, str]](), threading.Event()

    def listen() -> None:
        headers = {"authorization": f"Bearer {ada.token}"}
        with httpx2.stream("GET", ada.base + "/events", headers=headers, timeout=30, verify=TLS) as answer:
            for line in answer.iter_lines():
                opened.set()
                if line.startswith("data: "):
                    heard.append(json.loads(line[6:]))
                    if heard[-1]["subject"] == "client":
                        return

    thread = threading.Thread(target=listen)
    thread.start()
    assert opened.wait(10)
    made = ada.post("/clients", {"name": "Heard of"})["id"]
    thread.join(20)
    assert {"subject": "client", "id": made} in heard
