"""The doors that tests knock at: a real server process with real agents, its API, and the devices' consent pages."""

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

T = TypeVar("T")
PATIENCE = 20.0
TLS = ssl.create_default_context()  # made once: it takes longer than a request


def until(found: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Ask until there is an answer; fails with `what` after the patience."""
    end = time.monotonic() + patience
    while True:
        answer = found()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.02)


@dataclass
class Person:
    """A member with an API token."""

    name: str
    role: str
    sign_in: str
    token: str
    base: str

    def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Call the API as this person."""
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx2.request(method, self.base + path, headers=headers, timeout=30, verify=TLS, **more)

    def get(self, path: str) -> Any:
        """Return what the API shows."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: tuple[int, ...] = (200, 201, 202)) -> Any:
        """Do something; fails unless the status is one of those expected."""
        answer = self.call("POST", path, json=body if body is not None else {})
        assert answer.status_code in status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


class Browser:
    """A browser without scripts: cookies, forms with their CSRF token, pages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx2.Client(
            base_url=url, follow_redirects=True, timeout=30, verify=TLS, headers={"accept": "text/html"}
        )
        weakref.finalize(self, self.client.close)

    def get(self, path: str) -> httpx2.Response:
        """Open a page."""
        return self.client.get(path)

    def csrf(self) -> str:
        """Return the token that this browser's forms carry."""
        return self.client.cookies.get("caisey-csrf") or ""

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form, as a page with a CSRF token does."""
        token = self.csrf()
        return self.client.post(path, data={"_csrf_token": token, **fields})


@dataclass
class Server:
    """`caisey serve` on a data folder of its own."""

    data: Path
    url: str = ""
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    python: str = sys.executable  # of the environment that it runs in

    def start(self) -> None:
        """Start, on a free port if none was chosen."""
        ready = self.data.with_name(self.data.name + ".ready")
        ready.unlink(missing_ok=True)
        command = [self.python, "-m", "caisey_core.cli", "serve", "--data", str(self.data), "--port", str(self.port)]
        with self.data.with_name(self.data.name + ".log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=log, stderr=log)
        process = self.process
        until(lambda: ready.exists() or process.poll() is not None, "the server")
        self.url = json.loads(ready.read_text())["url"]

    def log(self) -> str:
        """Return what the server said."""
        return self.data.with_name(self.data.name + ".log").read_text()

    def stop(self) -> int:
        """Press Ctrl-C."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def caisey(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "caisey_core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the agent's command line."""
    command = [sys.executable, "-m", "caisey_agent.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@dataclass
class Device:
    """A device with a real agent and its consent page."""

    id: str
    name: str
    client: str
    consent_page: str

    @property
    def origin(self) -> str:
        """The page's origin."""
        parts = urlsplit(self.consent_page)
        return f"{parts.scheme}://{parts.netloc}"

    def page(self) -> str:
        """Return the consent page."""
        return httpx2.get(self.consent_page, timeout=10, verify=TLS).text

    def asked(self) -> str:
        """Wait until somebody asks, and return the session."""

        def look() -> str | None:
            found = re.search(r'action="answer".*?name="session" value="([0-9a-f-]+)"', self.page(), re.S)
            return found.group(1) if found else None

        return until(look, "the prompt")

    def answer(self, session: str, decision: str = "granted", minutes: int = 60) -> int:
        """Answer as the person at the device."""
        data = {"session": session, "decision": decision, "minutes": str(minutes)}
        headers = {"origin": self.origin}
        return httpx2.post(self.consent_page + "answer", data=data, headers=headers, timeout=10, verify=TLS).status_code

    def stop(self, session: str) -> int:
        """Press Stop."""
        headers = {"origin": self.origin}
        return httpx2.post(
            self.consent_page + "stop", data={"session": session}, headers=headers, timeout=10, verify=TLS
        ).status_code


@dataclass
class Caisey:
    """A running demonstration."""

    data: Path
    database: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    people: dict[str, Person] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)

    def start(self) -> None:
        """Start and wait until it says that it is ready."""
        ready = self.data.with_name(self.data.name + ".ready")
        ready.unlink(missing_ok=True)
        arguments = ["demo", "--data", str(self.data), "--port", str(self.port), "--ready-file", str(ready)]
        if self.database:
            arguments += ["--database", self.database]
        with self.data.with_name(self.data.name + ".log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "caisey_core.cli", *arguments], stdout=log, stderr=log, start_new_session=True
            )
        process = self.process
        until(lambda: ready.exists() or process.poll() is not None, "the ready file", 60)
        assert ready.exists(), self.log()
        told = json.loads(ready.read_text())
        self.url = told["url"]
        self.port = urlsplit(self.url).port or 0
        base = f"{self.url}/api/v1/t/brightwater-it"
        self.people = {
            p["role"] if p["role"] != "technician" else p["name"].split()[0].lower(): Person(**p, base=base)
            for p in told["people"]
        }
        self.devices = {d["name"]: Device(**d) for d in told["devices"]}

    def restart_server(self, program: tuple[str, ...] = ("-m", "caisey_core.cli")) -> None:
        """Serve the same data on the same port again; the agents of the first start are still there and come back."""
        assert self.process is not None
        self.first = getattr(self, "first", self.process.pid)
        ready = self.data.with_name(self.data.name + ".served")
        ready.unlink(missing_ok=True)
        arguments = ["serve", "--data", str(self.data), "--port", str(self.port), "--ready-file", str(ready)]
        with self.data.with_name(self.data.name + ".log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, *program, *arguments], stdout=log, stderr=log)
        until(ready.exists, "the server", 30)

    def log(self) -> str:
        """Return what the server said."""
        return self.data.with_name(self.data.name + ".log").read_text()

    def stop(self) -> int:
        """Press Ctrl-C and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def kill(self) -> None:
        """kill -9 of the server and its agents."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(getattr(self, "first", self.process.pid), signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def kill_server(self) -> None:
        """kill -9 of the server alone: its agents live on, as they would on their own machines."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def keep_databases(self, to: Path) -> None:
        """Copy both databases of a server that was killed."""
        to.mkdir()
        for path in (*self.data.glob("record.db*"), *self.data.glob("catalogue.db*")):
            shutil.copy(path, to / path.name)

    def put_back_databases(self, kept: Path) -> None:
        """Replace both databases of a server that was killed."""
        for path in (*self.data.glob("record.db*"), *self.data.glob("catalogue.db*")):
            path.unlink()
        for path in kept.iterdir():
            shutil.copy(path, self.data / path.name)

    def all_online(self) -> None:
        """Wait until every device is connected."""
        until(lambda: self.people["admin"].get("/devices")["counts"]["offline"] == 0, "all devices", 60)

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run `caisey verify`."""
        return caisey("verify", "--data", str(self.data))

    # --- what many tests begin with ---

    def active(self, device: str = "HD-FRONTDESK", by: str = "tom", scopes: tuple[str, ...] = ("run", "files")) -> str:
        """Return a session that the person at the device agreed to."""
        session = self.people[by].post(
            f"/devices/{self.devices[device].id}/sessions",
            {"reason": "The printer does not print", "scopes": scopes, "duration_minutes": 60},
        )["id"]
        assert self.devices[device].asked() == session
        assert self.devices[device].answer(session) == 200
        self.state(session, "active", by)
        return str(session)

    def state(self, session: str, wanted: str, by: str = "tom") -> Any:
        """Wait until a session stands so, and return its card."""

        def look() -> Any:
            card = self.people[by].get(f"/sessions/{session}/card")
            return card if card["state"] == wanted else None

        return until(look, f"the state {wanted}")

    def run(self, session: str, line: str, by: str = "tom") -> Any:
        """Run a command and wait for its end; returns its card."""
        command = self.people[by].post(f"/sessions/{session}/commands", {"line": line})["id"]
        return self.ended(session, command, by)

    def ended(self, session: str, command: str, by: str = "tom") -> Any:
        """Wait until a command has ended and return its card."""

        def look() -> Any:
            for entry in self.people[by].get(f"/sessions/{session}")["entries"]:
                card = entry["command"]
                if card is not None and card["id"] == command and card["state"] in ("finished", "not run", "lost"):
                    return card
            return None

        return until(look, "the end of a command")

    def finish(self, session: str, by: str = "tom") -> None:
        """Finish a session and wait for its seal."""
        body = {"resolution": "fixed", "notes": "Restarted the queue.", "checked": "A test page came out."}
        self.people[by].post(f"/sessions/{session}/complete", body)
        until(lambda: self.people[by].get(f"/sessions/{session}/card")["sealed"], "the seal")


@contextlib.contextmanager
def running(data: Path, database: str = "") -> Iterator[Caisey]:
    """Run a demonstration for a while."""
    caisey = Caisey(data, database)
    caisey.start()
    try:
        yield caisey
    finally:
        caisey.kill()
