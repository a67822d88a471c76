"""Whatever a member can do on a page, a program can do: each door of the pages has one in the API, or a reason why not."""

import re

from security.doors_table import API, PAGES

ELSEWHERE = {  # doors whose counterpart is called something else
    "GET /": "GET /devices",
    "GET /sessions/{session:uuid}/review": "GET /sessions/{session:uuid}",
    "GET /sessions/{session:uuid}/review/entries": "GET /sessions/{session:uuid}/entries",
    "GET /sessions/{session:uuid}/review/events/{position:int}": "GET /sessions/{session:uuid}/entries/{position:int}",
    "GET /sessions/{session:uuid}/review/verdict": "GET /sessions/{session:uuid}/proof",
    "POST /sessions/{session:uuid}/review/check": "GET /sessions/{session:uuid}/proof",
    "GET /enrolment": "GET /installers",
    "POST /enrolment": "POST /installers",
    "POST /enrolment/{installer:uuid}/rotate": "POST /installers/{installer:uuid}/rotate",
    "POST /enrolment/{installer:uuid}/revoke": "POST /installers/{installer:uuid}/revoke",
    "GET /account": "GET /me",
    "POST /plugins/{plugin:str}": "POST /plugins/{plugin:str}/settings",
}
REASONS = {
    "POST /sign-out": "It ends a browser's session; a program has none, and revokes its token instead.",
    "POST /account/password": "A password is known to a person and typed by them; a stolen token must not set one.",
    "POST /account/factors/new": "How a person proves who they are is theirs to change, in a browser where they have just proved it.",
    "POST /account/factors": "How a person proves who they are is theirs to change, in a browser where they have just proved it.",
    "POST /account/factors/remove": "How a person proves who they are is theirs to change, in a browser where they have just proved it.",
    "POST /account/recovery-codes": "How a person proves who they are is theirs to change, in a browser where they have just proved it.",
    "POST /tokens": "A token that could make another would outlive its own end.",
    "POST /tokens/services": "A token that could make another would outlive its own end.",
}


def _addresses(doors: dict[str, object], base: str) -> set[str]:
    found = set()
    for route in doors:
        method, _, path = route.partition(" ")
        found.add(f"{method} {path.removeprefix(base) or '/'}")
    return found


def test_each_page_and_act_has_a_door_for_programs() -> None:
    """The tables are held against the routes by tests/security/test_every_door.py."""
    pages, api = _addresses(dict(PAGES), "/t/{tenant:str}"), _addresses(dict(API), "/api/v1/t/{tenant:str}")
    missing = {route for route in pages if ELSEWHERE.get(route, route) not in api} - REASONS.keys()
    assert not missing, "no door in the API, and no reason: " + ", ".join(sorted(missing))
    assert ELSEWHERE.keys() <= pages, "not a page any more"
    assert REASONS.keys() <= pages - api, "a reason that is none any more"
    assert all(re.search(r"\w+ \w+", reason) for reason in REASONS.values())
