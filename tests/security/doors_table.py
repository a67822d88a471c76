"""Who may pass which door. A route that is not in this table fails the test: whoever adds a door says here whom it is for."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

ALL: Final = frozenset({"admin", "dispatcher", "tom", "mia", "senior", "auditor"})
ADMIN: Final = frozenset({"admin"})
ASSIGN: Final = frozenset({"admin", "dispatcher", "senior"})
OWNER: Final = frozenset({"tom", "senior"})  # the session is tom's; a senior technician works in any
WORK: Final = frozenset({"tom", "mia", "senior"})
NUDGE: Final = ALL - {"auditor"}
HAND_OVER: Final = ASSIGN | {"tom"}
CANCEL: Final = frozenset({"admin", "dispatcher", "tom"})
SHARE: Final = ASSIGN
AUDIT: Final = frozenset({"admin", "auditor"})
NOWHERE: Final = "00000000-0000-4000-8000-000000000000"
LONG: Final = "x" * 501


@dataclass(frozen=True)
class Door:
    """`body` is understood, and refused or harmless once the right to do it was found; `real` would be done.

    `whole`: it concerns the whole company, so who serves some of its clients only may not, whatever their role.
    """

    may: frozenset[str]
    body: dict[str, Any] | None = None
    real: dict[str, Any] | None = None
    query: dict[str, str] = field(default_factory=dict)
    kind: Literal["form", "json", "stream", "once", "file"] = "form"
    whole: bool = False
    absent: int = 404  # what is said of a last id that is not there

    @property
    def wanted(self) -> dict[str, Any] | None:
        """What to send to find out whether an id is there."""
        return self.real if self.real is not None else self.body


ORDER: Final = {"devices": [NOWHERE], "technicians": [NOWHERE], "reason": ""}
ASK: Final = {"reason": "", "scopes": ["run"], "duration_minutes": 60}
OUTCOME: Final = {"resolution": "fixed", "notes": "", "checked": ""}

_WORKING: Final = {  # the same doors for pages and programs
    "POST sessions/{session:uuid}/files": Door(OWNER, {}, query={"path": ""}, kind="json"),
    "POST sessions/{session:uuid}/files/download": Door(OWNER, {"path": ""}, kind="json"),
    "POST sessions/{session:uuid}/files/{transfer:uuid}/cancel": Door(OWNER, {}, kind="json", absent=409),
    "GET sessions/{session:uuid}/files/{transfer:uuid}": Door(OWNER),
    "GET sessions/{session:uuid}/commands/{command:uuid}/output": Door(ALL),
    "GET sessions/{session:uuid}/terminal.cast": Door(ALL),
    "GET search": Door(ALL, query={"q": "desk"}),
    "GET devices/{device:uuid}": Door(ALL),
    "POST devices/{device:uuid}/rename": Door(ADMIN, {"name": ""}),
    "POST devices/{device:uuid}/move": Door(ADMIN, {"client": NOWHERE}),
    "POST devices/{device:uuid}/remove": Door(ADMIN, {"reason": ""}),
    "POST devices/{device:uuid}/sessions": Door(WORK, ASK),
    "GET queue": Door(ALL),
    "POST assignments": Door(ASSIGN, ORDER),
    "POST assignments/{assignment:uuid}/reassign": Door(ASSIGN, {"technician": NOWHERE, "reason": ""}),
    "GET sessions": Door(ALL),
    "GET sessions/{session:uuid}": Door(ALL),
    "POST sessions/{session:uuid}/ask": Door(OWNER, ASK),
    "POST sessions/{session:uuid}/nudge": Door(NUDGE, {"message": LONG}),
    "POST sessions/{session:uuid}/reassign": Door(HAND_OVER, {"technician": NOWHERE, "reason": ""}),
    "POST sessions/{session:uuid}/cancel": Door(CANCEL, {"reason": ""}),
    "POST sessions/{session:uuid}/complete": Door(OWNER, OUTCOME),
    "GET sessions/{session:uuid}/bundle": Door(ALL, kind="file"),
    "POST sessions/{session:uuid}/erase": Door(ADMIN, {"reason": ""}),
    "GET shares": Door(ALL),
    "GET transcripts/{transcript:uuid}": Door(SHARE),
    "GET transcripts/{transcript:uuid}/standing": Door(SHARE),
    "POST transcripts/{transcript:uuid}/decisions": Door(SHARE, {"version": -1}, kind="json"),
    "POST transcripts/{transcript:uuid}/publish": Door(SHARE, {"version": -1, "acknowledged": 0}, kind="json"),
    "POST shares/{share:uuid}/refresh": Door(SHARE, {"passcode": "short"}, kind="json"),
    "POST shares/{share:uuid}/revoke": Door(SHARE, {}),
    "POST sessions/{session:uuid}/transcripts": Door(SHARE, {}),
    "POST sessions/{session:uuid}/take-over": Door(OWNER, {}, kind="once"),  # tests/api/test_transcripts.py
    "GET plugins": Door(AUDIT, whole=True),
    "GET plugins/{plugin:str}": Door(AUDIT, whole=True),
    "GET retention": Door(ADMIN),
    "POST retention": Door(ADMIN, {"days": -1}, whole=True),
    "POST assignments/{assignment:uuid}/close": Door(HAND_OVER, {"reason": ""}),
    "GET transcripts/{transcript:uuid}/preview": Door(SHARE),
    "GET clients": Door(ALL),
    "POST clients": Door(ADMIN, {"name": ""}, whole=True),
    "POST clients/{client:uuid}/rename": Door(ADMIN, {"name": ""}, {"name": "Another name"}),
    "GET members": Door(ALL),
    "POST members": Door(ADMIN, {"name": "X", "email": "none", "role": "admin"}, whole=True),
    "POST members/{identity:uuid}/link": Door(ADMIN, {}),
    "GET members/{identity:uuid}": Door(ADMIN),
    "POST members/{identity:uuid}/deactivate": Door(ADMIN, {}, kind="once"),  # tests/api/test_members.py
    "POST members/{identity:uuid}/reactivate": Door(ADMIN, {}),
    "GET audit": Door(AUDIT, whole=True),
    "GET audit/proof": Door(AUDIT, whole=True),
    "GET audit/export": Door(AUDIT, query={"form": "csv"}, whole=True),
    "GET keys": Door(ALL),
    "GET notices": Door(ALL),
    "POST notices/read": Door(ALL, {}),
    "GET find": Door(ALL, query={"q": "desk"}),
    "GET events": Door(ALL, kind="stream"),
    "GET tokens": Door(ALL),
    "POST tokens/{token:uuid}/revoke": Door(ADMIN, {}, whole=True),  # one's own: tests/api/test_tokens.py
}
_PAGES: Final = {
    **_WORKING,
    "GET ": Door(ALL),
    "POST members/{identity:uuid}": Door(ADMIN, {"role": "king"}),
    "POST tokens": Door(ALL, {"label": ""}),
    "POST tokens/services": Door(ADMIN, {"label": ""}, whole=True),
    "POST sign-out": Door(ALL, {}, kind="once"),
    "GET sessions/{session:uuid}/review": Door(ALL),
    "GET sessions/{session:uuid}/review/entries": Door(ALL),
    "GET sessions/{session:uuid}/review/events/{position:int}": Door(ALL),
    "GET sessions/{session:uuid}/review/verdict": Door(ALL),
    "POST sessions/{session:uuid}/review/check": Door(ALL, {}),
    "GET enrolment": Door(ADMIN),
    "POST enrolment": Door(ADMIN, {"uses": "0"}, whole=True),
    "POST enrolment/{installer:uuid}/rotate": Door(ADMIN, {}),
    "POST enrolment/{installer:uuid}/revoke": Door(ADMIN, {}),
    "POST plugins/{plugin:str}": Door(ADMIN, {"_act": "save", "_version": "-1"}, whole=True),
    "GET account": Door(ALL),
    "POST account/password": Door(ALL, {"password": "one", "again": "two"}),
    "POST account/factors/new": Door(ALL, {"kind": "authenticator", "current": "wrong"}),
    "POST account/factors": Door(ALL, {"kind": "authenticator", "state": "none", "answer": "1"}),
    "POST account/factors/remove": Door(ALL, {"factor": "none", "current": "wrong"}),
    "POST account/recovery-codes": Door(ALL, {"current": "wrong"}),
}
_API: Final = {
    **_WORKING,
    "POST members/{identity:uuid}": Door(ADMIN, {"role": "technician", "clients": [NOWHERE]}),
    "GET me": Door(ALL),
    "GET devices": Door(ALL),
    "GET sessions/ended": Door(ALL),
    "GET sessions/{session:uuid}/card": Door(ALL),
    "GET sessions/{session:uuid}/entries": Door(ALL),
    "GET sessions/{session:uuid}/entries/{position:int}": Door(ALL),
    "GET sessions/{session:uuid}/transcripts": Door(ALL),
    "GET sessions/{session:uuid}/proof": Door(ALL),
    "POST sessions/{session:uuid}/commands": Door(OWNER, {"line": " "}),
    "POST sessions/{session:uuid}/interrupt": Door(OWNER, {"command": NOWHERE}),
    "POST plugins/{plugin:str}/settings": Door(ADMIN, {"settings": {}, "version": -1}, whole=True),
    "POST plugins/{plugin:str}/test": Door(ADMIN, {}, whole=True),
    "POST plugins/{plugin:str}/enable": Door(ADMIN, {}, whole=True),
    "POST plugins/{plugin:str}/disable": Door(ADMIN, {}, whole=True),
    "POST plugins/{plugin:str}/default": Door(ADMIN, {"kind": "none"}, whole=True),
    "GET installers": Door(ADMIN),
    "POST installers": Door(ADMIN, {"uses": 0}, whole=True),
    "POST installers/{installer:uuid}/rotate": Door(ADMIN, {}),
    "POST installers/{installer:uuid}/revoke": Door(ADMIN, {}),
}


def _under(base: str, doors: dict[str, Door]) -> dict[str, Door]:
    found = {}
    for route, door in doors.items():
        method, _, path = route.partition(" ")
        found[f"{method} {base}/{path}".rstrip("/")] = door
    return found


PAGES: Final = _under("/t/{tenant:str}", _PAGES)
API: Final = _under("/api/v1/t/{tenant:str}", _API)
# for everybody: what they show and do is looked at in tests of their own
OPEN: Final = frozenset(
    {
        "GET /",
        "GET /company",
        "GET /static/{version:str}/{path:path}",
        "GET /sign-in/{token:str}",
        "POST /sign-in/{token:str}",
        "GET /t/{tenant:str}/sign-in",
        "POST /t/{tenant:str}/sign-in",
        "GET /t/{tenant:str}/sign-in/{plugin:str}",
        "GET /t/{tenant:str}/plugins/{plugin:str}/{path:path}",
        "POST /t/{tenant:str}/plugins/{plugin:str}/{path:path}",
        "GET /verify",
        "GET /share/{token:str}",
        "POST /share/{token:str}",
        "GET /share/{token:str}/bundle",
        "GET /share/{token:str}/terminal.cast",
        "GET /share/{token:str}/events",
        "POST /agent/enrol",
        "GET /api/v1",
        "GET /api/v1/docs",
        "GET /api/v1/openapi.json",
        "GET /api/v1/{path:str}",
    }
)
SOCKETS: Final = frozenset({"/agent/link", "/t/{tenant:str}/sessions/{session:uuid}/live"})
