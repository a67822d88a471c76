"""Bytes that a taken-over server may send to break the agent rather than to talk it round."""

from uuid import uuid4

import pytest
from lying import Lying
from msgspec.structs import replace

from caisey_agent.protocol import frames as f

NESTED = b"\x83\xa1t\xa3ack\xa6number\x01\xa1x" + b"\x91" * 100_000 + b"\x01"


@pytest.mark.parametrize("rubbish", [b"\x82\xa1t\xa3ack\xa1x\xa2\xff\xfe", NESTED, b"\x81\xa1t\xa3ack", b"\x90"])
async def test_the_agent_comes_back(lying: Lying, rubbish: bytes) -> None:
    """Texts that are no UTF-8, deep nesting, what is missing: the link ends, the agent lives and works on."""
    socket = await lying.linked()
    lying.socket = None
    await socket.send(rubbish)
    await socket.wait_closed()
    session = await lying.agreed()
    await lying.say(f.Run(session=session, command=uuid4(), line=b"echo still here"))
    assert lying.bits(await lying.hear(f.Finished)) == "still here\r\n"


@pytest.mark.parametrize("request_", [b"\x81\xa7session\xa2\xff\xfe", NESTED, b""])
async def test_a_question_that_does_not_decode(lying: Lying, request_: bytes) -> None:
    """It is answered in words and asks nobody."""
    await lying.say(replace(lying.question(uuid4()), request=request_))
    assert "does not decode" in (await lying.hear(f.NotRun)).reason
    assert not [frame for frame in lying.said if isinstance(frame, f.PromptShown)]
