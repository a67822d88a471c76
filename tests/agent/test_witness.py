"""The device as second witness: it remembers the server's record, and takes nothing from a server whose record does not go on."""

import asyncio
import secrets
from collections.abc import Callable
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lying import Log, Lying
from msgspec.structs import replace

from caisey_agent.protocol import frames as f
from caisey_agent.protocol import history
from caisey_core.record import checkpoint as notes
from caisey_core.record.merkle import consistency_proof, leaf_hash, root_of, verify_consistency


def remembered(lying: Lying) -> history.Seen:
    """What is on the device's disk."""
    return history.read((lying.home / "checkpoint").read_text(), history.parse_key(lying.record.vkey))


async def again(lying: Lying) -> None:
    """Cut the link: the agent comes back."""
    socket = await lying.linked()
    lying.socket = None
    await socket.close()


def proves(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[[Log, int], f.History]:
    """An honest and longer log with another proof."""

    def history_of(log: Log, since: int) -> f.History:
        log.grow(9)
        shown = log.history(since)
        return replace(shown, proof=change(shown.proof))

    return history_of


def another_key(log: Log, since: int) -> f.History:
    """The same log, signed by somebody else."""
    return Log(Ed25519PrivateKey.generate(), [*log.leaves, leaf_hash(b"more")], log.origin).history(since)


def signature_moved(log: Log, since: int) -> f.History:
    """The signature of one checkpoint under the body of another."""
    old = log.note()
    log.grow()
    new = log.history(since)
    return replace(new, checkpoint=new.checkpoint.partition("\n\n")[0] + "\n\n" + old.partition("\n\n")[2])


LIES: dict[str, tuple[Callable[[Log, int], f.FromServer], history.Reason]] = {
    "an older checkpoint": (lambda log, since: Log(log.key, log.leaves[:5]).history(since), "shorter"),
    "an empty log": (lambda log, since: Log(log.key, []).history(since), "shorter"),
    "the same size, another history": (lambda log, since: Log(log.key, log.fork(3).leaves[:7]).history(since), "fork"),
    "an old record with other events added": (lambda log, since: log.fork(5).history(since), "fork"),
    "another record": (lambda log, since: log.fork(0).history(since), "fork"),
    "another key": (another_key, "signature"),
    "a signature of another checkpoint": (signature_moved, "signature"),
    "a changed signature": (
        lambda log, since: replace(log.history(since), checkpoint=log.note()[:-4] + "AA=\n"),
        "signature",
    ),
    "another tenant's log": (lambda log, since: Log(log.key, log.leaves, "other/tenant").history(since), "signature"),
    "no checkpoint": (lambda log, since: f.History(checkpoint=secrets.token_hex(50), since=since), "signature"),
    "a note without an end": (lambda log, since: f.History(checkpoint="x" * 500_000, since=since), "signature"),
    "no proof": (proves(lambda proof: ()), "fork"),
    "a proof that is garbage": (proves(lambda proof: (secrets.token_bytes(32),) * len(proof)), "fork"),
    "hashes of a wrong length": (proves(lambda proof: (b"", b"x")), "fork"),
    "an endless proof": (proves(lambda proof: (bytes(32),) * 9000), "fork"),
    "a proof that lacks a hash": (proves(lambda proof: proof[1:]), "fork"),
    "a proof for another size": (lambda log, since: proves(lambda proof: proof)(log, since - 1), "fork"),
    "work instead of a history": (
        lambda log, since: f.NumberedToAgent(number=1, frame=f.Run(session=uuid4(), command=uuid4(), line=b"true")),
        "signature",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_server_that_forks_its_record(lying: Lying, lie: str) -> None:
    """It is refused for the right reason, nothing is taken from it, and the device's signed word of what it remembers comes back."""
    shows, reason = LIES[lie]
    before = remembered(lying)
    honest = list(lying.record.leaves)
    lying.shows = lambda since: shows(lying.record, since)
    await again(lying)
    await lying.judged(lambda: lying.doubts)
    told = lying.doubts[0]
    assert history.holds(lying.public, told.doubt, told.signature)
    doubt = history.decode(told.doubt)
    assert (doubt.device, doubt.reason, doubt.remembered) == (lying.device, reason, before.note)
    assert remembered(lying) == before
    assert "this server is refused" in lying.log.read_text()
    page = await lying.shown()
    assert "This device does not trust the server now" in page
    assert "Ask Brightwater IT what happened" in page
    lying.record.leaves[:] = honest
    lying.record.grow()
    lying.shows = None
    await lying.linked()
    await lying.judged(lambda: lying.witnessed[-1] == 8)
    assert remembered(lying).size == 8
    assert "does not trust" not in await lying.shown()
    assert not lying.said or all(not isinstance(frame, f.Finished | f.NotRun) for frame in lying.said)


async def test_the_first_checkpoint_is_the_beginning(lying: Lying) -> None:
    """A device without a memory takes what is signed by the pinned key, keeps it, and names it at the next connect."""
    assert lying.remembered == [0]
    assert remembered(lying).size == 7
    lying.record.grow(100)
    await again(lying)
    await lying.judged(lambda: lying.witnessed == [7, 107])
    assert lying.remembered == [0, 7]
    assert remembered(lying).note == lying.record.note()


async def test_a_first_checkpoint_of_another_key(lying: Lying) -> None:
    """Without a memory, too, nothing is taken that the pinned key did not sign."""
    await lying.kill()
    (lying.home / "checkpoint").unlink()
    lying.shows = lambda since: another_key(lying.record, since)
    await lying.start()
    await lying.judged(lambda: lying.doubts)
    assert history.decode(lying.doubts[0].doubt).remembered == ""
    assert not (lying.home / "checkpoint").exists()


async def test_what_it_remembers_survives_kill_9(lying: Lying) -> None:
    """Killed between a checkpoint and the next, and while it refuses: the memory is what it was, and so is the judgement."""
    honest = lying.record
    for size in (8, 30, 31):
        honest.grow(size - len(honest.leaves))
        await again(lying)
        await lying.judged(lambda size=size: lying.witnessed[-1] == size)  # type: ignore[misc]
        await lying.kill()
        assert remembered(lying).size == size
        await lying.start()
        await lying.linked()
    lying.record = honest.fork(20)
    await again(lying)
    await lying.judged(lambda: len(lying.doubts) == 1)
    await lying.kill()
    await lying.start()
    await lying.judged(lambda: len(lying.doubts) == 2)
    assert [history.decode(told.doubt).remembered for told in lying.doubts] == [honest.note()] * 2


async def test_checkpoints_while_connected(lying: Lying) -> None:
    """Newer ones are kept as they come; one that forks ends the link, and frames behind it are not taken."""
    socket = await lying.linked()
    lying.record.grow(5)
    await socket.send(f.encode(lying.record.history(7)))
    await lying.judged(lambda: lying.witnessed[-1] == 12)
    assert remembered(lying).size == 12
    session = await lying.agreed()
    honest, lying.record = lying.record, lying.record.fork(11)
    await socket.send(f.encode(lying.record.history(12)))
    lying.number += 1
    run = f.NumberedToAgent(number=lying.number, frame=f.Run(session=session, command=uuid4(), line=b"echo done"))
    await socket.send(f.encode(run))
    await lying.judged(lambda: lying.doubts)
    lying.record = honest
    await lying.linked()
    await lying.say(f.Run(session=session, command=uuid4(), line=b"echo fence"))
    finished = await lying.hear(f.Finished)
    assert lying.bits(finished) == "fence\r\n"


async def test_the_person_at_the_device_may_let_it_begin_anew(lying: Lying) -> None:
    """`caisey-agent forget-history` is the device's own word; a damaged memory is put aside and said."""
    lying.record = lying.record.fork(2)
    await again(lying)
    await lying.judged(lambda: lying.doubts)
    process = await asyncio.create_subprocess_exec(
        *("python", "-m", "caisey_agent.cli", "forget-history", "--home", str(lying.home)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert b"Forgotten" in said
    await lying.linked()
    assert remembered(lying).note == lying.record.note()
    (lying.home / "checkpoint").write_bytes(b"\xff damaged")
    await again(lying)
    await lying.judged(lambda: lying.remembered[-1] == 0)
    await lying.linked()
    assert "is damaged or another log's" in lying.log.read_text()
    assert (lying.home / "checkpoint.damaged").read_bytes() == b"\xff damaged"


LEAVES = [leaf_hash(bytes([i])) for i in range(70)]


@given(st.integers(0, 70), st.integers(0, 70), st.data())
def test_the_witness_and_the_record_agree(one: int, other: int, data: st.DataObject) -> None:
    """Two implementations of RFC 9162's check: the same answer for each proof, true or changed."""
    old, new = sorted((one, other))
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    pinned = history.parse_key(notes.vkey("log", key.public_key().public_bytes_raw()))

    def seen(leaves: list[bytes]) -> history.Seen:
        return history.read(notes.sign(notes.Checkpoint("log", len(leaves), root_of(leaves)), key), pinned)

    before, after = seen(LEAVES[:old]), seen(LEAVES[:new])
    proof = consistency_proof(LEAVES[:new], old) if old else []
    assert history.continues(before, after, proof)
    if not old:
        return
    changed = list(proof)
    match data.draw(st.sampled_from(["drop", "flip", "add", "swap"])):
        case "drop" if changed:
            changed.pop(data.draw(st.integers(0, len(changed) - 1)))
        case "flip" if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = bytes(32)
        case "add":
            changed.insert(data.draw(st.integers(0, len(changed))), bytes(32))
        case _:
            changed.reverse()
    assert history.continues(before, after, changed) == (
        verify_consistency(old, before.root, new, after.root, changed) or old == new
    )
    if new < 70:
        forked = seen([*LEAVES[: old - 1], leaf_hash(b"other"), *LEAVES[old:new]])
        assert not history.continues(before, forked, proof)
