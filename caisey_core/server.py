"""Runs the web application: one uvicorn process, uvloop, sans-io WebSockets, an exit that does not wait for open streams."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import TextIO

import structlog
import uvicorn
from msgspec.structs import replace

from caisey_core.app import close_house, end_streams, make_app, open_house
from caisey_core.config import Config
from caisey_core.occupied import occupied
from caisey_core.plugin_host.masking import mask_all
from caisey_core.services.house import House

# How long a thread that computes may keep the interpreter from the others. With Python's own 5 ms, a plugin that spins made each
# step of a command wait so long. Measured: p99 of a command beside one 2.6 times that without at 0.02 ms, 4.7 at 0.5 ms; without one
# no difference.
SWITCH_SECONDS = 0.00002

Ready = Callable[[House], Awaitable[None]]


class _Server(uvicorn.Server):
    """Ends event streams and sockets first: uvicorn waits for them before it runs the application's shutdown."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # a signal comes in the middle of anything, also of a message that is being written
        asyncio.get_running_loop().call_soon_threadsafe(end_streams, self._house)
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # a stop that was asked for is no failure: do not raise the signal again


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines without plugins' secrets. A line is made before the lock is taken: what it shows may be a plugin's, and hang."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record."""
        if not self.filter(record):
            return False
        try:
            line = mask_all(self.format(record))
        except Exception as error:  # not handleError: that shows the arguments as they are
            line = json.dumps({"event": "a line cannot be shown", "logger": record.name, "error": type(error).__name__})
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError):
            self.stream.write(line + self.terminator)
            self.flush()
        return True


def configure_logging() -> None:
    """Log JSON lines to standard error, from us, from plugins and from libraries alike; warnings of libraries only."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(["tenant"])],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # without the variables of each frame: passwords and secrets are among them
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handler = _Lines()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("caisey").setLevel(logging.WARNING)
    logging.captureWarnings(True)  # such as a plugin's coroutine that was never awaited
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((host, port))
    found.listen(2048)
    found.set_inheritable(False)
    return found


async def serve(folder: Path, config: Config, ready: Ready | None = None) -> None:
    """Serve a data folder until SIGINT or SIGTERM. `ready` runs as soon as requests are answered.

    Raises OSError if the address is taken, ConfigError if another server has the folder, StoreTrouble and KeyTrouble if it cannot
    be opened.
    """
    configure_logging()
    sys.setswitchinterval(SWITCH_SECONDS)
    listening = listen(config.host, config.port)
    config = replace(config, port=listening.getsockname()[1])
    with occupied(folder):
        await _serve(folder, config, listening, ready)


async def _serve(folder: Path, config: Config, listening: socket.socket, ready: Ready | None) -> None:
    house = await open_house(folder, config)
    try:
        app = make_app(house)
    except BaseException:
        await close_house(house)
        raise
    server = _Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_max_size=1 << 20,
            ws_per_message_deflate=False,
            ws_ping_interval=75.0,
            ws_ping_timeout=60.0,
            http="httptools",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=list(config.trusted_proxies),
        ),
        house,
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    listens = asyncio.create_task(server.ready.wait())
    await asyncio.wait({serving, listens}, return_when=asyncio.FIRST_COMPLETED)
    listens.cancel()
    if ready is not None and server.started:
        try:
            await ready(house)
        except BaseException:
            server.handle_exit(signal.SIGTERM, None)
            await serving
            raise
    await serving
