"""Browsers come and go, and two people type: nothing is lost, each key is recorded, and whoever may not is told in words."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from doors import Caisey, until
from terminals import Browser, browser


@pytest.fixture
def session(caisey: Caisey) -> Iterator[str]:
    """A session of Tom's; afterwards the record holds."""
    made = caisey.active()
    yield made
    holder = caisey.people["tom"].get(f"/sessions/{made}/card")["technician_name"].split()[0].lower()
    caisey.finish(made, holder)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def typed(caisey: Caisey, session: str) -> list[tuple[str, str]]:
    """Who typed what, as the record has it."""
    entries = caisey.people["tom"].get(f"/sessions/{session}")["entries"]
    return [(entry["actor"], entry["typed"]) for entry in entries if entry["typed"]]


def test_closed_in_mid_command_and_back(caisey: Caisey, session: str) -> None:
    """The browser is gone while the command runs; back again, it shows all of the output and the end."""
    with browser(caisey, session, "tom") as first:
        first.say("run", line="echo one; read -r _; echo two", ref="1")
        first.shows("one\r\n")
        seen = first.position
        command = until(lambda: first.of("command"), "the command")[0]["card"]["id"]
    with browser(caisey, session, "tom", after=seen) as second:
        second.type("\r")
        second.shows("two\r\n")
        until(lambda: [m for m in second.of("command") if m["card"]["state"] == "finished"], "the end")
        assert b"one" not in second.output, "what it had is not sent again"
    with browser(caisey, session, "tom") as fresh:
        fresh.shows("two\r\n")
        assert fresh.output.count(b"one\r\n") == 1
    assert caisey.ended(session, command)["output"] == "one\r\n\r\ntwo\r\n"


def test_a_connection_that_is_torn(caisey: Caisey, session: str) -> None:
    """Without a word of goodbye: the command goes on to its end."""
    with browser(caisey, session, "tom") as first:
        first.say("run", line="echo one; sleep 0.5; echo two", ref="1")
        first.shows("one\r\n")
        command = until(lambda: first.of("command"), "the command")[0]["card"]["id"]
        first.socket.socket.close()
    assert caisey.ended(session, command)["output"] == "one\r\ntwo\r\n"


def test_two_technicians_and_a_handover(caisey: Caisey, session: str) -> None:
    """Mia is declined in words; after a hand-over in mid-command she works, and Tom is declined; both see the same."""
    dana = caisey.people["dispatcher"]
    technicians = {choice["name"]: choice["id"] for choice in dana.get("/devices")["technicians"]}
    with browser(caisey, session, "tom") as tom, browser(caisey, session, "mia") as mia:
        assert tom.of("hello")[0]["mine"]
        assert not mia.of("hello")[0]["mine"]
        assert "Tom Brandt" in mia.of("hello")[0]["why_not"]
        tom.type("echo rea''dy\r")
        tom.shows("ready\r\n")
        tom.type("stty -echo; echo wai''ting; read -r x; stty echo; echo \"got <$x>\"\r")
        tom.shows("waiting")
        mia.shows("waiting")
        mia.type("from mia\r")
        mia.say("run", line="echo no", ref="r")
        mia.say("interrupt")
        mia.say("resize", columns=10, rows=10)
        until(lambda: len(mia.declined()) == 4, "four refusals")
        assert all("Tom Brandt’s" in words or "Tom Brandt's" in words for words in mia.declined())
        assert all("hand it to you" in words for words in mia.declined())
        dana.post(f"/sessions/{session}/reassign", {"technician": technicians["Mia Torres"], "reason": "Tom goes home"})
        tom.type("from tom\r")
        until(tom.declined, "a refusal")
        assert "Mia Torres" in tom.declined()[0]
        mia.type("now mia\r")
        mia.shows("got <now mia>")
        tom.shows("got <now mia>")
    said = typed(caisey, session)
    assert not any("from mia" in text or "from tom" in text for _, text in said)
    assert {who for who, text in said if "now mia" in text} <= {"Mia Torres", ""}


