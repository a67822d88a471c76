"""Runs the agent: puts its parts together and keeps them going until it is stopped or sent away."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys

from caisey_agent.consent.desk import Desk
from caisey_agent.consent.ledger import Ledger
from caisey_agent.facts import person
from caisey_agent.home import Config, Home, write_durably
from caisey_agent.link import Ended, Link, say
from caisey_agent.protocol import frames as f
from caisey_agent.sessions import Work
from caisey_agent.spool import Spool
from caisey_agent.witness import Witness


async def run(home: Home) -> int:
    """Run until SIGTERM, SIGINT, or the server's last word; returns the exit code. Raises HomeTrouble."""
    config, key = home.config(), home.key()
    loop = asyncio.get_running_loop()
    ledger = Ledger(home.sessions)
    spool = Spool(home.folder / "spool", home.next_life())
    link: Link

    def send(frame: f.ToServer) -> None:
        link.send(frame)

    desk = Desk(config, ledger, key, send, person(config))
    work = Work(config, ledger, desk, key, send, lambda frame: link.send_latest(frame), spool.sync)
    address = _prompts(home, config, desk)
    link = Link(config, key, spool, Witness(home.folder, config, key), work.take, lambda: address)
    link.on_room, link.on_doubt = work.pause, desk.doubts
    link.on_connected = work.tell_latest
    work.recover(spool.frames())
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    linked = loop.create_task(link.run())
    ticking = loop.create_task(_tick(desk, work))
    waiting = loop.create_task(stopped.wait())
    done, _ = await asyncio.wait({linked, waiting, ticking}, return_when=asyncio.FIRST_COMPLETED)
    code = 0
    try:
        if linked in done:
            linked.result()
        if ticking in done:
            ticking.result()
    except Ended as ended:
        say(str(ended))
        code = ended.code
        if code == 4:
            home.destroy_key()
    finally:
        for task in (linked, ticking, waiting):
            task.cancel()
        await asyncio.gather(linked, ticking, waiting, return_exceptions=True)
        await work.close()
        spool.close()
        with contextlib.suppress(FileNotFoundError):
            (home.folder / "consent_page").unlink()
    return code


def _prompts(home: Home, config: Config, desk: Desk) -> str:
    """Set up the ways to ask: a dialog where there is a desktop, the terminal if that was chosen, and the page always."""
    from caisey_agent.consent import dialog, terminal
    from caisey_agent.consent.page import ConsentPage

    secret_path = home.folder / "page_secret"
    if not secret_path.exists():
        write_durably(secret_path, secrets.token_urlsafe(24).encode())
    page = ConsentPage(desk, config, secret_path.read_text())
    write_durably(home.folder / "consent_page", page.address.encode())
    if config.prompt == "terminal" or (config.prompt == "auto" and sys.stdin.isatty() and not dialog.available()):
        terminal.TerminalPrompt(desk)
    elif config.prompt == "dialog" or (config.prompt == "auto" and dialog.available()):
        dialog.Dialog(desk)
    say(f"this device is {config.name} of {config.client}; pid {os.getpid()}")
    return page.address


async def _tick(desk: Desk, work: Work) -> None:
    while True:
        await asyncio.sleep(0.5)
        desk.tick()
        await work.tick()
