"""The test kit for plugins: `pip install caisey-hookspecs[testing]`.

The conformance suite of a kind, which Caisey's own plugins pass, is enabled by two lines:

    from caisey_hookspecs.testing import NotifierConformance

    class TestConformance(NotifierConformance):
        plugin = "pager"  # the name of the entry point

For tests of your own there are the fixture `caisey_context`, for a plugin without settings, and `fake_context` for any other.
"""

from caisey_hookspecs.testing.conformance import PluginConformance
from caisey_hookspecs.testing.context import (
    FakeClock,
    FakeContext,
    FakeHttp,
    FakeReports,
    FakeStore,
    Sent,
    context_of,
    fake_context,
)
from caisey_hookspecs.testing.identity import IdentityConformance, an_attempt
from caisey_hookspecs.testing.notifier import NotifierConformance, a_notice
from caisey_hookspecs.testing.shell import EndpointShellConformance, Heard, ShellConformance
from caisey_hookspecs.testing.ticketing import TicketingConformance

__all__ = [
    "EndpointShellConformance",
    "FakeClock",
    "FakeContext",
    "FakeHttp",
    "FakeReports",
    "FakeStore",
    "Heard",
    "IdentityConformance",
    "NotifierConformance",
    "PluginConformance",
    "Sent",
    "ShellConformance",
    "TicketingConformance",
    "a_notice",
    "an_attempt",
    "context_of",
    "fake_context",
]
