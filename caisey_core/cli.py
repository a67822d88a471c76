"""The command line: the only place that reads its arguments."""

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from caisey_core import __version__

if TYPE_CHECKING:
    from caisey_core.config import Config
    from caisey_core.services.databases import Databases


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 did not hold or failed, 2 wrong usage."""
    parser = _parser()
    given = parser.parse_args(arguments)
    os.umask(0o077)
    before = set(threading.enumerate())
    code = _run(given)
    if left := sorted(thread.name for thread in threading.enumerate() if thread not in before):
        # All of ours is closed, and Python would wait for some of them for ever
        print(f"caisey: threads of plugins do not end ({', '.join(left)}) and are left behind.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(given: argparse.Namespace) -> int:
    try:
        return int(given.run(given))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        return _fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "") + ".")
    except _trouble() as error:
        return _fail(str(error))


def _trouble() -> tuple[type[Exception], ...]:
    """What is told in words: imported late, so that `caisey --help` is quick."""
    from caisey_core.catalogue.outcomes import CatalogueTrouble
    from caisey_core.config import ConfigError
    from caisey_core.record.keys import KeyTrouble
    from caisey_core.record.store import StoreTrouble
    from caisey_core.services.databases import BackupTrouble
    from caisey_core.tenants import TenantTrouble

    return (BackupTrouble, CatalogueTrouble, ConfigError, KeyTrouble, StoreTrouble, TenantTrouble)


def _fail(message: str) -> int:
    print(f"caisey: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="caisey", description="Control plane for remote troubleshooting.")
    parser.add_argument("--version", action="version", version=f"caisey {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="start a working Caisey with people and real devices on this machine")
    demo.add_argument("--data", type=Path, default=Path("caisey-demo"), help="data folder (default: ./caisey-demo)")
    demo.add_argument("--port", type=int, default=8080, help="loopback port; 0 picks a free one (default: 8080)")
    _add_database(demo)
    demo.add_argument("--ready-file", type=Path, help="write addresses and tokens to this file as JSON once it serves")
    demo.set_defaults(run=_demo)

    init = commands.add_parser("init", help="make an empty installation: keys, first tenant, a one-time link for its admin")
    init.add_argument("--data", type=Path, required=True)
    init.add_argument("--tenant", default="My company", help="name of your company")
    init.add_argument("--admin-name", default="Admin")
    init.add_argument("--admin-email", default="admin@example.com")
    init.add_argument("--url", default="", help="address that people and devices will use, such as https://caisey.example.com")
    init.add_argument("--port", type=int, default=8080)
    _add_database(init)
    init.set_defaults(run=_init)

    serve = commands.add_parser("serve", help="serve an installation")
    serve.add_argument("--data", type=Path, required=True)
    serve.add_argument("--host", help="address to listen on (default: from caisey.toml)")
    serve.add_argument("--port", type=int, help="port to listen on (default: from caisey.toml)")
    _add_database(serve)
    serve.add_argument("--ready-file", type=Path, help="write the address to this file as JSON once it serves")
    serve.set_defaults(run=_serve)

    verify = commands.add_parser("verify", help="check a bundle, or everything in a data folder, and print what was proved")
    what = verify.add_mutually_exclusive_group(required=True)
    what.add_argument("bundle", type=Path, nargs="?", metavar="FILE", help="a bundle; needs no installation and no network")
    what.add_argument("--data", type=Path, help="data folder of an installation")
    verify.add_argument(
        "--key", help="the tenant's public key (from its page Keys and proofs) that must have signed the bundle"
    )
    _add_database(verify)
    verify.set_defaults(run=_verify)

    backup = commands.add_parser("backup", help="put a whole installation into one file, also while it is served")
    backup.add_argument("file", type=Path, help="the new file")
    backup.add_argument("--data", type=Path, required=True)
    backup.add_argument(
        "--with-master-key", action="store_true", help="put the master key in too: whoever has the file has everything"
    )
    _add_database(backup)
    backup.set_defaults(run=_backup)

    restore = commands.add_parser("restore", help="put a backup into a new folder, if all of it holds")
    restore.add_argument("file", type=Path, help="the backup")
    restore.add_argument("--data", type=Path, required=True, help="a folder that is empty or not there yet")
    restore.add_argument("--master-key", type=Path, help="your copy of the master key, where it is not in the backup")
    restore.add_argument(
        "--database",
        metavar="ADDRESS",
        help="an empty database, for a backup of one (default: from CAISEY_DATABASE; without: files in the data folder)",
    )
    restore.set_defaults(run=_restore)

    doctor = commands.add_parser("doctor", help="check everything in a data folder, a line for each check")
    doctor.add_argument("--data", type=Path, required=True)
    doctor.add_argument("--rebuild", action="store_true", help="make the catalogue's session rows anew from the record first")
    _add_database(doctor)
    doctor.set_defaults(run=_doctor)

    rotate = commands.add_parser("rotate-keys", help="seal plugins' secrets under new keys; the server must be stopped")
    rotate.add_argument("--data", type=Path, required=True)
    rotate.add_argument("--new-master-key", action="store_true", help="replace the master key as well")
    _add_database(rotate)
    rotate.set_defaults(run=_rotate_keys)

    _add_tenant(commands.add_parser("tenant", help="begin, list, suspend and resume companies, also while it is served"))

    plugins = commands.add_parser("plugins", help="list what is installed and how it does, or begin a plugin of your own")
    plugins.add_argument("--data", type=Path, help="data folder of an installation: how plugins do on its server")
    plugins.add_argument("--traceback", action="store_true", help="show where a broken plugin failed")
    plugins.set_defaults(run=_plugins)
    new = plugins.add_subparsers(metavar="COMMAND").add_parser("new", help="write a new plugin whose tests pass at once")
    new.add_argument("name", metavar="NAME", help="lower-case letters, digits and hyphens; the distribution is caisey-NAME")
    new.add_argument("--kind", required=True, metavar="KIND", help="identity, ticketing, shell or notifier")
    new.add_argument(
        "--in", dest="parent", type=Path, default=Path(), metavar="DIR", help="where its folder goes (default: here)"
    )
    new.set_defaults(run=_new_plugin)
    return parser


def _add_tenant(parser: argparse.ArgumentParser) -> None:
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    create = acts.add_parser("create", help="begin a company; prints a one-time link for its first admin")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--slug", default="", help="its part of addresses, such as acme-it (default: made of its name)")
    create.add_argument("--admin-name", default="Admin")
    create.add_argument("--admin-email", default="admin@example.com")
    listing = acts.add_parser("list", help="list the companies")
    link = acts.add_parser("link", help="make another one-time link for an admin of a company")
    link.add_argument("--email", default="", help="of which admin (default: of the first by name)")
    suspend = acts.add_parser("suspend", help="close a company's doors and end its sessions; its data stays")
    suspend.add_argument("--reason", required=True, help="stands in the company's audit log")
    resume = acts.add_parser("resume", help="open a company's doors again")
    for one in (link, suspend, resume):
        one.add_argument("slug", metavar="ADDRESS", help="the company's part of addresses, as caisey tenant list prints it")
    for one in (create, listing, link, suspend, resume):
        one.add_argument("--data", type=Path, required=True)
        _add_database(one)
        one.set_defaults(run=_tenant)


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="ADDRESS",
        help="postgresql://USER@HOST/NAME (default: from CAISEY_DATABASE or caisey.toml; without: files in the data folder)",
    )


def _demo(given: argparse.Namespace) -> int:
    from caisey_core import config, demo

    return _loop(demo.run(given.data, given.port, given.ready_file, config.database_of(given.database)))


def _init(given: argparse.Namespace) -> int:
    from caisey_core import config, installation

    link = asyncio.run(
        installation.create(
            given.data,
            tenant=given.tenant,
            name=given.admin_name,
            email=given.admin_email,
            url=given.url,
            port=given.port,
            database=config.database_of(given.database),
        )
    )
    print(f"Made an installation in {given.data}. Start it:  caisey serve --data {given.data}")
    print(f"Then sign in as {given.admin_name} (works once, for 24 hours):  {link}")
    return 0


def _serve(given: argparse.Namespace) -> int:
    from caisey_core import config, installation

    settings = config.load(given.data)
    if given.host is not None:
        settings = replace(settings, host=given.host)
    if given.port is not None:
        settings = replace(settings, port=given.port)
    if given.database is not None:
        settings = replace(settings, database=config.database_of(given.database))
    return _loop(installation.serve(given.data, settings, given.ready_file))


def _verify(given: argparse.Namespace) -> int:
    from caisey_core import config
    from caisey_core.services.bundle_verdict import verify_bundle
    from caisey_core.services.verification import verify_folder

    if given.bundle is not None:
        with given.bundle.open("rb") as file:
            verdict = verify_bundle(file, given.key)
    else:
        settings = config.load(given.data)
        verdict = verify_folder(given.data, config.database_of(given.database, {}) or settings.database)
    for line in verdict.proved:
        print(line)
    for line in verdict.doubted:
        print(f"DOUBTED: {line}", file=sys.stderr)
    if not verdict.ok:
        print(f"NOT VERIFIED: {verdict.broken}", file=sys.stderr)
    return 0 if verdict.ok else 1


def _databases(given: argparse.Namespace) -> "Databases":
    """Return the databases of an installation. Raises ConfigError."""
    from caisey_core import config
    from caisey_core.services import databases

    settings = config.load(given.data)
    return databases.of(given.data, config.database_of(given.database, {}) or settings.database)


def _backup(given: argparse.Namespace) -> int:
    from caisey_core.services import backup

    for line in backup.make(_databases(given), given.file, with_master_key=given.with_master_key):
        print(line)
    return 0


def _restore(given: argparse.Namespace) -> int:
    from caisey_core import config
    from caisey_core.services import backup, databases

    where = databases.of(given.data, config.database_of(given.database))
    for line in asyncio.run(backup.restore(given.file, where, given.master_key)):
        print(line)
    return 0


def _rotate_keys(given: argparse.Namespace) -> int:
    from caisey_core.occupied import occupied
    from caisey_core.services import key_rotation

    where = _databases(given)
    with occupied(given.data):
        for line in asyncio.run(key_rotation.rotate(where, new_master=given.new_master_key)):
            print(line)
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from caisey_core import config

    return asyncio.run(_examine(given.data, config.database_of(given.database, {}), anew=given.rebuild))


async def _examine(data: Path, database: str, *, anew: bool) -> int:
    from caisey_core.services import doctor

    wrong = 0
    async for check in doctor.examine(data, database, anew=anew):
        wrong += not check.ok
        print(f"{'ok' if check.ok else 'WRONG':6} {check.name}: {check.words}")
    print("Everything is in order." if not wrong else f"{wrong} of the checks found something.")
    return 1 if wrong else 0


def _tenant(given: argparse.Namespace) -> int:
    from caisey_core import config

    settings = config.load(given.data)
    database = config.database_of(given.database, {}) or settings.database
    return asyncio.run(_at_desk(given, replace(settings, database=database)))


async def _at_desk(given: argparse.Namespace, settings: "Config") -> int:
    from caisey_core import tenants

    async with tenants.desk(given.data, settings) as house:
        match given.act:
            case "create":
                made = await tenants.create(house, given.name, given.slug, given.admin_name, given.admin_email)
                print(f"Made the company {made.tenant.name} at {settings.url}/t/{made.tenant.slug}/")
                print(f"Its admin {given.admin_name} signs in here (works once, for 24 hours):  {made.link}")
            case "link":
                print(f"Works once, for 24 hours:  {await tenants.link(house, given.slug, given.email)}")
            case "suspend":
                closed = await tenants.suspend(house, given.slug, given.reason)
                print(f"{closed.name} is suspended. A running server ends its sessions within seconds; its data stays.")
            case "resume":
                print(f"{(await tenants.resume(house, given.slug)).name} is open again.")
            case "list":
                for one in await house.catalogue.tenants.all():
                    state = f"suspended: {one.suspended_reason}" if one.suspended_at is not None else "open"
                    print(f"{one.slug:40} {one.name:40} {state}")
    return 0


def _plugins(given: argparse.Namespace) -> int:
    from caisey_core.plugin_host.discovery import discover
    from caisey_core.services import plugin_report

    for plugin in discover():
        kinds = ", ".join(plugin.info.kinds) if plugin.info is not None else "-"
        version = plugin.info.version if plugin.info is not None else "-"
        print(f"{plugin.entry_point:20} {version:10} {kinds:20} {plugin.distribution:24} {plugin.verdict}")
        if given.traceback and plugin.trouble:
            print(plugin.trouble)
    if given.data is not None:
        report = plugin_report.read(given.data)
        if report is None:
            return _fail(f"No server has told yet how plugins do in {given.data}.")
        print("\n" + "\n".join(plugin_report.words(report)))
    return 0


def _new_plugin(given: argparse.Namespace) -> int:
    from caisey_core import new_plugin

    try:
        folder = new_plugin.write(given.name, given.kind, given.parent)
    except new_plugin.CannotWrite as error:
        return _fail(str(error))
    print(f"Wrote {folder}. Its README says how to test it; docs/write-a-plugin.md says the rest.")
    return 0


def _loop(work: Coroutine[object, object, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


if __name__ == "__main__":
    sys.exit(main())
