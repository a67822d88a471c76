"""What every shell keeps, of bash: on the server, and on this machine as on a device."""

from caisey_hookspecs.testing import EndpointShellConformance, ShellConformance


class TestConformance(ShellConformance):
    """The suite of the contract for the half on the server."""

    plugin = "bash"


class TestOnTheDevice(EndpointShellConformance):
    """The suite of the contract for the half on the device."""

    plugin = "bash"
