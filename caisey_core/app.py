"""Composition root: makes the parts, wires them, returns the web application. Nothing else knows how parts are made."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.config.csrf import CSRFConfig
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.types import ASGIApp, Message, Scope

from caisey_core import __version__
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.clock import Clock
from caisey_core.config import Config
from caisey_core.domain.roles import Member
from caisey_core.http import agent, api, pages, plugins, problems, session_socket, sign_in, static
from caisey_core.http.api import files, transcripts
from caisey_core.http.api.description import Description, operation_id
from caisey_core.http.api.door import LIMITS, Door, Quotas
from caisey_core.http.rendering import error_page, template_config
from caisey_core.http.who import Connection, csrf_cookie_name, member_of_page
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.host import PluginHost
from caisey_core.record.keys import MasterKey
from caisey_core.record.store import StoreTrouble
from caisey_core.record.stores import open_store
from caisey_core.record.writer import Record
from caisey_core.search.indexes import open_index
from caisey_core.services import closing, erasure, plugin_news, plugin_report, reconnect, screen, tenancy, witnesses
from caisey_core.services.bearers import Bearers
from caisey_core.services.house import House, Live, log
from caisey_core.services.indexing import Indexer
from caisey_core.services.journal import Journal
from caisey_core.services.outlines import Outlines
from caisey_core.services.plugin_events import PluginEvents
from caisey_core.services.projector import Projector
from caisey_core.services.repeats import Repeats
from caisey_core.services.sharing import Sharing
from caisey_core.services.tenancy import Tenancy
from caisey_core.services.transfers import Transfers
from caisey_core.services.verdicts import Verdicts
from caisey_core.services.witnesses import Witnesses

TICK_SECONDS = 1.0
LOOK_SECONDS = 2.0
WATCH_SECONDS = 1.0  # between looks at plugins' threads
REPORT_SECONDS = 5.0  # between reports of how plugins do
SAVE_SECONDS = 15.0
SWEEP_SECONDS = 600.0
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def open_house(folder: Path, config: Config, clock: Clock | None = None) -> House:
    """Open a data folder's parts and bring back what was going on. Raises StoreTrouble, KeyTrouble, CatalogueTrouble."""
    master = MasterKey.open(folder / "keys" / "master.key")
    record = Record(open_store(folder, config.database), master)
    await record.start()
    try:
        catalogue = await Catalogue.open(config.database or folder / "catalogue.db")
    except BaseException:
        await record.close()
        raise
    plugins = PluginHost(catalogue.plugin_store, Choices(catalogue.plugin_choices, master))
    house = House(config, folder, clock or Clock(), catalogue, record, plugins, Live())
    house.repeats = Repeats(catalogue, master, house.clock)
    try:
        await _begin(house)
    except BaseException:
        await close_house(house)  # a connection left open would keep the process alive after its last words
        raise
    return house


async def _begin(house: House) -> None:
    record, catalogue, clock = house.record, house.catalogue, house.clock
    house.journal = Journal(record, clock)
    house.projector = Projector(catalogue)
    house.indexer = Indexer(record, house.journal, open_index(house.folder, house.config.database))
    house.transfers = Transfers(house)
    house.witnesses = Witnesses(house)
    house.bearers = Bearers(clock)
    house.outlines = Outlines(record)
    house.verdicts = Verdicts(record, clock)
    house.sharing = Sharing()
    house.tenancy = Tenancy(house)
    house.journal.heard.append(partial(screen.heard, house))
    told = PluginEvents(house)
    house.journal.heard.append(told.of_session)
    house.journal.audited.append(told.of_audit)
    house.plugins.heard = partial(plugin_news.heard, house)
    known = set(record.tenants())
    for tenant in await catalogue.tenants.all():
        if tenant.id not in known:
            raise StoreTrouble(
                f"The company {tenant.name} is not in this record: record.db and catalogue.db of {house.folder} do not belong "
                "together. Restore both from one backup."
            )
    record.on_held.append(lambda: reconnect.record_held(house))
    record.on_resumed.append(lambda: house.spawn(reconnect.record_resumed(house), "record resumed"))
    await house.tenancy.begin()
    await reconnect.server_started(house)
    house.spawn(house.witnesses.prepare(), "reading the logs")


async def close_house(house: House) -> None:
    """Write what waits and let go of everything."""
    await house.finish_tasks(2.0)
    for session in house.journal.open.values():
        if session.state.started is not None:
            house.projector.changed(session)  # its output moved it on without a word to the projector
    with contextlib.suppress(Exception):  # a database that is away does not keep the server from stopping
        await save_live(house)
        await house.witnesses.save()
        await house.projector.flush()
    await house.plugins.close()
    house.verdicts.close()
    house.indexer.close()
    await house.record.close()
    await house.catalogue.close()


async def save_live(house: House) -> None:
    """Write devices' last signs of life to the catalogue, in one transaction for each tenant."""
    rows: dict[Any, list[Any]] = {}
    for device in house.live.roster.unsaved():
        facts = msgspec.json.encode(device.facts) if device.facts is not None else None
        rows.setdefault(device.tenant, []).append((device.id, device.last_seen, facts))
    for tenant, changed in rows.items():
        await house.catalogue.devices.save_live(tenant, changed)


async def watch_plugins(house: House) -> None:
    """Replace plugins' threads that hang."""
    house.plugins.watch()


