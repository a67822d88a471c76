"""What the pages and the API show of transcripts and shares."""

from typing import Literal
from uuid import UUID

from caisey_core.services.cuts import Decisions, Leak
from caisey_core.services.reading import Line
from caisey_core.services.views import SessionCard, View

ShareState = Literal["open", "expired", "revoked"]


class ShareView(View, frozen=True):
    """A share as its tenant sees it. The link itself is shown once, when it is made."""

    id: UUID
    transcript: UUID
    session: UUID
    device_name: str
    client_name: str
    state: ShareState
    passcode: bool
    created_at: int
    created_by: str
    refreshed_at: int | None
    expires_at: int | None
    revoked_at: int | None
    revoked_by: str
    openings: int
    last_opened_at: int | None
    lines: int
    withheld: int
    hidden: int


class SharesPage(View, frozen=True):
    shares: tuple[ShareView, ...]
    next: int | None
    may_change: bool


class TranscriptView(View, frozen=True):
    """A transcript in a list."""

    id: UUID
    session: UUID
    events: int
    version: int
    created_at: int
    created_by: str
    changed_at: int
    changed_by: str
    lines: int
    withheld: int
    hidden: int
    published_at: int | None
    share: ShareView | None


class Standing(View, frozen=True):
    """How a review stands: what is decided, what follows, and whether it may be published."""

    version: int
    decisions: Decisions
    changed_at: int
    changed_by: str
    lines: int
    withheld: int
    edited: int
    hidden: int
    hidden_events: tuple[int, ...]
    receipts: int
    open_marks: int
    leaks: tuple[Leak, ...]


class EditorPage(View, frozen=True):
    card: SessionCard
    transcript: TranscriptView
    standing: Standing
    lines: tuple[Line, ...]
    enrolment: str  # what the device's enrolment says in the clear
    enrolment_private: bool  # it has an address that no stranger can reach


class NewShare(View, frozen=True):
    """A share with its link, which is shown once."""

    share: UUID
    link: str


class PublicPage(View, frozen=True):
    """What a reader gets. `entries` is markup that the export made."""

    tenant: str
    vkey: str
    entries: str
    lines: int
    withheld: int
    hidden: int
    edited: int
    published_at: int
    expires_at: int | None
    terminal: bool
    sealed: bool
    title: str
