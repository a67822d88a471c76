"""The bare reference for sockets: an ASGI application without any framework, on the same uvicorn with the same options.

`/idle` accepts and waits; `/watch` joins the watchers; what is said at `/say` is sent to every watcher in a plain loop.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
watchers: set[Send] = set()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve one connection."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/watch":
        watchers.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            if scope["path"] == "/say":
                for watcher in watchers:
                    await watcher({"type": "websocket.send", "bytes": message["bytes"]})
    finally:
        watchers.discard(send)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """Run it in a process of its own; yields its address and process id."""
    told = folder / "bare.port"
    process = subprocess.Popen([sys.executable, __file__, str(told)])
    try:
        while not told.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield f"ws://127.0.0.1:{told.read_text()}", process.pid
    finally:
        process.terminate()
        process.wait()


def main(told: Path) -> None:
    """Serve until terminated."""
    import socket

    import uvicorn
    import uvloop

    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=75.0,
        ws_ping_timeout=60.0,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    new = told.with_suffix(".new")
    new.write_text(str(listening.getsockname()[1]))
    new.replace(told)
    uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
