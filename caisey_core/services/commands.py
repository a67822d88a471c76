"""A technician's commands and keys: judged, durable in the record, and only then sent to the device."""

from uuid import UUID, uuid4

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.services import shells
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, durable, words
from caisey_core.services.outcomes import bad_input, open_session_of
from caisey_core.services.sessions import may_work
from caisey_core.services.views import CommandCard

MOST_WAITING = 20  # commands that may wait in one session
LONGEST_KEYS = 16 * 1024  # bytes of one message from the terminal


async def working(house: House, member: Member, session: UUID) -> OpenSession | Refused:
    """Return the session if this member may work in it now; rights are looked at again for each act."""
    opened = await open_session_of(house, member, session)
    if isinstance(opened, Refused):
        return opened
    return may_work(member, opened) or opened


async def run(house: House, member: Member, session: UUID, line: str) -> CommandCard | Refused:
    """Accept a command: the answer says that it is in the record, not that it has run."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if not line.strip():
        return bad_input("line", "The command is empty.", "Type a command.")
    data = line.encode(errors="surrogatepass")
    if len(data) > f.LONGEST_LINE:
        return bad_input(
            "line", f"The command is longer than {f.LONGEST_LINE // 1024} KiB.", "Put it into a file and upload it."
        )
    if len(opened.running) >= MOST_WAITING:
        return Refused(f"{MOST_WAITING} commands wait already.", "Wait for one to end, or stop it.", 429)
    view = await shells.shell_view(house, member.tenant, opened.started.shell, line)
    if isinstance(view, Refused):
        return view
    said = words(data)
    command = uuid4()
    ticket = house.journal.propose(
        opened, e.CommandAccepted(actor=member.actor, at=STAMPED, command=command, line=said.contents[0]), said.disclosure
    )
    if isinstance(ticket, Refused) or ticket is None:
        return ticket or Refused("This command was accepted already.", "Nothing needs to be done.")
    opened.commands += 1
    card = CommandCard(id=command, position=ticket.first, line=line, by=member.name, at=opened.state.last_at, state="accepted")
    opened.running[command] = card
    if (refused := await durable(ticket)) is not None:
        opened.running.pop(command, None)
        return refused
    run_it = f.Run(session=session, command=command, line=data, technician=member.name, seed=said.seed)
    house.live.links.of(opened.device).send(run_it)
    return card


async def interrupt(house: House, member: Member, session: UUID, command: UUID | None) -> Refused | None:
    """End a command (None: whatever runs)."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    ticket = house.journal.propose(opened, e.CommandInterrupted(actor=member.actor, at=STAMPED, command=command))
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.Interrupt(session=session, command=command))
    return None


async def type_keys(house: House, member: Member, session: UUID, data: bytes) -> Refused | None:
    """Type into the terminal: durable before it is sent. What is typed while nothing is echoed is counted, not kept."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if len(data) > LONGEST_KEYS:
        return bad_input("data", f"More than {LONGEST_KEYS // 1024} KiB at once.", "Upload it as a file.")
    hidden = opened.hidden_typing
    said = words(b"" if hidden else data)
    ticket = house.journal.propose(
        opened,
        e.TerminalTyped(actor=member.actor, at=STAMPED, typed=said.contents[0], count=len(data), hidden=hidden),
        said.disclosure,
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.Keys(session=session, data=data))
    return None


async def resize(house: House, member: Member, session: UUID, columns: int, rows: int) -> Refused | None:
    """Set the terminal's size; also opens the terminal."""
    opened = await working(house, member, session)
    if isinstance(opened, Refused):
        return opened
    if not (1 <= columns <= 1000 and 1 <= rows <= 1000):
        return bad_input("columns", "This is no size of a terminal.", "Use 1 to 1000 columns and rows.")
    ticket = house.journal.propose(opened, e.TerminalResized(actor=member.actor, at=STAMPED, columns=columns, rows=rows))
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.Resize(session=session, columns=columns, rows=rows))
    return None
