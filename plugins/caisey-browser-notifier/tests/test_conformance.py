"""What every notifier keeps, of the browser's."""

from caisey_hookspecs.testing import NotifierConformance


class TestConformance(NotifierConformance):
    """The suite of the contract."""

    plugin = "browser-notifier"
