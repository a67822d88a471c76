"""Small pieces of pages that are made of one value: icons, times, sizes, states. All return markup that is safe to show."""

import functools
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup
from msgspec import Struct

from caisey_core.domain.session import State
from caisey_core.http.static import assets

SECOND: Final = 1_000_000
_STATES: Final = {  # a session's state: the style of its badge and its icon
    State.REQUESTED: ("wait", "hourglass", "Waiting for the device"),
    State.PENDING: ("wait", "hourglass", "Waiting for consent"),
    State.ACTIVE: ("ok", "circle-dot", "Active"),
    State.INTERRUPTED: ("warn", "unplug", "Interrupted"),
    State.COMPLETED: ("done", "circle-check", "Completed"),
    State.DENIED: ("bad", "ban", "Denied"),
    State.EXPIRED: ("off", "clock", "No answer"),
    State.CANCELLED: ("off", "circle-slash", "Cancelled"),
    State.REVOKED: ("bad", "hand", "Stopped by the user"),
}
RESOLUTIONS: Final = {
    "fixed": "Fixed",
    "workaround": "Workaround",
    "escalated": "Escalated",
    "not-reproducible": "Not reproducible",
    "no-fault": "No fault found",
}
OUTCOMES: Final = {
    **RESOLUTIONS,
    "denied": "Denied",
    "expired": "Nobody answered",
    "cancelled": "Taken back",
    "revoked": "Stopped by the end user",
    "open": "Open",
}
SCOPES: Final = {  # what a technician may ask for in this version, in the order of the form
    "look": "See facts about the device",
    "run": "Run commands and use the terminal",
    "files": "Send and fetch files",
    "admin": "Act as administrator",
}


TOKEN_SCOPES: Final = {  # what an API token may be used for
    "read": "See devices, sessions and records",
    "dispatch": "Assign devices, nudge end users, cancel requests",
    "work": "Ask for sessions and work in them",
    "share": "Review and share transcripts",
    "enrol": "Make installers",
    "manage": "Change devices and clients",
    "audit": "Read the audit log and the plugins",
    "admin": "Change members, tokens and plugins, erase contents",
}


@functools.cache
def icon(name: str) -> Markup:
    """Return an icon from the vendored sprite; it is decoration, the words stand beside it."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>').format(
        assets().address("vendor/lucide.svg"), name
    )


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / SECOND, UTC)


def iso(us: int) -> str:
    """Return a time (UTC microseconds) as ISO 8601 with milliseconds."""
    return _moment(us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exact(us: int) -> str:
    """Return a time as it is read aloud: 2026-11-24 10:42:07 UTC."""
    return _moment(us).strftime("%Y-%m-%d %H:%M:%S UTC")


def milliseconds(seconds: float) -> str:
    """Return a short time as a person reads it: "0.4 ms", "27 ms", "2.1 s"."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def age(us: int) -> str:
    """Return a length of time (microseconds) in its largest unit: "now", "12 s", "3 min", "2 h", "5 d"."""
    seconds = max(0, us // SECOND)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s" if seconds >= 5 else "now"


def ago(us: int | None, now: int) -> Markup:
    """Return how long ago something was; the browser keeps it current and shows the exact local time on hover."""
    if us is None:
        return Markup('<span class="sub">never</span>')
    words = age(now - us)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        iso(us), exact(us), words if words == "now" else f"{words} ago"
    )


def due(us: int, now: int) -> Markup:
    """Return how far off a moment is: "in 20 min", or "8 min late"."""
    words = f"in {age(us - now)}" if us > now else f"{age(now - us)} late"
    return Markup('<time datetime="{}" title="{}" data-due{}>{}</time>').format(
        iso(us), exact(us), Markup(' class="late"') if us <= now else "", words
    )


def clock_time(us: int) -> Markup:
    """Return a time of day; the browser shows it in the viewer's zone."""
    return Markup('<time datetime="{}" title="{}" data-clock>{}</time>').format(
        iso(us), exact(us), _moment(us).strftime("%H:%M:%S")
    )


def date_time(us: int) -> Markup:
    """Return a day and time; the browser shows it in the viewer's zone."""
    return Markup('<time datetime="{}" title="{}" data-date>{}</time>').format(
        iso(us), exact(us), _moment(us).strftime("%Y-%m-%d %H:%M")
    )


def moment(us: int) -> Markup:
    """Return a day and time to the second; the browser shows it in the viewer's zone."""
    return Markup('<time datetime="{}" title="{}" data-moment>{}</time>').format(
        iso(us), exact(us), _moment(us).strftime("%Y-%m-%d %H:%M:%S")
    )


def digits(us: int) -> str:
    """Return a length of time as a clock reads: 02:14, 1:05:09."""
    seconds = max(0, us // SECOND)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes:02}:{seconds % 60:02}"


def running(since: int, now: int, *, watched: bool = False) -> Markup:
    """Return a clock that runs since a moment; a watched one turns amber after 2 minutes and red after 5."""
    seconds = (now - since) // SECOND
    level = " red" if watched and seconds > 300 else " amber" if watched and seconds > 120 else ""
    return Markup('<time class="run{}" datetime="{}" title="since {}" data-run{}>{}</time>').format(
        level, iso(since), exact(since), Markup("=watched") if watched else "", digits(now - since)
    )


def span(us: int | None) -> str:
    """Return a length of time (microseconds) in two units: 0.42 s, 12.3 s, 3 min 12 s, 1 h 5 min."""
    if us is None:
        return "–"
    if us < 10 * SECOND:
        return f"{us / SECOND:.2f} s"
    seconds = us // SECOND
    if seconds < 60:
        return f"{us / SECOND:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds // 60 % 60} min"


def size(count: int) -> str:
    """Return a number of bytes in its unit: 812 B, 3.4 KiB, 1.2 GiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def share(part: int, whole: int) -> int:
    """Return a part in percent, 0 to 100."""
    return max(0, min(100, round(100 * part / whole))) if whole > 0 else 0


@functools.cache
def badge(state: State) -> Markup:
    """Return a session's state: colour, shape and word."""
    style, symbol, words = _STATES[state]
    return Markup('<span class="badge {}">{}{}</span>').format(style, icon(symbol), words)


def state_words(state: State) -> str:
    """Return a session's state in words."""
    return _STATES[state][2]


def link_state(online: bool) -> Markup:
    """Return whether a device is connected: colour, shape and word."""
    return Markup('<span class="st online">Online</span>') if online else Markup('<span class="st offline">Offline</span>')


def initials(name: str) -> str:
    """Return the initials of a person for a small round picture."""
    words = name.split()
    return (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper()


def keys(text: str) -> str:
    """Return typed keys so that each can be seen: Enter as ⏎, Ctrl-C as ^C, Escape as ^[."""
    return "".join(
        "⏎" if char in "\r\n" else f"^{chr(ord(char) ^ 64)}" if ord(char) < 32 or char == "\x7f" else char for char in text
    )


def json(value: object) -> Markup:
    """Return a value as JSON that may stand in a script element as data."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c"))  # noqa: S704  # no markup is left in it


def address(filters: Struct, **other: object) -> str:
    """Return filters as they stand in an address, some of them changed; what is empty is left out."""
    values = {name: getattr(filters, name) for name in filters.__struct_fields__} | other
    return urlencode({name: str(value) for name, value in values.items() if value not in (None, "")})
