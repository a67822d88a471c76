"""The pytest plugin of the test kit; pytest finds it by its entry point where caisey-hookspecs is installed."""

from typing import TYPE_CHECKING

import pytest

from caisey_hookspecs.plugin import NoSettings

if TYPE_CHECKING:
    from caisey_hookspecs.testing import FakeContext


@pytest.fixture
def caisey_context() -> "FakeContext[NoSettings]":
    """A Context in memory for a plugin without settings and hosts; `caisey_hookspecs.testing.fake_context` makes others."""
    from caisey_hookspecs.testing import fake_context  # late: a test run without plugins' tests pays nothing for the kit

    return fake_context(NoSettings())
