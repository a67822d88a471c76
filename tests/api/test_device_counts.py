"""The counts above the list of devices are kept, not counted: they agree with the list after everything that changes them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from doors import Caisey, running, until


@pytest.fixture(scope="module")
def caisey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caisey]:
    """A demonstration of this module's own: its devices are moved and removed."""
    with running(tmp_path_factory.mktemp("counts") / "data") as started:
        yield started


def agrees(caisey: Caisey, query: str = "") -> Any:
    """Check the counts against the rows, and return the page."""
    page = caisey.people["admin"].get(f"/devices?{query}")
    rows = [row for group in page["groups"] for row in group["rows"]]
    assert page["matches"] == len(rows)
    for group in page["groups"]:
        assert group["devices"] == len(group["rows"])
        assert group["online"] == sum(row["online"] for row in group["rows"])
    if not query:
        states = Counter(row["online"] for row in rows)
        counts = page["counts"]
        assert (counts["devices"], counts["online"], counts["offline"]) == (len(rows), states[True], states[False])
        assert counts["assigned"] == sum(row["assignment"] is not None for row in rows)
    return page


def test_assigning_reassigning_and_closing_are_counted(caisey: Caisey) -> None:
    """An assignment counts once, however often it changes hands, and no more once its session is finished."""
    dispatcher = caisey.people["dispatcher"]
    people = {choice["name"]: choice["id"] for choice in agrees(caisey)["technicians"]}
    body = {"devices": [caisey.devices["HD-XRAY"].id], "technicians": [people["Tom Brandt"]], "reason": "No pictures"}
    (given,) = dispatcher.post("/assignments", body)
    assert agrees(caisey)["counts"]["assigned"] == 1
    dispatcher.post(f"/assignments/{given['id']}/reassign", {"technician": people["Mia Torres"]})
    assert agrees(caisey)["counts"]["assigned"] == 1
    assert agrees(caisey, "pending=work")["matches"] == 1
    session = caisey.active("HD-XRAY", by="mia")
    caisey.finish(session, by="mia")
    until(lambda: agrees(caisey)["counts"]["assigned"] == 0, "the closed assignment")


def test_a_moved_device_is_counted_at_its_new_client(caisey: Caisey) -> None:
    """The old client has one fewer, the new one one more, and the filters say the same."""
    admin = caisey.people["admin"]
    clients = {choice["name"]: choice["id"] for choice in agrees(caisey)["clients"]}
    before = agrees(caisey, f"client={clients['Northwind Logistics']}")["matches"]
    admin.post(f"/devices/{caisey.devices['HD-XRAY'].id}/move", {"client": clients["Northwind Logistics"]})
    assert agrees(caisey, f"client={clients['Northwind Logistics']}")["matches"] == before + 1
    agrees(caisey)


def test_a_removed_device_is_counted_out_once(caisey: Caisey) -> None:
    """It leaves the counts when it is removed; that its agent's link ends afterwards takes away nothing more."""
    admin = caisey.people["admin"]
    there = agrees(caisey)["counts"]
    admin.post(f"/devices/{caisey.devices['PP-OFFICE'].id}/remove", {"reason": "sold"})
    until(lambda: "was removed" in (caisey.data / "agents.log").read_text(), "the agent's last words")
    after = agrees(caisey)["counts"]
    assert (after["devices"], after["online"]) == (there["devices"] - 1, there["online"] - 1)
