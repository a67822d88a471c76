"""The time limits that the contract names are those of the server, and those of the test kit."""

import re

import pytest
from documented import classes, hooks, said_by

from caisey_core.plugin_host import discovery, host
from caisey_core.services import bearers, notices, plugin_doors, shells, sign_in
from caisey_hookspecs.testing import conformance, identity, notifier, shell, ticketing

SERVERS = {
    "caisey_plugin": discovery.IMPORT_SECONDS,
    "caisey_event": host.QUICK_SECONDS,
    "caisey_identity": host.QUICK_SECONDS,
    "caisey_shell": host.QUICK_SECONDS,
    "caisey_notifier": host.QUICK_SECONDS,
    "TenantObject.incoming": plugin_doors.LIMIT_SECONDS,
    "Identity.begin": sign_in.LIMIT_SECONDS,
    "Identity.complete": sign_in.LIMIT_SECONDS,
    "Identity.bearer": bearers.LIMIT_SECONDS,
    "Notifier.deliver": notices.LIMIT_SECONDS,
    "Shell.view": shells.LIMIT_SECONDS,
}
KITS = {
    "caisey_event": conformance.HEARING_SECONDS,
    "caisey_notifier": conformance.MAKING_SECONDS,
    "TenantObject.check": conformance.CHECK_SECONDS,
    "TenantObject.incoming": conformance.INCOMING_SECONDS,
    "Identity.begin": identity.ANSWER_SECONDS,
    "Identity.complete": identity.ANSWER_SECONDS,
    "Identity.bearer": identity.ANSWER_SECONDS,
    "Notifier.deliver": notifier.DELIVERY_SECONDS,
    "Shell.view": shell.VIEW_SECONDS,
    "EndpointShell.start": shell.START_SECONDS,
    "Ticketing.ticket": ticketing.READ_SECONDS,
    "Ticketing.add_note": ticketing.WRITE_SECONDS,
}


def said_limit(name: str) -> float:
    """Return the seconds that a docstring names."""
    owner, _, method = name.partition(".")
    thing = getattr(classes()[owner], method) if method else hooks()[owner]
    found = re.match(r"([\d.]+) seconds?\b", said_by(name, thing).sections["Limit"])
    assert found is not None, f"{name} names no seconds"
    return float(found.group(1))


@pytest.mark.parametrize("name", SERVERS)
def test_the_servers_limits(name: str) -> None:
    """As the services wait."""
    assert said_limit(name) == SERVERS[name]


@pytest.mark.parametrize("name", KITS)
def test_the_kits_limits(name: str) -> None:
    """As the conformance suites measure."""
    assert said_limit(name) == KITS[name]
