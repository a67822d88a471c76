"""docs/operate.md against the programs: every setting, command, option, exit code, role and limit is as it says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from document import rows, section, text_of
from doors import agent, caisey

from caisey_agent import sessions, spool
from caisey_agent.consent import desk
from caisey_agent.protocol import frames
from caisey_agent.protocol.consent import Scope
from caisey_core.config import Config
from caisey_core.domain.roles import PERMISSIONS, May
from caisey_core.http import session_socket
from caisey_core.services import (
    api_tokens,
    assignments,
    commands,
    cuts,
    installers,
    passcodes,
    shares,
    sharing,
    sign_in,
    timeline,
    transcripts,
    transfers,
)
from caisey_core.services import sessions as session_service

OPERATE = text_of("operate.md")
PROGRAMS: dict[str, Callable[..., Any]] = {"caisey": caisey, "caisey-agent": agent}


def bounds(name: str) -> str:
    """Return the range of a whole number as the document writes it."""
    hint = get_type_hints(Config, include_extras=True)[name]
    (meta,) = [one for one in get_args(hint) if isinstance(one, msgspec.Meta)]
    return f"{meta.ge} to {meta.le}"


def test_settings() -> None:
    """Each has its row with the default as TOML has it, and its range; no other is there."""
    table = {row[0].strip("`"): row for row in rows(section(OPERATE, "Settings"))}
    assert table.keys() == set(Config.__struct_fields__)
    for name, (_, default, span, meaning) in table.items():
        value = getattr(Config(), name)
        assert default == f"`{msgspec.json.encode(value).decode()}`", name
        if isinstance(value, int) and not isinstance(value, bool):
            assert span == bounds(name), name
        assert meaning, name


def subcommands(program: str, *command: str) -> set[str]:
    """Return a program's commands, as its help lists them; those of a command that has some are named with it."""
    told = PROGRAMS[program](*command, "--help").stdout
    found = re.findall(r"^    ([\w-]+)(?: |$)", told, re.M)
    if command:
        alone = {""} if options_in(told) else set()  # it does something without any of them
        return alone | set(found) if found else set()
    named = {one: subcommands(program, one) for one in found}
    return {f"{one} {act}" if act else one for one, acts in named.items() for act in acts or {""}}