def test_a_senior_and_the_technician_type_at_once(caisey: Caisey, session: str) -> None:
    """Nothing is lost, each one's keys are in order, and the record says who typed what."""
    with browser(caisey, session, "tom") as tom, browser(caisey, session, "senior technician") as sam:
        assert sam.of("hello")[0]["mine"]
        tom.type("echo rea''dy\r")
        tom.shows("ready\r\n")
        tom.type("cat > /dev/null\r")
        tom.shows("cat > /dev/null\r\n")

        def work(who: Browser, letters: str) -> None:
            for letter in letters:
                who.type(letter)

        both = [
            threading.Thread(target=work, args=(tom, "abcdefghijklm" * 8)),
            threading.Thread(target=work, args=(sam, "NOPQRSTUVWXYZ" * 8)),
        ]
        for one in both:
            one.start()
        for one in both:
            one.join()
        until(lambda: len(tom.output.partition(b"cat > /dev/null\r\n")[2]) >= 208, "all of the echo")
        echo = tom.output.partition(b"cat > /dev/null\r\n")[2].decode()
        assert "".join(c for c in echo if c.islower()) == "abcdefghijklm" * 8
        assert "".join(c for c in echo if c.isupper()) == "NOPQRSTUVWXYZ" * 8
        tom.type("\x03")
        assert tom.declined() == sam.declined() == []
    said = typed(caisey, session)
    assert "abcdefghijklm" * 8 in "".join(text for who, text in said if "Tom" in who)
    assert "".join(text for who, text in said if "Sam" in who) == "NOPQRSTUVWXYZ" * 8


def test_what_is_no_message(caisey: Caisey, session: str) -> None:
    """The socket is closed with its code and words; other browsers and the session go on."""
    no_fields = '{"type":"type"}'
    rubbish = (
        "",
        "no json",
        "[]",
        "{}",
        '{"type":"fly"}',
        no_fields,
        '{"type":"type","data":1}',
        b"\x00\xff",
        no_fields.encode(),
    )
    with browser(caisey, session, "tom") as good:
        for one in rubbish:
            with browser(caisey, session, "tom") as bad:
                bad.socket.send(one)
                until(lambda bad=bad: bad.socket.close_code is not None, "the close")  # type: ignore[misc]
                assert (bad.socket.close_code, bad.socket.close_reason) == (4400, "This message was not understood."), one
        good.type("echo fi''ne\r")
        good.shows("fine\r\n")
    assert "Traceback" not in caisey.log()


def test_too_much_at_once(caisey: Caisey, session: str) -> None:
    """A message over the limit ends the socket; keys over their limit are declined in words."""
    with browser(caisey, session, "tom") as good, browser(caisey, session, "tom") as bad:
        good.type("x" * 17_000)
        until(good.declined, "a refusal")
        assert "16 KiB" in good.declined()[0]
        bad.type("x" * (2 << 20))
        until(lambda: bad.socket.close_code is not None, "the close")
        assert bad.socket.close_code == 1009
        good.type("echo fi''ne\r")
        good.shows("fine\r\n")


def test_a_password_after_a_restart_of_the_server(caisey: Caisey, session: str) -> None:
    """The terminal does not echo when the server comes back: what is typed then is counted, not recorded."""
    assert caisey.process is not None
    with browser(caisey, session, "tom") as tom:
        tom.type("echo rea''dy\r")
        tom.shows("ready\r\n")
        tom.type("read -rs -p 'pass''word: ' x; echo \"got ${#x}\"\r")
        tom.shows("password: ")
        os.kill(caisey.process.pid, signal.SIGKILL)
        caisey.process.wait()
    caisey.restart_server()
    caisey.state(session, "active")
    with browser(caisey, session, "tom") as tom:
        tom.type("correct horse\r")
        tom.shows("got 13")
    assert "correct horse" not in "".join(text for _, text in typed(caisey, session))
