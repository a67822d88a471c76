"""Secrets are masked wherever a plugin or its libraries write: messages, arguments, tracebacks, in the forms that logs give them."""

import logging
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from caisey_core.plugin_host.masking import Mask, PluginLog, mask_all, secrets_in
from caisey_hookspecs import Secret

SECRET = 'pä"ss\\w/ör d&1'


class Account(Struct, frozen=True):
    """A group with a secret."""

    name: str
    token: Secret


class Settings(Struct, frozen=True):
    """Secrets at every place that a form has."""

    key: Secret
    main: Account
    others: tuple[Account, ...] = ()
    more: dict[str, Secret] = {}
    none: Secret | None = None


class Hearing(logging.Handler):
    """Keeps finished lines, as a handler of the operator's own would."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(tenant)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(self.format(record))


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What plugins log."""
    handler, logger = Hearing(), logging.getLogger("caisey.plugins")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def test_all_secrets_of_the_settings_are_found() -> None:
    """Groups, lists, maps."""
    account = Account("name", Secret("two!"))
    settings = Settings(Secret("one!"), account, (Account("x", Secret("three")),), {"a": Secret("four")})
    assert sorted(secrets_in(settings)) == ["four", "one!", "three", "two!"]


@pytest.mark.usefixtures("heard")
def test_the_plugin_s_logger_masks(heard: list[str]) -> None:
    """Message, arguments, extra traceback, a child's too; who it was stays readable."""
    log = PluginLog("demo", "tenant-1", Mask([SECRET]))
    log.warning("sent %s to %r", SECRET, {"token": SECRET})
    log.getChild("http").error("again %s", SECRET)
    try:
        raise ValueError(f"refused {SECRET}")
    except ValueError:
        log.exception("failed", stack_info=True)
    assert len(heard) == 3
    assert "failed" in heard[2]
    assert "ValueError: refused …" in heard[2]
    assert all(line.startswith("caisey.plugins.demo tenant-1 ") for line in heard)
    assert all("…" in line and "ss\\w" not in line and "ör d" not in line for line in heard)


def test_what_cannot_be_shown_is_told_on_the_plugin_s_side(heard: list[str]) -> None:
    """Arguments that do not fit, or raise: a line comes out, and it holds no foreign object."""

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError(SECRET)

    log = PluginLog("demo", "tenant-1", Mask([SECRET]))
    log.warning("%s and %s", SECRET)
    log.warning("%s", Hostile())
    assert len(heard) == 2
    assert all("cannot be shown" in line and "ör d" not in line for line in heard)


def test_lines_from_anywhere_are_masked_while_the_plugin_runs() -> None:
    """As JSON, as an address, as Python shows it; once the settings are gone, they are nobody's secret any more."""
    mask = Mask([SECRET])
    for written in (SECRET, 'p\\u00e4\\"ss\\\\w/\\u00f6r d&1', "p%C3%A4%22ss%5Cw%2F%C3%B6r%20d%261", repr(SECRET)):
        assert "…" in mask_all(f"a line with {written} in it")
    del mask
    assert mask_all(SECRET) == SECRET


@given(st.lists(st.text(min_size=4), max_size=4), st.text())
def test_nothing_is_left_of_a_secret(secrets: list[str], around: str) -> None:
    """Whatever they are, also parts of each other."""
    mask = Mask(secrets)
    masked = mask(around + around.join(secrets))
    assert all(secret not in masked or "…" in secret for secret in secrets)


def test_many_tenants_secrets_cost_little() -> None:
    """A line of the log is masked within milliseconds with thousands of secrets."""
    masks = [Mask([f"secret-number-{number}"]) for number in range(2000)]
    began = time.perf_counter()
    assert "secret-number" not in mask_all("x" * 500 + "secret-number-1999")
    assert time.perf_counter() - began < 0.5
    assert len(masks) == 2000
