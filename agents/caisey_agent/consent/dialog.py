"""The prompt as a desktop dialog, by the desktop's own program (zenity); the page stays open for stop and receipt."""

import asyncio
import contextlib
import os
import shutil

from caisey_agent.consent.desk import Desk
from caisey_agent.consent.ledger import Asked
from caisey_agent.consent.texts import LANGUAGES, language_of
from caisey_agent.protocol.consent import ConsentRequest, Decision, Scope


def available() -> bool:
    """Say whether there is a desktop to show a dialog on."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and shutil.which("zenity") is not None


class Dialog:
    """Opens one dialog for each question; a nudge opens it again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open: dict[bytes, asyncio.Task[None]] = {}
        desk.how = "dialog"
        desk.changed.append(self._show)

    def _show(self) -> None:
        waiting = {request.nonce + asked.message.encode(): (request, asked) for request, asked in self._desk.waiting()}
        for mark in [mark for mark in self._open if mark not in waiting]:
            self._open.pop(mark).cancel()
        for mark, (request, asked) in waiting.items():
            if mark not in self._open:
                self._open[mark] = asyncio.get_running_loop().create_task(self._ask(request, asked))

    async def _ask(self, request: ConsentRequest, asked: Asked) -> None:
        words = LANGUAGES[language_of(os.environ.get("LANG", "").replace("_", "-"))]
        lines = [
            words["asks"].format(technician=request.technician, tenant=request.tenant),
            *([f"{words['message']}: {asked.message}"] if asked.message else []),
            f"{words['why']}: {asked.reason}",
            *(f"• {words[scope.value]}" for scope in request.scopes),
            words["minutes"].format(n=request.duration_seconds // 60),
        ]
        program = await asyncio.create_subprocess_exec(
            "zenity",
            "--question",
            "--no-markup",
            f"--title={words['title']}",
            "--text=" + "\n".join(lines),
            f"--ok-label={words['approve']}",
            f"--cancel-label={words['deny']}",
            f"--extra-button={words['later']}",
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await program.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                program.terminate()
            raise
        if program.returncode not in (0, 1):  # zenity itself failed: nobody answered, and the page still asks
            return
        decision: Decision = "granted" if program.returncode == 0 else "later" if out.strip() else "denied"
        self._desk.answer(request.session, decision, tuple(Scope), request.duration_seconds, how="dialog")
