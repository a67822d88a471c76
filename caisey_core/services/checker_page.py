"""The page that checks a bundle inside a browser: one file without a library, that talks to nobody.

The same bytes are in each bundle as check.html and served at /verify.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from msgspec import Struct


class CheckerPage(Struct, frozen=True):
    """The page, and its policy: nothing is loaded, nothing is sent, its own script and style alone run."""

    body: bytes
    policy: str


def source_hash(text: str) -> str:
    """Return the hash by which a content security policy names an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def checker_page() -> CheckerPage:
    """Put the page together."""
    folder = Path(__file__).parent / "checker"
    script, style = (folder / "check.js").read_text("utf-8"), (folder / "check.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src '{source_hash(script)}'; style-src '{source_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (folder / "check.html").read_text("utf-8")
    page = page.replace("{{policy}}", policy).replace("{{style}}", style).replace("{{script}}", script)
    return CheckerPage(page.encode(), policy)
