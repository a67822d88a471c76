"""The prompt on a terminal: for servers and for people who work there."""

import asyncio
import sys
from typing import Final

from caisey_agent.consent.desk import Desk
from caisey_agent.consent.texts import ENGLISH
from caisey_agent.protocol.consent import Decision, Scope

_ANSWERS: Final[dict[str, Decision]] = {"y": "granted", "l": "later", "n": "denied"}


def _plain(text: str) -> str:
    """Return a text without what would steer the terminal: a server may be hostile."""
    return "".join(char if char.isprintable() else "�" for char in text)


class TerminalPrompt:
    """Asks on the terminal that the agent was started from: y, l or n; while a session is active, s stops it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: set[bytes] = set()
        self._stopping: set[asyncio.Future[bool]] = set()  # kept, or they could be collected while they run
        desk.how = "terminal"
        desk.changed.append(self._show)
        asyncio.get_running_loop().add_reader(sys.stdin, self._typed)

    def _show(self) -> None:
        for request, asked in self._desk.waiting():
            mark = request.nonce + asked.message.encode()
            if mark in self._shown:
                continue
            self._shown.add(mark)
            print("\n" + ENGLISH["asks"].format(technician=_plain(request.technician), tenant=_plain(request.tenant)))
            print(f"  {ENGLISH['why']}: {_plain(asked.reason)}")
            for scope in request.scopes:
                print(f"  - {ENGLISH[scope.value]}")
            print(f"  {ENGLISH['how_long']}: {ENGLISH['minutes'].format(n=request.duration_seconds // 60)}")
            if asked.message:
                print(f"  {ENGLISH['message']}: {_plain(asked.message)}")
            print("Approve (y), ask later (l), deny (n)? ", end="", flush=True)

    def _typed(self) -> None:
        line = sys.stdin.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(sys.stdin)
            return
        decision = _ANSWERS.get(line.strip().lower()[:1])
        waiting = self._desk.waiting()
        if waiting and decision is not None:
            request, _ = waiting[0]
            self._desk.answer(request.session, decision, tuple(Scope), request.duration_seconds, how="terminal")
            if decision == "granted":
                print("Agreed. Type s and Enter to stop it at any moment.")
        elif line.strip().lower() == "s":
            for session, _, _ in self._desk.active():
                stopping = asyncio.ensure_future(self._desk.withdraw(session))
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)
                print("Stopped.")
