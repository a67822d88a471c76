"""Plugins that do what no plugin may: installed for real, called by a real server, and nobody else notices.

The core answers, the record is safe, the good notifier delivers, the admin reads what happened.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from distributions import install, notifier, on_the_path
from doors import Browser, Caisey, running, until
from doors import caisey as command_line

SECRET = "tell-nobody-7f3a"
SLY = """
class Sly(Exception):
    def __str__(self):
        time.sleep(3600)

class SlyText(str):
    def __str__(self):
        time.sleep(3600)
    __repr__ = __format__ = __str__
"""
# what it does when it is called, and what is told about it (None: nothing, for it answers)
HOSTILE = {
    "bad-raises": (f"raise RuntimeError('broken inside {SECRET}')", r"failed \(RuntimeError: broken inside"),
    "bad-hangs": ("await asyncio.sleep(3600)", r"did not answer within 10 s"),
    "bad-blocks": ("time.sleep(3600)", r"did not answer within 10 s"),
    "bad-spins": ("while True: pass", r"failed \(Ended|did not answer within"),
    "bad-exits": ("sys.exit(7)", r"failed \(SystemExit: 7\)"),
    "bad-answers": ("return 42", r"gave int as an answer"),
    "bad-coroutine": ("async def later(): return Delivery(delivered=True)\nreturn later()", r"gave a coroutine: an await"),
    "bad-recurses": ("def deeper(): deeper()\ndeeper()", r"failed \(RecursionError"),
    "bad-large": ("return Delivery(delivered=True, detail='x' * 100_000_000)", r"gave an answer of more than 16 MiB"),
    "bad-long": ("return Delivery(delivered=True, detail=[0] * 20_000_000)", r"gave an answer of more than 100,000 parts"),
    "bad-words": ("raise Sly", r"did not answer within 10 s"),
    "bad-text": ("return Delivery(delivered=True, detail=SlyText('x'))", r"does not fit the contract"),
    "bad-log": ("self.context.log.warning('%s', Sly())", r"did not answer within 10 s"),
    "bad-stop": ("asyncio.get_running_loop().stop()\nawait asyncio.sleep(3600)", r"did not answer within 10 s"),
    "bad-cancels": ("for task in asyncio.all_tasks(): task.cancel()\nawait asyncio.sleep(1)", r"failed \(CancelledError"),
    "bad-http": (
        "await self.context.http.request('GET', 'http://169.254.169.254/latest/meta-data')",
        r"may be reached by https",
    ),
    "bad-threads": (
        "import concurrent.futures\n"
        "for _ in range(3): threading.Thread(target=time.sleep, args=(3600,), daemon=False).start()\n"
        "concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 3600)\n"
        "return Delivery(delivered=True)",
        None,
    ),
    "bad-later": ("asyncio.get_running_loop().call_later(0.1, time.sleep, 3600)\nreturn Delivery(delivered=True)", None),
    "bad-forgets": ("self.context.store.put('key', b'')\nreturn Delivery(delivered=True)", None),
}
MAKERS = {"bad-maker": "1 / 0", "bad-slow-maker": "time.sleep(3600)", "bad-other": "return object()"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place on PYTHONPATH with all of them, and some that cannot even be imported."""
    made = tmp_path_factory.mktemp("site")
    for name, (does, _) in HOSTILE.items():
        notifier(made, name, does, before=SLY)
    for name, does in MAKERS.items():
        notifier(made, name, "return Delivery(delivered=True)", makes=does)
    install(made, "bad-import", "import nothing_of_this_name")
    install(made, "bad-exit-at-import", "import sys; sys.exit(3)")
    with on_the_path(made):
        yield made


@pytest.fixture(scope="module")
def caisey(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caisey]:
    """A demonstration with all of them installed."""
    with running(tmp_path_factory.mktemp("caisey") / "data") as started:
        yield started


def assigned(caisey: Caisey, device: str) -> float:
    """Assign a device to Tom, which calls all of them; returns the seconds until the answer."""
    dana = caisey.people["dispatcher"]
    technicians = {choice["name"]: choice["id"] for choice in dana.get("/devices")["technicians"]}
    order = {"devices": [caisey.devices[device].id], "technicians": [technicians["Tom Brandt"]], "reason": "Printer"}
    began = time.monotonic()
    dana.post("/assignments", order)
    return time.monotonic() - began


def reported(caisey: Caisey) -> str:
    """Return what `caisey plugins` says of the server, which tells it every few seconds."""
    said = until(
        lambda: found if (found := command_line("plugins", "--data", str(caisey.data))).returncode == 0 else None, "a report"
    )
    return said.stdout


@pytest.fixture(scope="module")
def called(caisey: Caisey, folder: Path) -> None:
    """Each of them is called, none holds up the answer, and the technician's notice by the good one arrives within seconds."""
    tom = caisey.people["tom"]
    page = Browser(caisey.url)
    page.get(urlsplit(tom.sign_in).path)
    page.post(urlsplit(tom.sign_in).path)
    for name in ("HD-FRONTDESK", "HD-XRAY", "PP-OFFICE"):
        assert assigned(caisey, name) < 2
        assert name in [one["device_name"] for one in tom.get("/queue")["mine"]]
        until(lambda name=name: name in page.get("/t/brightwater-it/notices").text, "the notice in the page", 5)  # type: ignore[misc]
    for name in HOSTILE:
        until(lambda name=name: (folder / f"{name}.called").exists(), f"{name} to be called")  # type: ignore[misc]


