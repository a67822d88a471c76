"""What every notifier keeps, and what this one does on top."""

from typing import Any

import msgspec
import pytest
from caisey_hookspecs import HttpAnswer, Secret, Unavailable
from caisey_hookspecs.testing import FakeContext, NotifierConformance, a_notice, context_of

from caisey_example_notifier import Settings, Webhook, caisey_plugin

SETTINGS = Settings(address="https://hooks.vendor.example/notices", token=Secret("s3cr3t-token"))


class TestConformance(NotifierConformance):
    """The suite of the contract."""

    plugin = "example-notifier"
    settings = SETTINGS

    def prepare(self, context: FakeContext[Any]) -> None:
        """The receiver takes everything."""
        context.http.answer_all(HttpAnswer(204, {}, b""))


@pytest.mark.asyncio
async def test_what_is_sent() -> None:
    """The notice as JSON, with key and token."""
    context = context_of(caisey_plugin(), SETTINGS)
    context.http.answer("POST", SETTINGS.address, HttpAnswer(204, {}, b""))
    await Webhook(context).deliver(a_notice(title="Assigned: HD-XRAY"))
    (sent,) = context.http.sent
    assert sent.headers["authorization"] == "Bearer s3cr3t-token"
    assert sent.headers["idempotency-key"] == "assignment-1"
    assert msgspec.json.decode(sent.body or b"")["title"] == "Assigned: HD-XRAY"


@pytest.mark.asyncio
async def test_the_receiver_asks_to_wait() -> None:
    """The core is told for how long."""
    context = context_of(caisey_plugin(), SETTINGS)
    context.http.answer_all(HttpAnswer(429, {"retry-after": "30"}, b""))
    with pytest.raises(Unavailable) as raised:
        await Webhook(context).deliver(a_notice())
    assert raised.value.retry_after_seconds == 30
