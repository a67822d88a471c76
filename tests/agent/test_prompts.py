"""The other ways to ask: a terminal, and a desktop's dialog program. The page is in tests/browser."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID, uuid4

from doors import until
from lying import Lying
from msgspec.structs import replace

from caisey_agent.home import Home
from caisey_agent.protocol import consent
from caisey_agent.protocol import frames as f


class Screen:
    """What a person sees and types where the agent was started."""

    def __init__(self, terminal: int) -> None:
        self._terminal, self._seen = terminal, ""

    async def shows(self, words: str) -> str:
        """Wait until it shows some words and return all that it showed."""
        async with asyncio.timeout(15):
            while words not in self._seen:
                self._seen += (await asyncio.to_thread(os.read, self._terminal, 4096)).decode(errors="replace")
        return self._seen

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._terminal, text.encode() + b"\n")


async def restart(lying: Lying, prompt: str, **environment: str) -> Screen:
    """Start the agent anew, on a terminal of its own, with another way to ask."""
    await lying.kill()
    home = Home(lying.home)
    home.save_config(replace(home.config(), prompt=prompt))
    ours, theirs = os.openpty()
    lying.process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "caisey_agent.cli", "run", "--home", str(lying.home)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **environment},
    )
    os.close(theirs)
    await lying.linked()
    return Screen(ours)


def decision(answered: f.Answered) -> consent.ConsentAnswer:
    """Return what the person answered."""
    said = consent.decode_statement(answered.answer)
    assert isinstance(said, consent.ConsentAnswer)
    return said


async def ask(lying: Lying, **changes: object) -> UUID:
    """Ask for a session."""
    session = uuid4()
    await lying.say(lying.question(session, **changes))
    return session


async def test_a_terminal(lying: Lying) -> None:
    """It shows who, why, what and how long; y agrees, s stops, n says no; nothing steers the terminal."""
    screen = await restart(lying, "terminal")
    session = await ask(lying, reason="The printer\x1b[2J is silent")
    seen = await screen.shows("Approve (y)")
    assert "Tom Brandt from Brightwater IT" in seen
    assert "The printer�[2J is silent" in seen
    assert "60 minutes" in seen
    screen.types("y")
    agreed = decision(await lying.hear(f.Answered))
    assert (agreed.decision, agreed.how, agreed.session) == ("granted", "terminal", session)
    await screen.shows("to stop it at any moment")
    command = uuid4()
    await lying.say(f.Run(session=session, command=command, line=b"sleep 100"))
    await lying.hear(f.Started)
    screen.types("s")
    await screen.shows("Stopped.")
    assert (await lying.hear(f.Withdrew)).session == session

    second = await ask(lying)
    await lying.hear(f.PromptShown, 2)
    screen.types("n")
    denied = decision(await lying.hear(f.Answered, 2))
    assert (denied.decision, denied.session) == ("denied", second)


ZENITY = """#!/bin/sh
for word; do printf '%s\\n' "$word" >> "$ASKED"; done
exit $(cat "$ANSWER")
"""


async def test_a_dialog(lying: Lying, tmp_path: Path) -> None:
    """The desktop's dialog program shows the question as plain text; its failure is no answer, its buttons are."""
    program = tmp_path / "bin" / "zenity"
    program.parent.mkdir()
    program.write_text(ZENITY)
    program.chmod(0o755)
    answer, asked = tmp_path / "answer", tmp_path / "asked"
    answer.write_text("255")
    path = f"{program.parent}:{os.environ['PATH']}"
    await restart(lying, "dialog", PATH=path, DISPLAY=":0", ASKED=str(asked), ANSWER=str(answer))
    session = await ask(lying, reason="<b>The printer</b>")
    await lying.hear(f.PromptShown)
    await asyncio.to_thread(until, lambda: asked.exists() and "--extra-button" in asked.read_text(), "the dialog")
    assert {"--question", "--no-markup", "Why: <b>The printer</b>"} <= set(asked.read_text().splitlines())
    answer.write_text("0")
    await lying.say(f.Nudge(session=session, message="Please look"))
    granted = decision(await lying.hear(f.Answered))
    assert (granted.decision, granted.how, granted.session) == ("granted", "dialog", session)
    assert len([one for one in lying.said if isinstance(one, f.Answered)]) == 1
    answer.write_text("1")
    refused = await ask(lying)
    denied = decision(await lying.hear(f.Answered, 2))
    assert (denied.decision, denied.session) == ("denied", refused)
