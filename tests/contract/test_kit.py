"""The test kit: its suites notice each broken promise, its context is as the server's, and what will go is named."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pluggy
import pytest

from caisey_core.app import close_house, open_house
from caisey_core.config import Config
from caisey_core.installation import make_folder, make_tenant
from caisey_core.plugin_host.context import TenantStore
from caisey_core.plugin_host.http import PluginHttp
from caisey_core.plugin_host.reach import hosts_of
from caisey_hookspecs import NoSettings, Notifier, PluginInfo, Rejected, Secret, Store, Unavailable, hookimpl, hookspec
from caisey_hookspecs.declaration import SPECIFICATIONS, Misfit
from caisey_hookspecs.testing import FakeContext, FakeHttp, FakeStore, fake_context
from caisey_hookspecs.testing.conformance import read

MISBEHAVING = Path(__file__).parent / "misbehaving.py"
DECLARATION = "test_is_found_by_its_entry_point"  # whoever fails here has no object that could pass anything


@dataclass
class Suite:
    """What came of the suite for one plugin."""

    expected: str = ""
    failed: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    """All suites of the misbehaving plugins, run as an author would run them."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, str(MISBEHAVING)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, Suite] = defaultdict(Suite)
    for case in ElementTree.parse(report).iter("testcase"):
        suite = found[case.attrib["classname"].rpartition(".")[2]]
        test = case.attrib["name"].partition("[")[0]
        broken = case.find("failure") is not None or case.find("error") is not None
        (suite.failed if broken else suite.passed).add(test)
        for one in case.iter("property"):
            suite.expected = one.attrib["value"]
    return found


def test_each_broken_promise_is_noticed(suites: dict[str, Suite]) -> None:
    """Each plugin that breaks one fails at the test of that promise; what it does not break passes."""
    assert len(suites) > 35
    assert {
        name: suite.expected for name, suite in suites.items() if suite.expected and suite.expected not in suite.failed
    } == {}
    assert [name for name, suite in suites.items() if not suite.passed - suite.failed and suite.expected != DECLARATION] == []


def test_a_plugin_that_keeps_them_passes(suites: dict[str, Suite]) -> None:
    """Those without a fault have no failure."""
    good = {name: suite.failed for name, suite in suites.items() if not suite.expected}
    assert good == {"TestGood": set(), "TestDoor": set()}


