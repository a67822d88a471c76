"""What every shell keeps, on the server and on the device, and what this one does on top."""

import pytest
from caisey_hookspecs.testing import EndpointShellConformance, ShellConformance

from caisey_example_shell import Sh


class TestConformance(ShellConformance):
    """The suite of the contract for the half on the server."""

    plugin = "example-shell"


class TestOnTheDevice(EndpointShellConformance):
    """The suite of the contract for the half on the device: it runs commands on this machine."""

    plugin = "example-shell"


@pytest.mark.asyncio
async def test_nul_is_refused_in_words() -> None:
    """The technician reads why."""
    assert (await Sh().view("a\0b")).complaint == "sh cannot take a NUL character."
