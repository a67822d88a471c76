"""How plugins do on a running server, written beside its data: `caisey plugins --data` reads it without asking the server.

The server may be the one that is ill, and whoever runs the command has no account there.
"""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from caisey_core.plugin_host.health import Health
from caisey_core.services.house import House

FILE = "plugins.json"
AT_ONCE = 500  # pairs that are looked at before others have their turn


class Line(Struct, frozen=True):
    """One plugin in one tenant."""

    plugin: str
    tenant: str  # its slug
    health: Health


class Report(Struct, frozen=True):
    """What the server saw at that time; `serving` is False in its last one."""

    at: datetime
    serving: bool
    lines: tuple[Line, ...]


async def save(house: House, *, serving: bool = True) -> None:
    """Write the report. A disk that is full is told elsewhere, and nothing waits for this file to be durable."""
    slugs = {tenant.id: tenant.slug for tenant in await house.catalogue.tenants.all()}
    lines = []
    for number, (tenant, plugin) in enumerate(sorted(house.plugins.called(), key=lambda pair: pair[1])):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        lines.append(Line(plugin, slugs.get(tenant, str(tenant)), house.plugins.health(tenant, plugin)))
    report = msgspec.json.encode(Report(datetime.now(UTC), serving, tuple(lines)))
    temporary = house.folder / f"{FILE}.new"
    with contextlib.suppress(OSError):
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(report)
        temporary.replace(house.folder / FILE)


def read(folder: Path) -> Report | None:
    """Return the last report, or None where no server of this version served the folder. Raises OSError."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Report)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def words(report: Report) -> list[str]:
    """Return the report as lines for a terminal: a table, and below each plugin that does not do well what happened last."""
    when = "now" if report.serving else "at its end"
    found = [f"How they did on the server {when} ({report.at:%Y-%m-%d %H:%M:%S} UTC):"]
    found.append(f"{'plugin':20} {'tenant':20} {'state':8} {'calls':>7} {'failed':>7} {'median':>8} {'slowest':>8} {'hung':>5}")
    for line in report.lines:
        health = line.health
        counted = f"{health.calls:>7} {health.failures:>7} {_seconds(health.median_seconds)} {_seconds(health.slowest_seconds)}"
        found.append(f"{line.plugin:20} {line.tenant:20} {health.state:8} {counted} {health.hangs:>5}")
        if health.words:
            found.append(f"    {health.words}")
        found += [f"    {trouble.at:%H:%M:%S} {trouble.words}" for trouble in health.troubles]
    return found if report.lines else ["No plugin was called since the server started."]


def _seconds(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value * 1000:>5.0f} ms" if value < 10 else f"{value:>6.0f} s"
