"""What every notifier keeps."""

import asyncio
from typing import Any

import pytest

from caisey_hookspecs.notifier import Delivery, Notice, Notifier
from caisey_hookspecs.plugin import HttpAnswer
from caisey_hookspecs.testing.conformance import HOSTILE_TEXTS, Declared, PluginConformance
from caisey_hookspecs.testing.context import FakeContext, Sent

DELIVERY_SECONDS = 10.0
MANY = 20
BAD_ANSWERS = (
    HttpAnswer(500, {"content-type": "text/html"}, b"<html>Maintenance</html>"),
    HttpAnswer(429, {"retry-after": "30"}, b"slow down"),
    HttpAnswer(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
    HttpAnswer(401, {}, b'{"error": null}'),
    HttpAnswer(404, {}, b"\xff\xfe"),
    HttpAnswer(302, {"location": "https://example.org/"}, b""),
)


def a_notice(**changes: Any) -> Notice:
    """Return a notice to a technician."""
    given = {
        "key": "assignment-1",
        "recipient": "0192f0c0-0000-7000-8000-00000000000a",
        "recipient_address": "tom@msp.example",
        "title": "Assigned: HD-XRAY",
        "text": "The scanner hangs",
        "link": "https://caisey.msp.example/t/msp/devices/1",
        **changes,
    }
    return Notice(**given)


class NotifierConformance(PluginConformance):
    """Two lines: `class TestConformance(NotifierConformance):` and `plugin = "…"`."""

    kind = "notifier"

    async def _deliver(self, notifier: Notifier, context: FakeContext[Any], notice: Notice) -> object:
        return await self.ask(context, notifier.deliver(notice), Delivery, DELIVERY_SECONDS)

    @pytest.mark.asyncio
    async def test_delivers_once(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A notice is delivered; the same key again reaches nobody twice."""
        notifier = await self.make(declared, context)
        first = await self._deliver(notifier, context, a_notice())
        assert isinstance(first, Delivery), f"an ordinary notice was not delivered: {first}"
        assert first.delivered, f"an ordinary notice was not delivered: {first.detail}"
        sent = len(context.http.sent)
        again = await self._deliver(await self.make(declared, context), context, a_notice())
        assert isinstance(again, Delivery), f"the second try of a notice that was delivered gave {again}"
        assert all(_carries("assignment-1", one) for one in context.http.sent[sent:]), (
            "a repeated key was sent again, and the vendor was not given the key to drop it"
        )

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
    async def test_any_text(self, declared: Declared, context: FakeContext[Any], text: str) -> None:
        """Any text is delivered or refused in words."""
        notifier = await self.make(declared, context)
        await self._deliver(notifier, context, a_notice(title=text, text=text))
        await self._deliver(notifier, context, a_notice(key="k-2", recipient_address="", link="", urgency="urgent"))

    @pytest.mark.asyncio
    async def test_a_vendor_who_is_down(self, declared: Declared, cut_off: FakeContext[Any]) -> None:
        """Nothing that was not accepted counts as delivered."""
        await self._is_not_delivered(declared, cut_off)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda answer: f"{answer.status}")
    async def test_a_vendor_who_refuses(self, declared: Declared, cut_off: FakeContext[Any], answer: HttpAnswer) -> None:
        """An error of the vendor is one of the two errors of the contract, or a delivery that failed."""
        cut_off.http.answer_all(answer)
        await self._is_not_delivered(declared, cut_off)

    async def _is_not_delivered(self, declared: Declared, context: FakeContext[Any]) -> None:
        said = await self._deliver(await self.make(declared, context), context, a_notice())
        if context.http.sent and isinstance(said, Delivery):
            assert not said.delivered, "the vendor refused, yet the notice counts as delivered"

    @pytest.mark.asyncio
    async def test_many_at_once(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Notices to many people at the same time do not get into each other's way."""
        notifier = await self.make(declared, context)
        notices = [a_notice(key=f"many-{n}", recipient=f"member-{n}") for n in range(MANY)]
        said = await asyncio.gather(*(self._deliver(notifier, context, one) for one in notices))
        assert all(isinstance(one, Delivery) and one.delivered for one in said), f"of {MANY} at once some failed: {said}"


def _carries(key: str, sent: Sent) -> bool:
    places = (sent.url, *sent.headers.values(), (sent.body or b"").decode(errors="replace"))
    return any(key in place for place in places)
