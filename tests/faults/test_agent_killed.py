"""kill -9 of the agent: consent holds, the shell is new, what was told is there, and what was begun is never run twice."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors import Caisey, until
from endpoints import Endpoint, endpoint

ROUNDS = 6


@pytest.fixture
def own(caisey: Caisey, tmp_path: Path) -> Iterator[Endpoint]:
    """A device of the test's own."""
    with endpoint(caisey, tmp_path) as made:
        yield made


def entries(caisey: Caisey, session: str) -> Any:
    """All of a session."""
    return caisey.people["tom"].get(f"/sessions/{session}")["entries"]


def proved(caisey: Caisey, session: str) -> None:
    """Finish, and check the record."""
    caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_in_mid_command(caisey: Caisey, own: Endpoint, tmp_path: Path) -> None:
    """The session is interrupted; back again the command is told as lost, was run once, and the same consent lets work go on."""
    tom, trace = caisey.people["tom"], tmp_path / "trace"
    session = caisey.active(own.name)
    until_before = caisey.state(session, "active")["until"]
    line = f"echo once >> {trace}; echo begun; sleep 300"
    command = tom.post(f"/sessions/{session}/commands", {"line": line})["id"]
    waiting = tom.post(f"/sessions/{session}/commands", {"line": f"echo second >> {trace}"})["id"]
    until(lambda: trace.exists(), "the command's effect")
    until(lambda: any("begun" in (e["command"] or {}).get("output", "") for e in entries(caisey, session)), "its output")
    own.kill()
    card = caisey.state(session, "interrupted")
    assert not card["connected"]
    refused = tom.call("POST", f"/sessions/{session}/commands", json={"line": "id"})
    assert refused.status_code == 409
    assert "not connected" in refused.json()["detail"]
    own.start()
    assert caisey.state(session, "active")["until"] == until_before
    lost = caisey.ended(session, command)
    assert lost["state"] == "lost"
    assert "not run a second time" in lost["reason"]
    assert lost["output"].startswith("begun")
    assert caisey.ended(session, waiting)["state"] == "lost"
    assert any("restarted" in entry["title"] + entry["body"] for entry in entries(caisey, session))
    assert caisey.run(session, 'echo "[$OLDPWD]"')["output"] == "[]\r\n"
    assert trace.read_text() == "once\n"
    proved(caisey, session)


def test_while_idle(caisey: Caisey, own: Endpoint) -> None:
    """Nothing ran: interrupted, then active again without a new question; the shell is new."""
    session = caisey.active(own.name)
    caisey.run(session, "x=5")
    own.kill()
    caisey.state(session, "interrupted")
    own.start()
    caisey.state(session, "active")
    assert caisey.run(session, 'echo "[$x]"')["output"] == "[]\r\n"
    assert not any(e["command"] is not None and e["command"]["state"] == "lost" for e in entries(caisey, session))
    proved(caisey, session)


def test_under_load(caisey: Caisey, own: Endpoint, tmp_path: Path) -> None:
    """At random moments: each accepted command has an end that is told, ran at most once, and if it finished its output is whole."""
    tom, trace, dice = caisey.people["tom"], tmp_path / "trace", random.Random(11)
    session = caisey.active(own.name)
    accepted: list[tuple[str, int]] = []
    for _ in range(ROUNDS):
        stop = threading.Event()

        def load(stop: threading.Event = stop) -> None:
            while not stop.is_set():
                number = len(accepted)
                line = f"echo {number} >> {trace}; echo out-{number}"
                answer = tom.call("POST", f"/sessions/{session}/commands", json={"line": line})
                if answer.status_code == 202:
                    accepted.append((answer.json()["id"], number))

        worker = threading.Thread(target=load)
        worker.start()
        enough = len(accepted) + dice.randrange(3, 15)
        until(lambda enough=enough: len(accepted) > enough, "some load")  # type: ignore[misc]
        own.kill()
        stop.set()
        worker.join()
        own.start()
        caisey.state(session, "active")

    def ends() -> dict[int, Any] | None:
        cards = {e["command"]["id"]: e["command"] for e in entries(caisey, session) if e["command"] is not None}
        found = {number: cards[command] for command, number in accepted}
        return found if all(card["state"] in ("finished", "lost", "not run") for card in found.values()) else None

    cards = until(ends, "the end of each command")
    finished = [number for number, card in cards.items() if card["state"] == "finished" and card["exit_code"] == 0]
    assert len(finished) > ROUNDS
    assert all(cards[number]["output"] == f"out-{number}\r\n" for number in finished)
    ran = trace.read_text().split()
    assert len(ran) == len(set(ran)), "something ran twice"
    assert {str(number) for number in finished} <= set(ran)
    proved(caisey, session)


def test_a_transfer_that_died_with_the_agent(caisey: Caisey, own: Endpoint, tmp_path: Path) -> None:
    """It is told as failed instead of being shown as running for ever."""
    tom = caisey.people["tom"]
    session = caisey.active(own.name)
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(60 << 20)
    got = tom.post(f"/sessions/{session}/files/download", {"path": str(big)})

    def transfer() -> Any:
        found = [
            e["transfer"] for e in entries(caisey, session) if e["transfer"] is not None and e["transfer"]["id"] == got["id"]
        ]
        return found[0]

    own.kill()
    caisey.state(session, "interrupted")
    assert transfer()["state"] == "running"
    own.start()
    until(lambda: transfer()["state"] == "failed", "the end of the transfer")
    assert "restarted" in transfer()["reason"]
    proved(caisey, session)


def test_stop_that_was_pressed_just_before(caisey: Caisey, own: Endpoint) -> None:
    """The agent dies between the person's Stop and its word to the server: the next start says it."""
    session = caisey.active(own.name)
    caisey.run(session, "true")
    own.kill()
    caisey.state(session, "interrupted")
    from uuid import UUID

    from caisey_agent.consent.ledger import Ledger

    Ledger(own.home / "sessions").change(UUID(session), over="the person stopped it")  # what the agent wrote before it died
    own.start()
    caisey.state(session, "revoked")
    until(lambda: tom_sealed(caisey, session), "the seal")
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def tom_sealed(caisey: Caisey, session: str) -> bool:
    """Say whether the record is closed."""
    return bool(caisey.people["tom"].get(f"/sessions/{session}/card")["sealed"])
