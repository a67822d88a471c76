"""The three checkers of bundles, asked the same: `caisey verify`, docs/verify.py as a process, the page in a real Chromium."""

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from caisey_core.services.bundle_verdict import verify_bundle

SCRIPT = Path(__file__).parents[2] / "docs" / "verify.py"
OVER = ", ".join(f"body[data-verdict={word}]" for word in ("good", "broken", "refused"))
Files = dict[str, bytes]


@dataclass(frozen=True)
class Answer:
    """What a checker says: does it hold, and if not, which event of the session is named."""

    ok: bool
    event: int | None
    words: str


def unzipped(data: bytes) -> Files:
    """Return a bundle's files."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a bundle of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def records(data: bytes) -> list[bytes]:
    """Return the records of a file."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def joined(rows: list[bytes]) -> bytes:
    """Return a file of records."""
    return b"".join(len(row).to_bytes(4, "big") + row for row in rows)


def _event(words: str) -> int | None:
    found = re.search(r"session/[^ ]*, event (\d+)", words)
    return int(found[1]) if found else None


def by_caisey(data: bytes, key: str | None = None) -> Answer:
    """Ask `caisey verify`."""
    verdict = verify_bundle(io.BytesIO(data), key)
    return Answer(verdict.ok, _event(verdict.broken), verdict.broken or "\n".join(verdict.proved))


def by_script(data: bytes, folder: Path, key: str | None = None) -> Answer:
    """Ask docs/verify.py."""
    path = folder / "asked.zip"
    path.write_bytes(data)
    command = [sys.executable, "-I", str(SCRIPT), str(path), *([key] if key else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1)
    assert done.stdout.startswith("Verified") if done.returncode == 0 else done.stderr.startswith("NOT VERIFIED"), done
    return Answer(done.returncode == 0, _event(done.stderr), done.stdout + done.stderr)


def by_page(page: Page, data: bytes) -> Answer:
    """Drop the bundle on the checker page."""
    page.evaluate("delete document.body.dataset.verdict")
    page.set_input_files("#file", {"name": "a.caisey.zip", "mimeType": "application/zip", "buffer": data})
    page.locator(OVER).wait_for(timeout=60_000)
    words = page.locator("#verdict").inner_text() + "\n" + page.locator("#proved").inner_text()
    event = page.locator("body").get_attribute("data-event")
    named = int(event) if event is not None and "audit," not in words.split("\n")[0] else None
    return Answer(page.locator("body").get_attribute("data-verdict") == "good", named, words)