def test_words_of_a_missing_installation(tmp_path: Path) -> None:
    """An author who forgot to install their plugin reads what to do."""
    (tmp_path / "test_it.py").write_text(
        "from caisey_hookspecs.testing import NotifierConformance\n"
        "class TestConformance(NotifierConformance):\n    plugin = 'nobody-has-this'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "found", "test_it.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert "install yours first (pip install -e .)" in done.stdout


# --- the context is as the server's ---


async def _use(store: Store) -> list[Any]:
    """Do everything that a plugin can do with a store, and return what came of it."""
    said: list[Any] = [await store.get("a"), await store.put("a", b"1"), await store.put("a", b"2"), await store.get("a")]
    for version in (0, 1, 2, 3, None):
        said.append(await store.put("a", b"3", if_version=version))
    said += [await store.put("b", b"", if_version=0), await store.put("b", b"", if_version=0)]
    said += [await store.put("c", b"", if_version=1), await store.get("c")]
    await store.delete("a")
    await store.delete("a")
    said += [await store.get("a"), await store.put("a", b"4", if_version=4), await store.put("a", b"4", if_version=0)]
    for key in ("x/1", "x/2", "x", "y/1", "x/10", "k" * 200, "Zoë/東京"):
        said.append(await store.put(key, b"v" * 65536))
    said += [await store.keys("x/"), await store.keys("nothing"), sorted(await store.keys())]
    for key, value in (("", b""), ("k" * 201, b""), ("a\0b", b""), ("k", b"v" * 65537)):
        try:
            said.append(await store.put(key, value))
        except Rejected as error:
            said.append(str(error))
    return said


async def test_the_store(tmp_path: Path) -> None:
    """The same acts have the same results as in the server's database."""
    config = Config()
    make_folder(tmp_path / "data", config)
    tenant = await make_tenant(tmp_path / "data", config, "Acme MSP")
    house = await open_house(tmp_path / "data", config)
    try:
        real = TenantStore(house.catalogue.plugin_store, house.plugins.choices, asyncio.get_running_loop(), tenant.id, "pager")
        assert await _use(FakeStore()) == await _use(real)
    finally:
        await close_house(house)


DECLARED = ("api.vendor.example", "*.eu.vendor.example", "desk.vendor.example:8443", "https://whole.vendor.example/path")
ADDRESSES = (
    "https://api.vendor.example/x",
    "https://API.vendor.example/x?y=1",
    "https://api.vendor.example:443/x",
    "https://api.vendor.example:444/x",
    "http://api.vendor.example/x",
    "https://a.eu.vendor.example/",
    "https://a.b.eu.vendor.example/",
    "https://eu.vendor.example/",
    "https://desk.vendor.example:8443/",
    "https://desk.vendor.example/",
    "https://whole.vendor.example/another",
    "https://other.vendor.example/",
    "https://api.vendor.example.evil.example/",
    "https://evil.example/api.vendor.example",
    "https://user:pass@api.vendor.example/",
    "https://evil.example@api.vendor.example/",
    "ftp://api.vendor.example/",
    "file:///etc/passwd",
    "//api.vendor.example/",
    "api.vendor.example",
    "https://",
    "",
)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_the_reach(address: str) -> None:
    """What the server refuses the fake refuses, and what it would send the fake takes."""

    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("this test asks no DNS")

    real, fake = PluginHttp(hosts_of(DECLARED[:3], DECLARED[3:]), resolve=nobody), FakeHttp(DECLARED)
    verdicts = []
    for http in (real, fake):
        try:
            await http.request("GET", address)
            verdicts.append("sent")
        except Rejected:
            verdicts.append("refused")
        except Unavailable:
            verdicts.append("not reached")
    assert verdicts[0] == verdicts[1]


async def test_headers_and_methods_that_are_not_the_plugins() -> None:
    """They are refused here too."""
    http = FakeHttp(("api.vendor.example",))
    for method, headers in (("TRACE", {}), ("GET", {"Host": "x"}), ("GET", {"Content-Length": "1"})):
        with pytest.raises(Rejected):
            await http.request(method, "https://api.vendor.example/", headers=headers)
    assert http.sent == []
    assert http.refused == []


def test_what_is_logged_is_masked() -> None:
    """In words, arguments and tracebacks, also where the secret sits in a group of a list."""
    from msgspec import Struct

    class Person(Struct, frozen=True):
        code: Secret

    class Settings(Struct, frozen=True):
        people: tuple[Person, ...]

    context = fake_context(Settings((Person(Secret("s3cr3t-1")), Person(Secret("s3cr3t-2")))))
    context.log.warning("first %s", "s3cr3t-1")
    try:
        raise ValueError("second s3cr3t-2")
    except ValueError:
        context.log.exception("it failed")
    assert context.logged[0] == "WARNING first …"
    assert "second …" in context.logged[1]
    assert "s3cr3t" not in "".join(context.logged)


async def test_the_fixture(caisey_context: FakeContext[NoSettings]) -> None:
    """pytest finds it by the entry point; the test owns its clock."""
    before = caisey_context.clock.now()
    caisey_context.clock.advance(90)
    assert (caisey_context.clock.now() - before).total_seconds() == 90


# --- what will go is named ---


class Passing:
    """A specification with a hook that is on its way out."""

    @staticmethod
    @hookspec(warn_on_impl=DeprecationWarning("caisey_pager goes in 2.0; implement caisey_notifier."))
    def caisey_pager(context: object) -> Notifier:
        """Be old."""
        raise NotImplementedError


class OldPlugin:
    """Uses it."""

    @staticmethod
    @hookimpl
    def caisey_plugin() -> PluginInfo:
        """Describe it."""
        return PluginInfo(name="old", title="Old", version="1.0", kinds=("notifier",))

    @staticmethod
    @hookimpl
    def caisey_notifier(context: object) -> Notifier:
        """Make it."""
        raise NotImplementedError

    @staticmethod
    @hookimpl
    def caisey_pager(context: object) -> Notifier:
        """Make it the old way."""
        raise NotImplementedError


def test_a_deprecated_hook_works_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that uses it is read as before; the words of the mark come along, and the suite fails on them."""
    with pytest.raises(Misfit, match="caisey_pager"):
        read(OldPlugin, "old")
    monkeypatch.setattr("caisey_hookspecs.declaration.SPECIFICATIONS", (*SPECIFICATIONS, Passing))
    declared = read(OldPlugin, "old")
    assert declared.deprecated == ("caisey_pager goes in 2.0; implement caisey_notifier.",)
    assert isinstance(declared.hooks, pluggy.HookRelay)
