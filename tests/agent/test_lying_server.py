"""A server that was taken over: whatever it says, the device does only what its own person agreed to."""

import asyncio
import hashlib
import os
import pwd
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from lying import Lying
from msgspec.structs import replace

from caisey_agent.home import Home
from caisey_agent.protocol import consent, receipt
from caisey_agent.protocol import frames as f
from caisey_agent.protocol.consent import Scope


def run(session: UUID, line: str, command: UUID | None = None) -> f.Run:
    """A command."""
    return f.Run(session=session, command=command or uuid4(), line=line.encode())


async def refused(lying: Lying, frame: f.ToAgent, reason: str, count: int = 1) -> f.NotRun:
    """Say something; the agent says why it does not do it."""
    await lying.say(frame)
    said = await lying.hear(f.NotRun, count)
    assert reason in said.reason, said
    return said


async def test_nothing_without_consent(lying: Lying, tmp_path: Path) -> None:
    """A command, keys, a file either way, in a session that nobody at the device knows of."""
    mark = tmp_path / "mark"
    session = uuid4()
    await refused(lying, run(session, f"touch {mark}"), "Nobody at this device agreed", 1)
    await refused(lying, f.Keys(session=session, data=f"touch {mark}\n".encode()), "Nobody at this device agreed", 2)
    await refused(lying, f.Resize(session=session, columns=80, rows=24), "Nobody at this device agreed", 3)
    put = f.PutFile(session=session, transfer=uuid4(), path=str(mark), size=1, content=hashlib.sha256(b"x").digest())
    await refused(lying, put, "Nobody at this device agreed", 4)
    await lying.say(f.FileChunk(session=session, transfer=put.transfer, offset=0, data=b"x"))
    get = f.GetFile(session=session, transfer=uuid4(), path="/etc/passwd")
    await refused(lying, get, "Nobody at this device agreed", 5)
    assert not mark.exists()


async def test_nothing_while_the_person_is_being_asked(lying: Lying, tmp_path: Path) -> None:
    """Asking is not yet an answer."""
    session, mark = uuid4(), tmp_path / "mark"
    await lying.say(lying.question(session))
    await lying.hear(f.PromptShown)
    await refused(lying, run(session, f"touch {mark}"), "Nobody at this device agreed")
    assert await lying.answer(session, "denied") == 200
    await lying.hear(f.Answered)
    await lying.say(run(session, f"touch {mark}"))
    await lying.hear(f.NotRun, 2)
    assert not mark.exists()


async def test_consent_to_one_session_is_none_to_another(lying: Lying, tmp_path: Path) -> None:
    """The session's id is part of what was signed."""
    await lying.agreed()
    await refused(lying, run(uuid4(), f"touch {tmp_path}/mark"), "Nobody at this device agreed")
    assert not (tmp_path / "mark").exists()


async def test_only_the_agreed_scope(lying: Lying, tmp_path: Path) -> None:
    """Files were agreed to, commands were not."""
    session = await lying.agreed(scopes=(Scope.FILES,))
    await refused(lying, run(session, f"touch {tmp_path}/mark"), "did not agree to “run”")
    content = b"hello"
    digest = hashlib.sha256(content).digest()
    put = f.PutFile(session=session, transfer=uuid4(), path=f"{tmp_path}/file", size=5, content=digest)
    await lying.say(put)
    await lying.say(f.FileChunk(session=session, transfer=put.transfer, offset=0, data=content))
    ended = await lying.hear(f.TransferEnded)
    assert receipt.holds(lying.public, ended.receipt, ended.signature)
    assert (tmp_path / "file").read_bytes() == content
    assert not (tmp_path / "mark").exists()


async def test_no_more_than_the_device_ever_accepts(lying: Lying) -> None:
    """Administrator rights were not switched on at this device; whatever is asked, they are not granted."""
    session = uuid4()
    await lying.say(lying.question(session, scopes=(Scope.RUN, Scope.ADMIN)))
    await lying.hear(f.PromptShown)
    await lying.answer(session)
    said = await lying.hear(f.Answered)
    answer = consent.decode_statement(said.answer)
    assert isinstance(answer, consent.ConsentAnswer)
    assert answer.scopes == (Scope.RUN,)


