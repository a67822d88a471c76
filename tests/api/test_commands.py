"""Commands that people really type, through the API, an agent and a real bash: each has an end, and the shell is kept."""

import hashlib
import os
import signal
import threading
import time

import httpx2
import pytest
from doors import Caisey, until


@pytest.fixture(scope="module")
def session(caisey: Caisey) -> str:
    """One active session for this module."""
    return caisey.active()


@pytest.mark.parametrize(
    ("line", "output", "code"),
    [
        ("printf 'a\\nb'", "a\r\nb", 0),
        ("echo 'quote\" $HOME `x`' | wc -c", "17\r\n", 0),
        ("false", "", 1),
        ("(exit 300)", "", 44),
        ("nosuchcommand 2>/dev/null", "", 127),
        ("kill -9 $BASHPID & wait $!", None, 137),
        ("cat <<X\none\ntwo\nX", "one\r\ntwo\r\n", 0),
        ("for i in 1 2 3; do\n  echo $i\ndone", "1\r\n2\r\n3\r\n", 0),
        ("printf '\\033]133;D;0\\007'; echo mark", None, 0),
        ("printf 'grün 漢字 🙂\\n'", "grün 漢字 🙂\r\n", 0),
        ("set -e; false", None, None),
        ("trap 'echo bye' EXIT; true", None, 0),
        ("PS1='> '; PROMPT_COMMAND='echo evil'; true", None, 0),
        ("exec 2>&1; ls /nonexistent | tail -1", None, None),
        ("stty -echo; echo quiet; stty echo", "quiet\r\n", 0),
        ("echo $((6*7)); : $(sleep 0.1)", "42\r\n", 0),
        ("true # comment", "", 0),
        ("alias ll='echo aliased'", "", 0),
    ],
)
def test_a_command_has_its_own_end(caisey: Caisey, session: str, line: str, output: str | None, code: int | None) -> None:
    """Output and exit code are the command's own, and the next command is not touched by it."""
    card = caisey.run(session, line)
    assert card["state"] == "finished", card
    if output is not None:
        assert card["output"] == output
    if code is not None:
        assert card["exit_code"] == code
    after = caisey.run(session, "echo next")
    assert (after["output"], after["exit_code"]) == ("next\r\n", 0)


def test_the_same_shell_is_kept(caisey: Caisey, session: str) -> None:
    """Directory, variables, functions and options stay from one command to the next."""
    caisey.run(session, 'cd /usr/share && f() { echo "f of $1"; }; x=5; set -o pipefail')
    card = caisey.run(session, 'f "$x"; false | true; echo $?; pwd')
    assert card["output"] == "f of 5\r\n1\r\n/usr/share\r\n"
    assert card["directory"] == "/usr/share"


@pytest.mark.parametrize("line", ["echo 'unclosed", "if true", "((", "cat <<X", "echo $("])
def test_what_is_not_complete(caisey: Caisey, session: str, line: str) -> None:
    """An unclosed quote does not swallow the next command: it is an error of its own, or ends by itself."""
    card = caisey.run(session, line)
    assert card["state"] == "finished", card
    assert caisey.run(session, "echo next")["output"] == "next\r\n"


@pytest.mark.parametrize("line", ["exit 3", "exec true", "kill -9 $$"])
def test_a_shell_that_is_gone(caisey: Caisey, session: str, line: str) -> None:
    """The command ends, the loss of the shell is told, and the next command has a new one."""
    caisey.run(session, "lost=1")
    card = caisey.run(session, line)
    assert card["state"] == "finished", card
    after = caisey.run(session, 'echo "[$lost]"')
    assert after["output"] == "[]\r\n"
    kinds = [entry["kind"] for entry in caisey.people["tom"].get(f"/sessions/{session}")["entries"]]
    assert any("shell" in kind for kind in kinds)


def test_binary_and_very_long_output(caisey: Caisey, session: str) -> None:
    """All of it is recorded, byte for byte, or cut with size and hash; a 10 MB line is one of them."""
    tom = caisey.people["tom"]
    card = caisey.run(session, "stty -onlcr; head -c 70000 /dev/zero | tr '\\0' '\\377'")
    raw = tom.call("GET", f"/sessions/{session}/commands/{card['id']}/output").content
    assert raw == b"\xff" * 70000
    caisey.run(session, "stty onlcr")
    card = caisey.run(session, "head -c 10485760 /dev/zero | tr '\\0' x")
    assert card["output_size"] == 10 << 20
    raw = tom.call("GET", f"/sessions/{session}/commands/{card['id']}/output").content
    assert hashlib.sha256(raw).digest() == hashlib.sha256(b"x" * (10 << 20)).digest()
    card = caisey.run(session, "head -c 12000000 /dev/zero | tr '\\0' y; echo end")
    assert card["exit_code"] == 0
    assert caisey.run(session, "echo next")["output"] == "next\r\n"


