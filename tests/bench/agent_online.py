"""An agent's start until an open dashboard shows the device as online: process, link, proof, event stream."""

import re
import threading
import time
from pathlib import Path

from devices import homes, online, start
from doors import Browser, running
from figures import Row

ROUNDS = 6
MESHCENTRAL = 1.58  # s


class Dashboard(threading.Thread):
    """An open list of devices: notes when its event stream shows a device online or offline."""

    def __init__(self, browser: Browser, device: str) -> None:
        super().__init__(daemon=True)
        self._browser, self._row = browser, f'id="d-{device}"'
        self.opened = threading.Event()
        self.shown = {"online": threading.Event(), "offline": threading.Event()}

    def run(self) -> None:
        """Read until the server goes."""
        row = ""
        with self._browser.client.stream("GET", "/t/brightwater-it/events?page=devices", timeout=None) as stream:
            for line in stream.iter_lines():
                self.opened.set()
                if 'id="d-' in line:
                    row = line
                state = re.search(r'class="st (online|offline)"', line)
                if state is not None and self._row in row:
                    self.shown[state.group(1)].set()


def measure(folder: Path) -> list[Row]:
    """Start an agent, see it, end it, see it gone."""
    ours = []
    with running(folder / "data") as caisey:
        (home,) = homes(caisey, folder, 1)
        online(caisey, len(caisey.devices))
        browser = Browser(caisey.url)
        browser.get(caisey.people["dispatcher"].sign_in)
        device = re.search(r'"device": ?"([0-9a-f-]+)"', (home / "config.json").read_text())
        assert device is not None
        dashboard = Dashboard(browser, device.group(1))
        dashboard.start()
        assert dashboard.opened.wait(10)
        for _ in range(ROUNDS):
            for shown in dashboard.shown.values():
                shown.clear()
            begun = time.perf_counter()
            process = start(home)
            assert dashboard.shown["online"].wait(20)
            ours.append(time.perf_counter() - begun)
            process.kill()
            process.wait()
            assert dashboard.shown["offline"].wait(20)
        caisey.stop()
        dashboard.join(10)
    return [
        Row(
            what="agent's start to shown online",
            unit="s",
            ours=ours,
            reference=[MESHCENTRAL],
            must=0.5,
            aim=0.2,
            against="s, MeshCentral (figure)",
        )
    ]
