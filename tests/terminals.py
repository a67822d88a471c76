"""A person's open terminal page, without its looks: the socket behind it, and what it was sent."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from doors import Caisey, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


@contextlib.contextmanager
def browser(caisey: Caisey, session: str, who: str, after: int = -1) -> Iterator["Browser"]:
    """A person's open terminal page."""
    address = f"{caisey.url.replace('http', 'ws', 1)}/t/brightwater-it/sessions/{session}/live?after={after}"
    headers = {"authorization": f"Bearer {caisey.people[who].token}"}
    with connect(address, additional_headers=headers, max_size=None) as socket:
        yield Browser(socket)


class Browser:
    """What it was sent, sorted."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.output = b""
        self.position = -1
        self.said: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()
        until(lambda: self.of("hello"), "the greeting")

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            for message in self.socket:
                if isinstance(message, bytes):
                    self.position = int.from_bytes(message[:4], "big")
                    self.output += message[21:]
                else:
                    self.said.append(json.loads(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a kind."""
        return [message for message in self.said if message["type"] == kind]

    def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps({"type": kind, **fields}))

    def type(self, text: str) -> None:
        """Type into the terminal."""
        self.say("type", data=text)

    def declined(self) -> list[str]:
        """What was refused, in words."""
        return [f"{message['reason']} {message['what_to_do']}" for message in self.of("refused")]

    def shows(self, text: str) -> None:
        """Wait until the terminal shows something."""
        until(lambda: text.encode() in self.output, f"{text!r} in the terminal")

    def told(self, words: str) -> None:
        """Wait until the person is told something."""
        until(lambda: [message for message in self.of("person") if words in message["text"]], f"the words {words!r}")
