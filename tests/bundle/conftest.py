"""Bundles of real sessions, and a browser with the checker page that one of them carries."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import running, until
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from checkers import unzipped
from exporting import Forge, World, forged
from forgeries import Change

from caisey_core.record.writer import Entry


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Four sessions: finished with commands, terminal and files; denied; revoked; and one that still runs when exported."""
    data = tmp_path_factory.mktemp("world") / "data"
    with running(data) as caisey:
        tom = caisey.people["tom"]
        finished = caisey.active()
        caisey.run(finished, "printf 'name anna\\npin 4711\\nrest\\n'; uname")
        caisey.run(finished, 'echo <b>Grüße</b> "&"; (exit 3)')
        caisey.run(finished, "seq 3000")
        sent = tom.call(
            "POST", f"/sessions/{finished}/files", params={"path": f"{data.parent}/up.txt"}, content=b"hello"
        ).json()["id"]

        def landed() -> bool:
            entries = tom.get(f"/sessions/{finished}")["entries"]
            return any(x["transfer"] and x["transfer"]["id"] == sent and x["transfer"]["state"] == "finished" for x in entries)

        until(landed, "the upload")
        caisey.finish(finished)
        denied = tom.post(f"/devices/{caisey.devices['HD-XRAY'].id}/sessions", {"reason": "Look"})["id"]
        caisey.devices["HD-XRAY"].asked()
        caisey.devices["HD-XRAY"].answer(denied, "denied")
        revoked = caisey.active("PP-OFFICE")
        caisey.run(revoked, "uname")
        caisey.devices["PP-OFFICE"].stop(revoked)
        for over in (denied, revoked):
            until(lambda over=over: tom.get(f"/sessions/{over}/card")["sealed"], "the seal")  # type: ignore[misc]
        open_ = caisey.active("NW-WAREHOUSE-1")
        caisey.run(open_, "uptime")
        sessions = {"denied": denied, "revoked": revoked, "finished": finished, "running": open_}
        bundles = {name: tom.call("GET", f"/sessions/{identity}/bundle").content for name, identity in sessions.items()}
        caisey.stop()
    return World(data, sessions, bundles)


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A copy of the installation, for tests that change it."""
    return Path(shutil.copytree(world.data, tmp_path / "data"))


@pytest.fixture(scope="module")  # its loop must not run on under tests of other folders
def page(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The check.html of a bundle, opened from a file; whatever it says on the console or asks of the network fails the tests."""
    path = tmp_path_factory.mktemp("page") / "check.html"
    path.write_bytes(unzipped(world.bundles["finished"])["check.html"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        opened = browser.new_page()
        trouble: list[str] = []
        opened.on("pageerror", lambda error: trouble.append(str(error)))
        opened.on("console", lambda said: trouble.append(said.text))
        opened.on("request", lambda asked: trouble.append(asked.url) if asked.url != path.as_uri() else None)
        opened.goto(path.as_uri())
        yield opened
        browser.close()
    assert not trouble, trouble


@pytest.fixture
def forge(world: World, folder: Path) -> Forge:
    """Write the finished session anew, changed, into the installation's record, and export it."""

    def make(change: Change, extra: dict[int, Entry] | None = None) -> bytes:
        return forged(world.data, folder, world.sessions["finished"], change, extra)

    return make
