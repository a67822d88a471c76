"""API tokens as people make them: on the page, where each is shown once."""

import re
from dataclasses import replace
from typing import Any

import httpx2
from doors import TLS, Browser, Person


def make(browser: Browser, person: Person, *, service: bool = False, **wanted: Any) -> Person:
    """Make a token on the page and return who uses it."""
    slug = person.base.rpartition("/")[2]
    form = {"label": "A program", "scopes": ["read"], "expires_days": "30", **wanted}
    shown = browser.post(f"/t/{slug}/tokens" + ("/services" if service else ""), **form)
    assert shown.status_code == 200, shown.text
    found = re.search(r'<code id="made-token">(cai_[\w-]+)</code>', shown.text)
    assert found is not None, shown.text
    return replace(person, token=found.group(1))


def id_of(person: Person, label: str = "A program") -> str:
    """Return the id of the newest token of this name."""
    return str(next(one["id"] for one in person.get("/tokens")["items"] if one["label"] == label))


def send(person: Person, path: str, body: object, key: str) -> httpx2.Response:
    """Post under an Idempotency-Key."""
    headers = {"authorization": f"Bearer {person.token}", "idempotency-key": key}
    return httpx2.post(person.base + path, json=body, headers=headers, timeout=30, verify=TLS)
