"""The door of the API: who asks, how often they may, and what they asked before under the same key.

It stands before the handlers and their guards, so that what a stranger sends is not read.
"""

import hashlib
import time
from typing import Final, cast
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from caisey_core.catalogue.api_answers import ApiAnswer
from caisey_core.config import Config
from caisey_core.domain.refused import Refused
from caisey_core.http.problems import RefusedError, given
from caisey_core.http.who import Connection, address_of, caller_of
from caisey_core.live.flood import Flood
from caisey_core.services.api_tokens import Caller
from caisey_core.services.house import House
from caisey_core.services.repeats import Answer, Claim

KEY: Final = "idempotency-key"
LIMITS: Final = "rate limits"  # in a request's state: the headers that tell them
WINDOW_SECONDS: Final = 60
STRANGER_COSTS: Final = 10.0  # a request without a valid token counts as so many
MARGIN: Final = 1 << 20  # bytes that a repeated body may be longer than the largest file before it is another one


class Quota:
    """So many requests a minute; the whole minute's at once, then as they come back. 0: no limit."""

    def __init__(self, name: str, each_minute: int) -> None:
        self.name, self.quota = name, each_minute
        self._flood = Flood(burst=each_minute, each_second=each_minute / WINDOW_SECONDS) if each_minute else None

    def take(self, whose: str, now: float, cost: float = 1.0) -> float:
        """Count a request; returns how many seconds it has to wait instead, 0 for none."""
        if self._flood is None:
            return 0.0
        wait = self._flood.wait_seconds(whose, now)
        if wait <= 0:
            self._flood.tried(whose, now, cost)
        return wait

    @property
    def policy(self) -> str:
        """Return the policy as draft-ietf-httpapi-ratelimit-headers-10 writes it."""
        return f'"{self.name}";q={self.quota};w={WINDOW_SECONDS}' if self._flood is not None else ""

    def standing(self, whose: str, now: float) -> str:
        """Return how many are left and in how many seconds all are back, as the same draft writes it."""
        if self._flood is None:
            return ""
        used = self._flood.used(whose, now)
        return f'"{self.name}";r={max(0, int(self.quota - used))};t={round(used * WINDOW_SECONDS / self.quota)}'


class Quotas:
    """The quotas of one server."""

    def __init__(self, config: Config) -> None:
        self._token = Quota("token", config.api_requests_per_minute)
        self._address = Quota("address", config.api_requests_per_minute_of_address)

    def knock(self, scope: Scope, address: str) -> None:
        """Count a request of an address. Raises the refusal of one too many."""
        self._take(scope, self._address, address, "this address")

    def stranger(self, address: str) -> None:
        """Count what a request without a valid token costs more."""
        self._address.take(address, time.monotonic(), STRANGER_COSTS - 1)

    def caller(self, scope: Scope, caller: UUID, address: str) -> None:
        """Count a request of a token. Raises the refusal of one too many."""
        self._take(scope, self._token, str(caller), "this token")
        self._tell(scope, (self._token, str(caller)), (self._address, address))

    def _take(self, scope: Scope, quota: Quota, whose: str, words: str) -> None:
        wait = quota.take(whose, time.monotonic())
        self._tell(scope, (quota, whose))
        if wait > 0:
            raise RefusedError(
                Refused(
                    f"Too many requests from {words}: {quota.quota} a minute are allowed.",
                    "Wait as long as Retry-After says, and send fewer.",
                    429,
                    retry_after_seconds=wait,
                )
            )

    @staticmethod
    def _tell(scope: Scope, *quotas: tuple[Quota, str]) -> None:
        now = time.monotonic()
        policies = ", ".join(quota.policy for quota, _ in quotas if quota.policy)
        if policies:
            standing = ", ".join(quota.standing(whose, now) for quota, whose in quotas if quota.policy)
            scope["state"][LIMITS] = [(b"ratelimit-policy", policies.encode()), (b"ratelimit", standing.encode())]


