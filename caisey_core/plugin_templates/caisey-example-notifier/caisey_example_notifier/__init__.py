"""Example notifier: sends each notice as JSON to an address that an admin enters."""

from typing import Annotated

import msgspec
from caisey_hookspecs import (
    Check,
    Context,
    Delivery,
    HttpAnswer,
    Notice,
    Notifier,
    PluginInfo,
    Rejected,
    Secret,
    Unavailable,
    hookimpl,
)
from msgspec import Meta, Struct


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin enters."""

    address: Annotated[str, Meta(title="Address", description="Notices are posted there.", pattern="^https://")]
    token: Annotated[Secret, Meta(title="Token", description="Sent along as a bearer token.")]


class Webhook(Notifier):
    """One tenant's notifier."""

    def __init__(self, context: Context[Settings]) -> None:
        self._settings, self._http = context.settings, context.http

    async def deliver(self, notice: Notice) -> Delivery:
        """Post the notice; the key goes along, so that the receiver drops what it has already."""
        headers = {"content-type": "application/json", "idempotency-key": notice.key}
        _judge(await self._request("POST", headers, msgspec.json.encode(notice)))
        return Delivery(delivered=True)

    async def check(self) -> Check:
        """Ask whether somebody is there, without sending anything."""
        try:
            _judge(await self._request("HEAD", {}, None))
        except (Unavailable, Rejected) as error:
            return Check(False, str(error))
        return Check(True, "The address answers.")

    async def _request(self, method: str, headers: dict[str, str], body: bytes | None) -> HttpAnswer:
        bearer = {"authorization": f"Bearer {self._settings.token.reveal()}"}
        return await self._http.request(method, self._settings.address, headers={**headers, **bearer}, body=body)


def _judge(answer: HttpAnswer) -> None:
    """Turn what the receiver answers into the two errors that the core understands."""
    if answer.status == 429 or answer.status >= 500:
        wait = answer.headers.get("retry-after", "")
        raise Unavailable(
            f"The address answered {answer.status}.", float(wait) if wait.isascii() and wait.isdigit() else None
        )
    if answer.status >= 300:
        raise Rejected(f"The address answered {answer.status}: check address and token.")


def _hosts(settings: Settings) -> tuple[str, ...]:
    return (settings.address,)


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="example-notifier",
        title="Example notifier",
        version="0.1.0",
        kinds=("notifier",),
        settings=Settings,
        hosts_from=_hosts,
    )


@hookimpl
def caisey_notifier(context: Context[Settings]) -> Notifier:
    """Make a tenant's notifier."""
    return Webhook(context)
