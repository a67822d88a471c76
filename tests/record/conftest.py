"""A data folder in which real work was done: what the verdict is about."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doors import running, until
from places import Place


@pytest.fixture(scope="session")
def worked(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Place:
    """A stopped installation: a finished session with commands and files, a denied and a revoked one."""
    data, database = tmp_path_factory.mktemp("worked") / "data", new_database()
    with running(data, database) as caisey:
        tom = caisey.people["tom"]
        session = caisey.active()
        caisey.run(session, "printf 'one\\ntwo\\n'; uname")
        caisey.run(session, "(exit 3)")
        path = f"{data.parent}/up.txt"
        sent = tom.call("POST", f"/sessions/{session}/files", params={"path": path}, content=b"hello").json()["id"]

        def landed() -> bool:
            entries = tom.get(f"/sessions/{session}")["entries"]
            return any(x["transfer"] and x["transfer"]["id"] == sent and x["transfer"]["state"] == "finished" for x in entries)

        until(landed, "the upload")
        caisey.finish(session)
        denied = tom.post(f"/devices/{caisey.devices['HD-XRAY'].id}/sessions", {"reason": "Look"})["id"]
        caisey.devices["HD-XRAY"].asked()
        caisey.devices["HD-XRAY"].answer(denied, "denied")
        caisey.state(denied, "denied")
        revoked = caisey.active("PP-OFFICE")
        caisey.devices["PP-OFFICE"].stop(revoked)
        caisey.state(revoked, "revoked")
        for over in (denied, revoked):
            until(lambda over=over: tom.get(f"/sessions/{over}/card")["sealed"], "the seal")  # type: ignore[misc]
        caisey.stop()
    return Place(data, database)


@pytest.fixture
def place(tmp_path: Path, new_database: Callable[[], str]) -> Place:
    """Where a record can begin."""
    return Place(tmp_path, new_database())
