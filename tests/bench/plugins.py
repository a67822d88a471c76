"""What plugins cost: a call over its thread, many installed ones at the start, an idle one's memory, and one that spins."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from devices import live
from distributions import notifier, on_the_path
from doors import Server, running, until
from figures import Row, quantile

ROUNDS, CALLS = 7, 2000
FEW, MANY, TENANTS = 5, 50, 200
COMMANDS = 300

HOST = """
import asyncio, gc, os, sys, traceback
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import uuid4

import psutil

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.plugin_choices import Choice
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.host import PluginHost
from caisey_core.record.keys import MasterKey
from caisey_hookspecs import Delivery, Notice, Notifier

NOTICE = Notice(key="k", recipient="r", title="t", text="x")


async def host_of(folder):
    catalogue = await Catalogue.create(folder / "catalogue.db")
    master = MasterKey.create(folder / "master.key")
    return catalogue, PluginHost(catalogue.plugin_store, Choices(catalogue.plugin_choices, master))


def deliver(found):
    return found.deliver(NOTICE)


async def call(host, tenant, plugin):
    return await host.call(tenant, plugin, Notifier, deliver, 10.0, expect=Delivery)


async def calls(folder, rounds, count):
    catalogue, host = await host_of(folder)
    tenant = uuid4()
    await call(host, tenant, "quick-0")
    plain = host._kept[tenant, "quick-0", "Notifier"].found
    for _ in range(rounds):
        figures = []
        for work in (lambda: call(host, tenant, "quick-0"), lambda: plain.deliver(NOTICE)):
            took = []
            for _ in range(count):
                began = perf_counter()
                await work()
                took.append(perf_counter() - began)
            figures.append(median(took) * 1000)
        print(*figures)
    await host.close()
    await catalogue.close()


async def memory(folder, plugins, tenants):
    catalogue, host = await host_of(folder)
    first = uuid4()
    for number in range(plugins):
        await call(host, first, f"quick-{number}")  # its thread is there
    gc.collect()
    before = psutil.Process().memory_full_info().uss
    ids = [uuid4() for _ in range(tenants)]
    for tenant in ids:
        for number in range(plugins):
            await call(host, tenant, f"quick-{number}")
    gc.collect()
    print((psutil.Process().memory_full_info().uss - before) / (plugins * tenants) / 1000)
    await host.close()
    await catalogue.close()


try:
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:])))
except BaseException:
    traceback.print_exc()
    os._exit(1)  # the database's threads would keep it
"""
QUICK = "return Delivery(delivered=True)"
SPIN = """
import asyncio as _asyncio
_asyncio.get_running_loop().call_soon(_spin)
return Delivery(delivered=True)
"""
# It catches what would end it: a plugin that spins as badly as it can, for as long as the measurement takes
STUBBORN = """
def _spin():
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
"""


def measure(folder: Path) -> list[Row]:
    """All of it, in processes of their own."""
    return [*_call(folder), *_start(folder), *_memory(folder), *_spinning(folder)]


@contextmanager
def _installed(folder: Path, count: int, info: str = "enabled_by_default=True") -> Iterator[None]:
    folder.mkdir()
    for number in range(count):
        notifier(folder, f"quick-{number}", QUICK, info=info, marks=False)
    with on_the_path(folder):
        yield


def _host(what: str, folder: Path, *arguments: int) -> list[list[float]]:
    """Run a host without a server, and return its figures."""
    folder.mkdir()
    command = [sys.executable, "-c", HOST, what, str(folder), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    return [[float(part) for part in line.split()] for line in done.stdout.splitlines()]


def _call(folder: Path) -> list[Row]:
    with _installed(folder / "one", 1):
        figures = _host("calls", folder / "calls", ROUNDS, CALLS)
    added = [ours - plain for ours, plain in figures]
    return [
        Row(
            what="plugin call: added by its thread, p50",
            unit="ms",
            ours=added,
            reference=[0.3],
            must=1.0,
            against="ms (goal)",
            note=f"{CALLS} calls a round, one after the other; a plain await takes {statistics.median(p for _, p in figures):.4f} ms",
        )
    ]


def _start(folder: Path) -> list[Row]:
    """The server's start with few and many plugins, in turn, each with the same tenants."""
    data = folder / "many-tenants"
    subprocess.run([sys.executable, "-m", "caisey_core.cli", "init", "--data", str(data)], check=True, capture_output=True)
    asyncio.run(_add_tenants(data))
    took: dict[int, list[float]] = {FEW: [], MANY: []}
    for count in (FEW, MANY):
        with _installed(folder / f"start-{count}", count):
            pass
    for _ in range(ROUNDS):
        for count, figures in took.items():
            with on_the_path(folder / f"start-{count}"):
                server = Server(data)
                began = time.perf_counter()
                server.start()
                figures.append(time.perf_counter() - began)
                server.stop()
    return [
        Row(
            what=f"start with {MANY} plugins, {TENANTS} tenants",
            unit="s",
            ours=took[MANY],
            reference=took[FEW],
            must=2.0,
            against=f"s, with {FEW}",
        )
    ]


async def _add_tenants(data: Path) -> None:
    from caisey_core import config
    from caisey_core.app import close_house, open_house
    from caisey_core.catalogue.tenants import Tenant

    house = await open_house(data, config.load(data))
    for number in range(TENANTS - 1):
        tenant = Tenant(uuid4(), f"tenant-{number}", f"Tenant {number}", house.clock.now())
        await house.record.create_tenant(tenant.id, f"bench/{tenant.id}")
        await house.catalogue.tenants.create(tenant)
    await close_house(house)


def _memory(folder: Path) -> list[Row]:
    with _installed(folder / "fifty", MANY):
        ours = [_host("memory", folder / f"memory-{number}", MANY, TENANTS)[0][0] for number in range(3)]
    return [
        Row(
            what="memory of a plugin in a tenant, made and idle",
            unit="kB",
            ours=ours,
            reference=[50.0],
            must=1.0,
            against="kB (goal)",
            note=f"{MANY} plugins × {TENANTS} tenants, each called once",
        )
    ]


def _spinning(folder: Path) -> list[Row]:
    """A recorded command's p99 beside a plugin that spins, against the same server before it does."""
    site = folder / "spinning"
    site.mkdir()
    notifier(site, "spins", SPIN, before=STUBBORN)
    calm, spun = [], []
    with on_the_path(site):
        for number in range(3):
            with running(folder / f"demo-{number}") as caisey:
                socket = live(caisey, caisey.active())
                _commands(socket, 50)
                calm.append(quantile(_commands(socket, COMMANDS), 0.99))
                dana = caisey.people["dispatcher"]
                tom = next(one["id"] for one in dana.get("/devices")["technicians"] if one["name"] == "Tom Brandt")
                dana.post("/assignments", {"devices": [caisey.devices["HD-XRAY"].id], "technicians": [tom], "reason": "Spin"})
                until((site / "spins.called").exists, "the plugin to be called")
                (site / "spins.called").unlink()
                spun.append(quantile(_commands(socket, COMMANDS), 0.99))
                socket.close()
    return [
        Row(
            what="recorded command beside a plugin that spins, p99",
            unit="ms",
            ours=spun,
            reference=calm,
            must=3.0,
            against="ms, before it does",
            note="it catches what would end it and spins until the end",
        )
    ]


def _commands(socket: object, count: int) -> list[float]:
    from command import _run

    return [_run(socket, f"echo {number}") for number in range(count)]  # type: ignore[arg-type]
