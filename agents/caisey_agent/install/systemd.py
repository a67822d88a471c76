"""A systemd unit for the agent (systemd.exec(5), systemd.service(5))."""

import shlex
import sys
from pathlib import Path


def unit(home: Path) -> str:
    """Return the unit's text: restarts after failures, not after a removal (exit code 4) or a refusal (3)."""
    command = shlex.join([str(Path(sys.argv[0]).resolve()), "run", "--home", str(home.resolve())])
    return f"""[Unit]
Description=Caisey endpoint agent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2 3 4
KillMode=mixed
UMask=0077

[Install]
WantedBy=multi-user.target
"""