async def test_the_agreed_time_ends_on_the_device(lying: Lying, tmp_path: Path) -> None:
    """One minute is the shortest; the agent is started again with a boot clock that is past it."""
    session = await lying.agreed()
    await lying.say(run(session, "echo before"))
    await lying.hear(f.Finished)
    await lying.kill()
    page = lying.home / "sessions" / f"{session}.page"
    from caisey_agent.consent.ledger import Page

    kept = msgspec.msgpack.decode(page.read_bytes(), type=Page)
    assert kept.agreed is not None
    until = replace(kept.agreed.until, boot=kept.agreed.until.boot - 3600, wall=kept.agreed.until.wall - 3600)
    page.write_bytes(msgspec.msgpack.encode(replace(kept, agreed=replace(kept.agreed, until=until))))
    await lying.start()
    await refused(lying, run(session, f"touch {tmp_path}/mark"), "time that the person at this device agreed to is over")
    assert not (tmp_path / "mark").exists()


async def test_nothing_after_the_person_stopped_it(lying: Lying, tmp_path: Path) -> None:
    """Stop ends what runs within a second, with its whole process group; the consent is gone for good."""
    session = await lying.agreed()
    await lying.say(run(session, "(sleep 300 & echo $!; wait)"))
    child = (await lying.hear(f.Output)).data.decode().strip()
    clock = asyncio.get_running_loop().time()
    assert await lying.answer(session, way="stop") == 200
    withdrew = await lying.hear(f.Withdrew)
    assert asyncio.get_running_loop().time() - clock < 1
    assert not Path(f"/proc/{child}/cmdline").exists() or b"sleep" not in Path(f"/proc/{child}/cmdline").read_bytes()
    said = consent.decode_statement(withdrew.withdrawal)
    assert isinstance(said, consent.ConsentWithdrawal)
    assert said.session == session
    count = sum(isinstance(frame, f.NotRun) for frame in lying.said)
    await lying.say(run(session, f"touch {tmp_path}/mark"))
    assert "Nobody at this device agreed" in (await lying.hear(f.NotRun, count + 1)).reason
    assert not (tmp_path / "mark").exists()


async def test_a_question_is_asked_once(lying: Lying) -> None:
    """A recorded question that is sent again after its answer asks nobody and opens nothing."""
    session = uuid4()
    question = lying.question(session)
    await lying.say(question)
    await lying.hear(f.PromptShown)
    await lying.answer(session, "denied")
    await lying.hear(f.Answered)
    await lying.say(question)
    await lying.hear(f.NotRun)
    other = uuid4()
    nonce = consent.decode_request(question.request).nonce
    await refused(lying, lying.question(other, nonce=nonce), "asked before", 2)
    assert str(other) not in await lying.shown()


@pytest.mark.parametrize("lie", ["another session", "another server", "no request", "a short nonce", "another reason"])
async def test_a_question_must_be_for_this_device(lying: Lying, lie: str) -> None:
    """What does not fit is not shown to anybody."""
    session = uuid4()
    honest = lying.question(session)
    question = {
        "another session": replace(lying.question(uuid4()), session=session),
        "another server": lying.question(session, server="evil.example"),
        "no request": replace(honest, request=b"\xc1" * 30),
        "a short nonce": lying.question(session, nonce=b"1"),
        "another reason": replace(honest, reason="Nothing at all"),
    }[lie]
    await lying.say(question)
    await lying.hear(f.NotRun)
    assert not any(isinstance(frame, f.PromptShown) for frame in lying.said)


