"""WebSockets that cost next to nothing: blocking sockets, so that what is measured is the product and not this program.

RFC 6455. The mask is zero, which the standard allows and which leaves the bytes as they are; nothing is split or compressed.
"""

import base64
import hashlib
import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The server closed the socket."""


class Socket:
    """One connection, as a client."""

    _mask = 0x80

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.raw = socket.create_connection((parts.hostname, parts.port or 80), timeout=30)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = {
            "host": parts.netloc,
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
            "sec-websocket-version": "13",
            **(headers or {}),
        }
        request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        self.raw.sendall(request.encode())
        while b"\r\n\r\n" not in self._buffer:
            self.fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Closed(head.decode())
        self._buffer = bytearray(rest)

    def fill(self) -> None:
        """Take what has arrived; blocks until there is something."""
        data = self.raw.recv(1 << 18)
        if not data:
            raise Closed("the connection ended")
        self._buffer += data

    def send(self, data: str | bytes) -> None:
        """Send one message."""
        if isinstance(data, str):
            self._send(TEXT, data.encode())
        else:
            self._send(BINARY, data)

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes((0x80 | kind, self._mask | size))
        elif size < 1 << 16:
            head = bytes((0x80 | kind, self._mask | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | kind, self._mask | 127)) + size.to_bytes(8, "big")
        self.raw.sendall(head + (bytes(4) if self._mask else b"") + data)

    def receive(self) -> str | bytes:
        """Wait for one message. Raises Closed."""
        while (message := self.ready()) is None:
            self.fill()
        return message

    def ready(self) -> str | bytes | None:
        """Return a message that has arrived as a whole, or None."""
        while True:
            buffer = self._buffer
            if len(buffer) < 2:
                return None
            kind, size, at = buffer[0] & 15, buffer[1] & 0x7F, 2
            if size == 126:
                size, at = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, at = int.from_bytes(buffer[2:10], "big"), 10
            masked = buffer[1] & 0x80
            key, at = bytes(buffer[at : at + 4]), at + 4 if masked else at
            if len(buffer) < at + size:
                return None
            data = bytes(buffer[at : at + size])
            if masked:
                longer = (key * (size // 4 + 1))[:size]
                data = (int.from_bytes(data, "big") ^ int.from_bytes(longer, "big")).to_bytes(size, "big")
            del buffer[: at + size]
            if kind == CLOSE:
                raise Closed(data[2:].decode())
            if kind == PING:
                self._send(PONG, data)
                continue
            return data.decode() if kind == TEXT else data

    def close(self) -> None:
        """Let go."""
        self.raw.close()


class Accepted(Socket):
    """One connection, as a server: waits for a client."""

    _mask = 0

    def __init__(self, listening: socket.socket) -> None:
        self.raw, _ = listening.accept()
        self.raw.settimeout(30)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        while b"\r\n\r\n" not in self._buffer:
            self.fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        asked = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))}
        key = asked["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        lines = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        self.raw.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{lines}".encode())