@pytest.mark.usefixtures("called")
def test_the_job_goes_on(caisey: Caisey) -> None:
    """While they hang and spin, assigning answers at once and a whole session runs; its commands are not held up."""
    session = caisey.active()
    for number in range(10):
        began = time.monotonic()
        assert caisey.run(session, f"echo fine {number}")["output"] == f"fine {number}\r\n"
        assert time.monotonic() - began < 2
    caisey.finish(session)


@pytest.mark.usefixtures("called")
def test_the_operator_reads_what_happened(caisey: Caisey) -> None:
    """`caisey plugins --data` says it of each: what it did, how often, and that hung threads were replaced."""
    for name, (_, words) in HOSTILE.items():
        if words is not None:
            pattern = rf"The plugin {name} ({words})|{words}"
            until(lambda pattern=pattern: re.search(pattern, reported(caisey)), f"what {name} did", 30)  # type: ignore[misc]
    table = reported(caisey)
    assert re.search(r"The plugin bad-maker failed \(ZeroDivisionError", table)
    assert re.search(r"The plugin bad-slow-maker did not answer within 1 s", table)
    assert re.search(r"The plugin bad-other made object, which is no Notifier", table)
    for name in ("bad-blocks", "bad-spins", "bad-words", "bad-log", "bad-later"):
        assert f"The plugin {name} held up its thread and got a new one. It hangs in" in table, name
    assert re.search(r"browser-notifier +brightwater-it +well +\d+ +0 ", table)
    assert "broken: it cannot be imported (ModuleNotFoundError" in table


@pytest.mark.usefixtures("called")
def test_the_admin_reads_what_happened(caisey: Caisey) -> None:
    """The page says it of each plugin in its place."""
    ann = caisey.people["admin"]
    page = Browser(caisey.url)
    page.get(urlsplit(ann.sign_in).path)
    page.post(urlsplit(ann.sign_in).path)
    for words in ("broken inside", "gave int as an answer", "gave an answer of more than 16 MiB"):
        until(lambda words=words: words in page.get("/t/brightwater-it/plugins").text, words)  # type: ignore[misc]


@pytest.mark.usefixtures("called")
def test_a_plugin_that_fails_again_and_again_rests(caisey: Caisey, folder: Path) -> None:
    """From the sixth time on it is not even called, for the tenant where it failed; it says when it is tried again."""
    calls = folder / "bad-raises.called"
    dana, tom = caisey.people["dispatcher"], caisey.people["tom"]
    mine = next(one["id"] for one in tom.get("/queue")["mine"] if one["device_name"] == "HD-XRAY")
    others = [one["id"] for one in dana.get("/devices")["technicians"] if one["name"] != "Tom Brandt"]
    until(lambda: len(calls.read_text().splitlines()) >= 3, "the first calls")
    for technician in (others * 6)[:6]:
        dana.post(f"/assignments/{mine}/reassign", {"technician": technician, "reason": "Somebody else"})
    until(lambda: re.search(r"bad-raises .*resting", reported(caisey)), "the rest", 30)
    assert len(calls.read_text().splitlines()) == 5
    assert re.search(r"It failed 5 times in a row and rests; it is tried again in \d+ s", reported(caisey))


@pytest.mark.usefixtures("called")
def test_spinning_code_is_ended(caisey: Caisey) -> None:
    """No thread of the server computes for nothing any more."""
    assert caisey.process is not None

    def busy() -> int:
        return sum(os.sysconf("SC_CLK_TCK") and int(part) for part in _stat(server)[11:13])

    server = caisey.process.pid

    def calm() -> bool:
        before, began = busy(), time.monotonic()
        time.sleep(0.5)
        used = (busy() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
        return used < 0.5

    until(calm, "the server to be idle", 40)


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


@pytest.mark.usefixtures("called")
def test_the_log_is_lines_of_json(caisey: Caisey) -> None:
    """Whatever they raised or logged; with where it happened, and a forgotten coroutine too."""
    until(lambda: '"where": "' in caisey.log() and "bad_spins.py, line" in caisey.log(), "the watchdog's word")
    lines = [json.loads(line) for line in caisey.log().splitlines() if line.startswith("{")]
    loose = [line for line in caisey.log().splitlines() if "never awaited" in line and not line.startswith("{")]
    assert not loose
    assert any("was never awaited" in line["event"] for line in lines)
    assert any(line.get("plugin") == "bad-recurses" and "bad_recurses.py" in line["trace"] for line in lines)
    assert any(line.get("plugin") == "bad-spins" and "bad_spins.py, line" in line.get("where", "") for line in lines)


@pytest.mark.usefixtures("called")
def test_the_server_stops_when_it_is_asked_to(caisey: Caisey) -> None:
    """Threads that never end are left behind; the record is whole."""
    began = time.monotonic()
    assert caisey.stop() == 0
    assert time.monotonic() - began < 10
    assert caisey.verify().returncode == 0
    assert "at its end" in reported(caisey)
