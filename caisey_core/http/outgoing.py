"""What goes out through a WebSocket: the door's half of an outbox."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from caisey_core.live.outbox import Close

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey.http")


def sender(socket: WebSocket[Any, Any, Any]) -> Callable[[str | bytes | Close], Coroutine[Any, Any, None]]:
    """Return what sends one message and never raises: whoever reads the socket hears that it is gone."""

    async def send(message: str | bytes | Close) -> None:
        try:
            if isinstance(message, Close):
                await socket.close(message.code, message.reason)
            elif isinstance(message, str):
                await socket.send({"type": "websocket.send", "text": message, "bytes": None})
            else:
                await socket.send({"type": "websocket.send", "text": None, "bytes": message})
        except (WebSocketDisconnect, OSError):
            return
        except Exception as error:  # whoever puts a message into the outbox is somebody else and must not fail
            log.error("a message could not be sent", path=socket.scope["path"], exc_info=error)

    return send