async def test_a_command_runs_at_most_once(lying: Lying, tmp_path: Path) -> None:
    """The same command again, over a new link and after kill -9 of the agent: its effect is there once."""
    session, command, trace = await lying.agreed(), uuid4(), tmp_path / "trace"
    await lying.say(run(session, f"echo once >> {trace}", command))
    await lying.hear(f.Finished)
    await lying.say(run(session, f"echo once >> {trace}", command))
    await lying.say(run(session, "echo fence"))
    await lying.hear(f.Finished, 2)
    await lying.kill()
    await lying.start()
    await lying.say(run(session, f"echo once >> {trace}", command))
    said = await lying.hear(f.NotRun)
    assert said.lost
    assert trace.read_text() == "once\n"


async def test_the_receipt_is_the_devices_own(lying: Lying) -> None:
    """What ran, what came out and when is signed, and chained to the receipt before."""
    session = await lying.agreed()
    await lying.say(run(session, "printf hello"))
    first = await lying.hear(f.Finished)
    await lying.say(run(session, "exit_code() { return 7; }; exit_code"))
    second = await lying.hear(f.Finished, 2)
    assert receipt.holds(lying.public, first.receipt, first.signature)
    one, two = receipt.decode(first.receipt), receipt.decode(second.receipt)
    assert isinstance(one, receipt.CommandReceipt)
    assert isinstance(two, receipt.CommandReceipt)
    assert one.line == hashlib.sha256(b"printf hello").digest()
    assert one.output == hashlib.sha256(b"hello").digest()
    assert two.exit_code == 7
    assert two.previous == hashlib.sha256(first.receipt).digest()
    assert not receipt.holds(lying.public, first.receipt + b"x", first.signature)