async def _every(seconds: float, house: House, work: Callable[[House], Any], *, at_once: bool = False) -> None:
    pause = 0.0 if at_once else seconds
    while True:
        await asyncio.sleep(pause)
        pause = seconds
        try:
            await work(house)
        except Exception as error:  # the outermost door of the clock: the next second comes
            log.error("work by the clock failed", exc_info=error)


def end_streams(house: House) -> None:
    """End what would keep the server from stopping: event streams and sockets."""
    house.closing.set()
    house.live.news.close()
    house.live.watchers.close()
    house.live.links.close_all(1012, "The server stops.")
    house.sharing.close()


def make_app(house: House) -> Litestar:
    """Return the web application of an open house; closing the application closes the house."""

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_every(TICK_SECONDS, house, closing.tick)),
            asyncio.create_task(_every(LOOK_SECONDS, house, tenancy.look)),
            asyncio.create_task(_every(WATCH_SECONDS, house, watch_plugins)),
            asyncio.create_task(_every(TICK_SECONDS, house, lambda house: house.plugins.refresh())),
            asyncio.create_task(_every(SAVE_SECONDS, house, save_live)),
            asyncio.create_task(_every(REPORT_SECONDS, house, plugin_report.save)),
            asyncio.create_task(_every(SWEEP_SECONDS, house, erasure.sweep, at_once=True)),
            asyncio.create_task(_every(SAVE_SECONDS, house, witnesses.save)),
            asyncio.create_task(_every(house.config.witness_seconds, house, witnesses.send_all)),
            asyncio.create_task(house.projector.run()),
            asyncio.create_task(house.indexer.run()),
        ]
        try:
            yield
        finally:
            end_streams(house)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(Exception):  # a database that is away does not keep the server from stopping
                await plugin_report.save(house, serving=False)
            await close_house(house)

    async def by_cookie(connection: Connection, _: BaseRouteHandler) -> None:
        connection.scope["state"]["member"] = await member_of_page(house, connection)

    quotas = Quotas(house.config)

    def door(app: ASGIApp) -> Door:  # Litestar copies what a middleware is given; a function it leaves alone
        return Door(app, house, quotas)

    def member(request: Request[Any, Any, Any]) -> Member:
        found: Member = request.scope["state"]["member"]
        return found

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        refused = problems.refusal_of(error)
        request_id = problems.request_id_of(request.scope)
        if refused.status >= 500 and not isinstance(error, problems.RefusedError):
            log.error("request failed", route=request.scope.get("path_template", ""), request_id=request_id, exc_info=error)
        if "text/html" in request.headers.get("accept", ""):
            return error_page(house, request, refused, request_id)
        allowed = (error.headers or {}).get("allow", "") if isinstance(error, MethodNotAllowedException) else ""
        return problems.problem_response(refused, request_id, {"allow": allowed} if allowed else None)

    # Guards run before anything that was sent is read: a stranger is told to sign in, whatever it was
    members_only = {"member": Provide(member, sync_to_thread=False)}
    csrf_secret = _csrf_secret(house.folder)
    return Litestar(
        route_handlers=[
            agent.enrol,
            agent.link,
            session_socket.live,
            *sign_in.handlers,
            static.serve,
            Router(
                "/t/{tenant:str}",
                route_handlers=[sign_in.sign_out, *files.handlers, *transcripts.shared_handlers, *pages.handlers],
                guards=[by_cookie],
                dependencies=members_only,
                include_in_schema=False,
            ),
            Router(
                "/api/v1/t/{tenant:str}",
                route_handlers=api.handlers,
                middleware=[door],
                dependencies=members_only,
                opt={"exclude_from_csrf": True},
            ),
            *pages.public_handlers,
            *plugins.handlers,
        ],
        dependencies={"house": Provide(lambda: house, sync_to_thread=False, use_cache=True)},
        logging_config=None,
        lifespan=[running],
        request_class=problems.Asked,
        before_send=[headers_of(house.config.secure)],
        exception_handlers={Exception: on_error},
        template_config=template_config(house),
        csrf_config=CSRFConfig(
            secret=csrf_secret,
            cookie_name=csrf_cookie_name(house.config),
            cookie_secure=house.config.secure,
            exclude_from_csrf_key="exclude_from_csrf",
        ),
        openapi_config=OpenAPIConfig(
            title="Caisey",
            version=__version__,
            path="/api/v1",
            render_plugins=[Description(api.TAGS)],
            use_handler_docstrings=True,
            operation_id_creator=operation_id,
        ),
        request_max_body_size=1 << 20,
    )


def _csrf_secret(folder: Path) -> str:
    path = folder / "keys" / "csrf.key"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(32))
    return path.read_bytes().hex()


def headers_of(secure: bool) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return the hook that gives each answer, errors of the routing too, its security headers and the request's id.

    Over TLS, browsers are told to come by TLS only from then on.
    """
    wanted = {**SECURITY_HEADERS, "content-security-policy": POLICY, "cache-control": "no-store"}
    if secure:
        wanted["strict-transport-security"] = "max-age=31536000"
    always = [(name.encode(), value.encode()) for name, value in wanted.items()]

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(header for header in always if header[0] not in names),
                *scope["state"].get(LIMITS, ()),
                (b"x-request-id", problems.request_id_of(scope).encode()),
            ]

    return before_send