def options_in(told: str) -> set[str]:
    """Return the options that a help names."""
    return set(re.findall(r"--[a-z-]+", told.partition("options:")[2])) - {"--help"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_commands_and_options(program: str) -> None:
    """Each command has its heading, and under it each of its options and no other; choices are named."""
    found = subcommands(program)
    assert found == set(re.findall(rf"^### {program} ([\w -]+)$", OPERATE, re.M))
    assert "--version" in OPERATE
    for command in found:
        told = PROGRAMS[program](*command.split(), "--help").stdout
        options = options_in(told)
        said = section(OPERATE, f"{program} {command}")
        table = {row[0].strip("`"): row for row in rows(said)}
        named = set(table) or set(re.findall(r"`(--[a-z-]+)`", said))
        assert named == options, command
        required = set(re.findall(r"(?<!\[)--[a-z-]+ [A-Z]+(?!\])", told.partition("options:")[0]))
        for option in required:
            assert table[option.split()[0]][1] == "required", option
        for option, choices in re.findall(r"(--[a-z-]+) \{([a-z,]+)\}", told):
            for choice in choices.split(","):
                assert f"`{choice}`" in table[option][2], choice


def test_exit_codes(tmp_path: Path) -> None:
    """What the tables say of a mistyped folder, a wrong option and a home without an agent."""
    codes = {row[0]: row[1] for row in rows(section(OPERATE, "Commands").partition("### ")[0])}
    assert codes.keys() == {"0", "1", "2"}
    assert caisey("verify", "--data", str(tmp_path)).returncode == 1
    assert caisey("verify").returncode == 2
    assert caisey("plugins").returncode == 0
    codes = {row[0]: row[1] for row in rows(section(OPERATE, "The agent's commands").partition("### ")[0])}
    assert codes.keys() == {"0", "1", "2", "3", "4"}
    assert agent("status", "--home", str(tmp_path)).returncode == 2
    home = str(tmp_path / "home")
    assert agent("enrol", "http://example.com", "--token", "x", "--home", home).returncode == 3


def test_roles() -> None:
    """The table is what the services check."""
    head = re.search(r"^\| may \| (.+) \|$", OPERATE, re.M)
    assert head is not None
    roles = [cell.strip() for cell in head.group(1).split("|")]
    assert set(roles) == {str(role) for role in PERMISSIONS}
    table = {row[0]: row[1:] for row in rows(section(OPERATE, "People and roles"))}
    assert table.keys() == {str(may) for may in May}
    for may in May:
        for role, allowed in PERMISSIONS.items():
            assert table[may][roles.index(role)] == ("yes" if may in allowed else "–"), f"{role}: {may}"


def test_scopes_are_explained() -> None:
    """Whoever sets the ceiling of a device knows each word."""
    for scope in Scope:
        assert f"`{scope}`: " in section(OPERATE, "What only the device decides")


def test_files_of_the_data_folder(record: Path) -> None:
    """Each file that a demonstration leaves has its row, and is its owner's alone."""
    said = section(OPERATE, "The data folder")
    named = set(re.findall(r"`([\w./-]+)`", "\n".join(row[0] for row in rows(said))))
    folder = record.parent
    for path in folder.iterdir():
        entry = f"{path.name}/" if path.is_dir() else path.name
        inside = {f"{path.name}/{child.name}" for child in path.iterdir()} if path.is_dir() else set()
        assert entry in named or (inside and inside <= named), entry
        assert path.stat().st_mode & 0o077 == 0, path
    assert {"keys/master.key", "keys/csrf.key"} <= named


def test_files_of_the_agents_home(record: Path) -> None:
    """Each file of an agent that worked has its row."""
    said = section(OPERATE, "The agent's home")
    named = {row[0].strip("`") for row in rows(said)}
    home = record.parent / "agents" / "HD-FRONTDESK"
    for path in home.iterdir():
        assert (f"{path.name}/" if path.is_dir() else path.name) in named, path
        assert path.stat().st_mode & 0o077 == 0, path
    assert {"config.json", "device.key", "page_secret", "consent_page", "spool", "life", "checkpoint", "sessions/"} == named


KIB, MIB = 1 << 10, 1 << 20
LIMITS = {
    "a command": f"{frames.LONGEST_LINE // KIB} KiB",
    "commands that wait in one session": f"{commands.MOST_WAITING}",
    "output of one command that is recorded": f"{sessions.LARGEST_OUTPUT // MIB} MiB",
    "keys in one message of a terminal": f"{commands.LONGEST_KEYS // KIB} KiB",
    "a file": f"`largest_file_bytes`: {Config().largest_file_bytes // MIB} MiB by default, {frames.LARGEST_FILE // MIB} MiB at most",
    "a path": f"{transfers.LONGEST_PATH} characters",
    "the reason of a request, a nudge": f"{session_service.LONGEST_REASON} characters",
    "notes, and what was checked": f"{session_service.LONGEST_NOTES} characters",
    "devices assigned at once": f"{assignments.MOST_AT_ONCE}",
    "output that a page shows of one command": f"{timeline.SHOWN_OUTPUT // KIB} KiB",
    "output that a newly opened terminal shows again": f"{session_socket.HISTORY // KIB} KiB",
    "what a device keeps while the server is away": f"{spool.FULL // MIB} MiB",
    "a frame of the link": f"{frames.LONGEST_FRAME // MIB} MiB",
    "a request, other than an upload": "1 MiB",
    "enrolments from one address": "100 at once, then 2 a second",
    "an installer's life and uses": f"{installers.LONGEST_HOURS} hours, {installers.MOST_USES} uses",
    "a sign-in link's life": f"{sign_in.LINK_HOURS} hours",
    "prompt, put off": f"{desk.LATER_SECONDS // 60} minutes",
    "names of devices, clients and members": "100 characters",
    "lines of a transcript": f"{transcripts.MOST_LINES}",
    "a reviewer's text in the place of a line": f"{cuts.LONGEST_TEXT} characters",
    "what a share serves": f"{shares.LARGEST // MIB} MiB",
    "a share's life": f"{shares.LONGEST_HOURS} hours",
    "a passcode": f"{passcodes.SHORTEST} to {passcodes.LONGEST} characters; it is asked for again after {passcodes.GOOD_FOR_SECONDS // 3600} hours",
    "openings of one share": f"{sharing.MOST_OPENINGS} in a minute",
    "API tokens of one owner": f"{api_tokens.MOST} valid at once, {api_tokens.LONGEST_DAYS} days",
    "requests to the API": "`api_requests_per_minute` of a token",
}


def test_limits() -> None:
    """Each number is the one in the code."""
    table = {row[0]: row[1] for row in rows(section(OPERATE, "Limits"))}
    assert table.keys() == LIMITS.keys()
    for what, number in LIMITS.items():
        assert table[what].startswith(number), what


def test_the_unit_is_what_the_agent_prints(tmp_path: Path) -> None:
    """Restarted after failures, not after these exit codes."""
    unit = agent("unit", "--home", str(tmp_path)).stdout
    assert "RestartPreventExitStatus=2 3 4" in unit
    assert "not after the exit codes 2, 3 and 4" in section(OPERATE, "caisey-agent unit")


def test_what_caisey_does_not_protect_against_is_said_twice_in_the_same_words() -> None:
    """The limits of the record stand where operators and where checkers read."""
    words = "a server can always withhold; what it cannot do is invent or change."
    for text in (section(OPERATE, "What Caisey does not protect against"), section(text_of("record-format.md"), "Limits")):
        said = " ".join(text.lower().split())
        assert words in said
        assert "who is root on the device can sign as the device" in said


def test_how_guessing_at_shares_is_slowed() -> None:
    """The numbers in the words are those of the code."""
    said = " ".join(section(OPERATE, "Transcripts and shares").split())
    assert f"after {sharing.FREE} failures 1, 2, 4 … seconds, up to {sharing.LONGEST_SECONDS / 60:.0f} minutes" in said
    assert f"After {sharing.BUSY} failures within an hour" in said
    assert (sharing.WINDOW_SECONDS, sharing.BUSY_SECONDS) == (3600, 60)
    assert f"fewer than {cuts.SHORTEST} characters" in said