@pytest.mark.parametrize("scopes", [(Scope.RUN,), (Scope.RUN, Scope.ADMIN)])
async def test_the_receipt_names_the_account_that_it_ran_as(lying: Lying, scopes: tuple[Scope, ...]) -> None:
    """As the person at the keyboard, or with the agent's rights: what is signed is what `id` says."""
    home = Home(lying.home)
    await lying.kill()
    home.save_config(replace(home.config(), account="nobody", scopes=tuple(Scope)))
    await lying.start()
    session = await lying.agreed(scopes=scopes)
    await lying.say(run(session, "id -un"))
    finished = await lying.hear(f.Finished)
    said = receipt.decode(finished.receipt)
    assert isinstance(said, receipt.CommandReceipt)
    assert said.account == lying.bits(finished).strip()
    assert said.account == (await lying.hear(f.ShellStarted)).account


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that belongs to the account nobody."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
        yield Path(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only an agent that is root can act as another account")
@pytest.mark.parametrize("admin", [False, True])
async def test_files_move_with_the_rights_of_the_person(lying: Lying, tmp_path: Path, theirs: Path, admin: bool) -> None:
    """An agent that is root reads and writes as the person does; as administrator only where that was agreed to."""
    home = Home(lying.home)
    await lying.kill()
    home.save_config(replace(home.config(), account="nobody", scopes=tuple(Scope)))
    await lying.start()
    session = await lying.agreed(scopes=(Scope.FILES, *([Scope.ADMIN] if admin else [])))
    secret = tmp_path / "secret"
    secret.write_text("root's")
    ended = f.TransferEnded if admin else f.TransferFailed
    await lying.say(f.GetFile(session=session, transfer=uuid4(), path=str(secret)))
    await lying.hear(ended)
    empty = hashlib.sha256(b"").digest()
    await lying.say(f.PutFile(session=session, transfer=uuid4(), path=f"{tmp_path}/file", size=0, content=empty))
    await lying.hear(ended, 2)
    assert (tmp_path / "file").exists() is admin
    await lying.say(f.PutFile(session=session, transfer=uuid4(), path=f"{theirs}/file", size=0, content=empty))
    await lying.hear(f.TransferEnded, 3 if admin else 1)
    assert (theirs / "file").owner() == "nobody"
    assert any(isinstance(frame, f.FileChunk) for frame in lying.said) is admin


async def test_a_named_pipe_is_no_file(lying: Lying, tmp_path: Path) -> None:
    """Asking for one does not hold up the agent."""
    session = await lying.agreed()
    os.mkfifo(tmp_path / "pipe")
    await lying.say(f.GetFile(session=session, transfer=uuid4(), path=f"{tmp_path}/pipe"))
    assert "no ordinary file" in (await lying.hear(f.TransferFailed)).reason
    await lying.say(run(session, "echo fence"))
    await lying.hear(f.Finished)


async def test_consent_survives_a_restart_of_the_agent(lying: Lying) -> None:
    """kill -9 of the agent: what was agreed still holds, the shell is new and the server is told."""
    session = await lying.agreed()
    await lying.say(run(session, "x=5"))
    await lying.hear(f.Finished)
    await lying.kill()
    await lying.start()
    assert "restarted" in (await lying.hear(f.ShellEnded)).reason
    await lying.say(run(session, 'echo "[$x]"'))
    assert lying.bits(await lying.hear(f.Finished, 2)) == "[]\r\n"


async def test_removed_means_removed(lying: Lying) -> None:
    """The agent says so, destroys its key and ends with 4."""
    await lying.say(f.Removed(reason="sold"))
    assert lying.process is not None
    assert await asyncio.wait_for(lying.process.wait(), 10) == 4
    assert "was removed from Caisey (sold)" in lying.log.read_text()
    assert not (lying.home / "device.key").exists()
    assert not Home(lying.home).enrolled()


async def test_another_server_at_this_address(lying: Lying) -> None:
    """A server under another name gets no proof and no second try."""
    lying.name = "evil.example"
    socket = await lying.linked()
    await socket.close()
    assert lying.process is not None
    assert await asyncio.wait_for(lying.process.wait(), 10) == 3
    assert "another server answers" in lying.log.read_text()


@pytest.mark.parametrize("code", [f.CLOSE_REPLACED, f.CLOSE_OLD_VERSION, f.CLOSE_NOT_YOU])
async def test_final_words(lying: Lying, code: int) -> None:
    """What can only be solved by a person ends the agent in words."""
    lying.close_at_once = code
    await (await lying.linked()).close()
    assert lying.process is not None
    assert await asyncio.wait_for(lying.process.wait(), 10) == 3


async def test_frames_that_do_not_decode(lying: Lying) -> None:
    """Rubbish ends the connection; the agent comes back."""
    for rubbish in (b"", b"\xc1", secrets.token_bytes(100), b"\x81\xa1t\xa6unseen"):
        socket = await lying.linked()
        lying.socket = None
        await socket.send(rubbish)
        await socket.wait_closed()
        await lying.linked()
    session = await lying.agreed()
    await lying.say(run(session, "echo still here"))
    assert lying.bits(await lying.hear(f.Finished)) == "still here\r\n"


async def test_the_page_is_for_the_person_alone(lying: Lying) -> None:
    """Without the secret, from another origin or under another host name there is no page and no answer."""
    import httpx2

    session = uuid4()
    await lying.say(lying.question(session))
    await lying.hear(f.PromptShown)
    root = lying.page.rsplit("/", 2)[0]
    data = {"session": str(session), "decision": "granted", "minutes": "60"}
    async with httpx2.AsyncClient() as client:
        assert (await client.get(root + "/")).status_code == 404
        assert (await client.get(root + "/guess/")).status_code == 404
        assert (await client.get(lying.page, headers={"host": "rebound.example"})).status_code == 404
        assert (await client.post(lying.page + "answer", data=data)).status_code == 403
        evil = {"origin": "https://evil.example"}
        assert (await client.post(lying.page + "answer", data=data, headers=evil)).status_code == 403
        good = await client.get(lying.page)
        assert "default-src 'none'" in good.headers["content-security-policy"]
        bad = {**data, "decision": "perhaps"}
        assert (await client.post(lying.page + "answer", data=bad, headers={"origin": root})).status_code == 400
    assert not any(isinstance(frame, f.Answered) for frame in lying.said)