def test_a_command_that_is_too_long_or_empty(caisey: Caisey, session: str) -> None:
    """It is refused in words, and nothing is recorded of it."""
    tom = caisey.people["tom"]
    path = f"/sessions/{session}/commands"
    long = tom.call("POST", path, json={"line": "x" * 70_000})
    assert long.status_code in (413, 422)
    assert long.json()["what_to_do"]
    assert tom.call("POST", path, json={"line": ""}).status_code == 422
    assert tom.call("POST", path, json={"line": "   "}).status_code in (202, 422)
    null = tom.call("POST", path, json={"line": "echo a\0b"})
    assert null.status_code in (202, 422)


def test_interrupt_ends_what_runs_and_what_waits(caisey: Caisey, session: str) -> None:
    """Ctrl-C for a recorded command; the queue behind it is said not to have run."""
    tom = caisey.people["tom"]
    first = tom.post(f"/sessions/{session}/commands", {"line": "sleep 300"})["id"]
    second = tom.post(f"/sessions/{session}/commands", {"line": "echo never"})["id"]
    until(lambda: "sleep 300" in caisey.devices["HD-FRONTDESK"].page(), "the command on the person's page")
    began = time.monotonic()
    tom.post(f"/sessions/{session}/interrupt", {})
    assert caisey.ended(session, first)["exit_code"] == 130
    assert time.monotonic() - began < 2
    waited = caisey.ended(session, second)
    assert waited["state"] == "not run"
    assert "stopped" in waited["reason"]
    assert caisey.run(session, "echo next")["output"] == "next\r\n"


def test_commands_sent_together_run_one_after_the_other(caisey: Caisey, session: str) -> None:
    """Two browsers at once: each command has its own output, none is mixed into another."""
    tom = caisey.people["tom"]
    sent: dict[str, str] = {}

    def send(name: str) -> None:
        for i in range(10):
            line = f"for i in 1 2 3; do echo {name}-{i}; done"
            sent[tom.post(f"/sessions/{session}/commands", {"line": line})["id"]] = f"{name}-{i}\r\n" * 3

    both = [threading.Thread(target=send, args=(name,)) for name in ("a", "b")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    for command, output in sent.items():
        assert caisey.ended(session, command)["output"] == output


def test_kill_9_of_the_agents_shell_process(caisey: Caisey, session: str) -> None:
    """Somebody kills bash from outside while a command runs: it ends, the session goes on."""
    tom = caisey.people["tom"]
    pid = int(caisey.run(session, "echo $$")["output"])
    running = tom.post(f"/sessions/{session}/commands", {"line": "sleep 300"})["id"]
    until(lambda: "sleep 300" in caisey.devices["HD-FRONTDESK"].page(), "the command on the person's page")
    os.kill(pid, signal.SIGKILL)
    card = caisey.ended(session, running)
    assert card["state"] in ("finished", "lost")
    assert caisey.run(session, "echo next")["output"] == "next\r\n"


def test_only_whoever_has_the_session_works_in_it(caisey: Caisey, session: str) -> None:
    """Another technician, a dispatcher and an auditor may look, not type."""
    for who in ("mia", "dispatcher", "auditor", "admin"):
        refused = caisey.people[who].call("POST", f"/sessions/{session}/commands", json={"line": "id"})
        assert refused.status_code == 403, who
        assert refused.headers["content-type"].startswith("application/problem+json")
        assert refused.json()["detail"].endswith(".")


def test_a_download_of_output_is_only_data(caisey: Caisey, session: str) -> None:
    """Output is never served as a page."""
    card = caisey.run(session, "echo '<script>alert(1)</script>'")
    tom = caisey.people["tom"]
    answer = tom.call("GET", f"/sessions/{session}/commands/{card['id']}/output")
    assert answer.headers["content-type"].split(";")[0] in ("application/octet-stream", "text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_it_all_verifies(caisey: Caisey, session: str) -> None:
    """After everything above, the record holds."""
    caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
    assert httpx2.get(caisey.url + "/t/brightwater-it/", follow_redirects=False).status_code in (302, 303, 401)