class Door:
    """Middleware around all handlers of the API."""

    def __init__(self, app: ASGIApp, house: House, quotas: Quotas) -> None:
        self.app, self._house, self._quotas = app, house, quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or raise its refusal."""
        assert scope["type"] == ScopeType.HTTP  # the API has no sockets
        connection: Connection = ASGIConnection(scope, receive)
        caller = await self._caller(connection)
        scope["state"]["member"] = caller.member
        scope["state"]["caller"] = caller
        if scope["method"] == "OPTIONS":
            await _send(send, Answer(204, ((b"allow", _methods(scope).encode()),), b""))
            return
        key = connection.headers.get(KEY)
        if key is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
        else:
            await self._once(scope, caller, key.strip('"'), receive, send)

    async def _caller(self, connection: Connection) -> Caller:
        address = address_of(connection)
        self._quotas.knock(connection.scope, address)
        try:
            caller = await caller_of(self._house, connection)
        except RefusedError as error:
            if error.refused.status == 401:
                self._quotas.stranger(address)
            raise
        self._quotas.caller(connection.scope, caller.id, address)
        return caller

    async def _once(self, scope: HTTPScope, caller: Caller, key: str, receive: Receive, send: Send) -> None:
        tenant = caller.member.tenant
        body = _Body(receive, self._house.config.largest_file_bytes + MARGIN)
        asked = b"POST\n" + scope["raw_path"] + b"\n" + scope["query_string"] + b"\n"
        claim = await self._house.repeats.claim(tenant, caller.id, key)
        if isinstance(claim, Refused):
            raise RefusedError(claim)
        if isinstance(claim, ApiAnswer):
            again = given(self._house.repeats.again(tenant, claim, await body.fingerprint(asked)))
            await _send(send, again, (b"idempotency-replayed", b"true"))
            return
        told = _Told()
        await self.app(scope, body.receive, told.send)
        await self._settle(tenant, claim, asked, body, told.answer())
        await _send(send, told.answer())

    async def _settle(self, tenant: UUID, claim: Claim, asked: bytes, body: "_Body", answer: Answer) -> None:
        """Keep what was done. Of a refusal nothing is kept: nothing was done. After a fault nobody knows what was: the key stays."""
        if answer.status < 300:
            await self._house.repeats.keep(tenant, claim, await body.fingerprint(asked), answer)
        elif answer.status != 500:
            await self._house.repeats.release(tenant, claim)


def _methods(scope: Scope) -> str:
    """Return what can be done at an address. Litestar's own answer forgets all but the first handler of a path."""
    routes = [route for route in scope["litestar_app"].routes if route.path == scope["path_template"]]
    return ", ".join(sorted({method for route in routes for method in route.methods}))


class _Body:
    """A request's body, told apart by its hash while the handler reads it."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive, self._largest = receive, largest
        self._hash, self._size, self._over = hashlib.sha256(), 0, False

    async def receive(self) -> HTTPReceiveMessage:
        """Return the next part."""
        message = cast(HTTPReceiveMessage, await self._receive())
        if message["type"] == "http.request":
            self._hash.update(message["body"])
            self._size += len(message["body"])
            self._over = not message.get("more_body", False)
        else:
            self._over = True
        return message

    async def fingerprint(self, asked: bytes) -> bytes:
        """Read what the handler left, and return what stands for the whole request. A body without end counts as far as it was read."""
        while not self._over and self._size <= self._largest:
            await self.receive()
        return hashlib.sha256(asked + self._hash.digest()).digest()


class _Told:
    """An answer that waits until it is kept."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message["headers"])
        elif message["type"] == "http.response.body":
            self._parts.append(message["body"])

    def answer(self) -> Answer:
        """Return all of it."""
        return Answer(self._status, self._headers, b"".join(self._parts))


async def _send(send: Send, answer: Answer, *more: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *more]})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
