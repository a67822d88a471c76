"""The agent's command line: the only place that reads its arguments."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from caisey_agent import __version__
from caisey_agent.home import Config, Home, HomeTrouble, default_folder
from caisey_agent.protocol.consent import Scope


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Exit codes: 0 done, 2 wrong usage or settings, 3 refused by the server, 4 removed."""
    given = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        return int(given.run(given))
    except HomeTrouble as trouble:
        print(f"caisey-agent: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _scopes(text: str) -> tuple[Scope, ...]:
    try:
        return tuple(Scope(one.strip()) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; choose from {', '.join(Scope)}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="caisey-agent", description="The program on a device that Caisey looks after.")
    parser.add_argument("--version", action="version", version=f"caisey-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    home = argparse.ArgumentParser(add_help=False)
    home.add_argument("--home", type=Path, default=default_folder(), help="the agent's folder (default: %(default)s)")

    enrol = commands.add_parser("enrol", parents=[home], help="enrol this machine with an installer's token")
    enrol.add_argument("url", help="address of the server")
    enrol.add_argument("--token", required=True)
    enrol.add_argument("--name", default="", help="name of the device (default: host name)")
    enrol.add_argument("--account", default="", help="account of the person at the keyboard; shells run as it")
    enrol.add_argument("--prompt", choices=("auto", "page", "terminal", "dialog"), default="auto")
    enrol.add_argument("--page-port", type=int, default=0, help="port of the consent page on loopback (default: a free one)")
    enrol.add_argument(
        "--scopes", type=_scopes, default=(Scope.LOOK, Scope.RUN, Scope.FILES), help="the most that this device ever accepts"
    )
    enrol.add_argument(
        "--unattended-scopes", type=_scopes, default=(), help="granted without a prompt, for servers nobody sits at"
    )
    enrol.add_argument("--systemd", action="store_true", help="print a systemd unit")
    enrol.add_argument("--demonstration", action="store_true", help=argparse.SUPPRESS)
    enrol.set_defaults(run=_enrol)

    run = commands.add_parser("run", parents=[home], help="connect and work")
    run.set_defaults(run=_run)
    status = commands.add_parser("status", parents=[home], help="say who this device is")
    status.set_defaults(run=_status)
    forget = commands.add_parser(
        "forget-history", parents=[home], help="begin anew with what the server shows next, after its operator explained why"
    )
    forget.set_defaults(run=_forget)
    unit = commands.add_parser("unit", parents=[home], help="print a systemd unit")
    unit.set_defaults(run=_unit)
    return parser


def _enrol(given: argparse.Namespace) -> int:
    from caisey_agent.enrol import Refusal, enrol

    home = Home(given.home)
    try:
        place = enrol(home, given.url, given.token, given.name)
    except Refusal as refusal:
        print(f"caisey-agent: {refusal}", file=sys.stderr)
        return 3
    home.save_config(
        Config(
            device=place.device,
            name=place.name,
            server=place.server,
            tenant=place.tenant,
            client=place.client,
            link=place.link,
            key=place.key,
            account=given.account,
            prompt=given.prompt,
            page_port=given.page_port,
            scopes=given.scopes,
            unattended_scopes=given.unattended_scopes,
            demonstration=given.demonstration,
        )
    )
    print(f"Enrolled as {place.name} at {place.client}, looked after by {place.tenant}.")
    print(f"Start it with:  caisey-agent run --home {given.home}")
    return _unit(given) if given.systemd else 0


def _run(given: argparse.Namespace) -> int:
    from caisey_agent.agent import run

    return asyncio.run(run(Home(given.home)))


def _status(given: argparse.Namespace) -> int:
    config = Home(given.home).config()
    print(f"{config.name} ({config.device}) of {config.client}, looked after by {config.tenant}; server {config.server}")
    return 0


def _forget(given: argparse.Namespace) -> int:
    from caisey_agent.witness import forget

    Home(given.home).config()
    print("Forgotten: the next checkpoint is taken as it comes." if forget(given.home) else "Nothing was remembered.")
    return 0


def _unit(given: argparse.Namespace) -> int:
    from caisey_agent.install.systemd import unit

    print(unit(given.home), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
