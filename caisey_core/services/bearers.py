"""Bearer tokens that the core did not issue: an identity plugin says whose they are. Its answer is kept for seconds."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.clock import Clock
from caisey_core.domain.refused import Refused
from caisey_core.plugin_host.host import PluginFault
from caisey_core.services import members, provided, tenancy
from caisey_core.services.api_tokens import FROM_ELSEWHERE, Caller
from caisey_core.services.house import House
from caisey_core.services.outcomes import SUSPENDED
from caisey_core.services.tokens import hash_of
from caisey_hookspecs import Identified, Identity, Rejected, Unavailable

LIMIT_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 15.0  # a provider's token is asked about again after this
MOST_KEPT: Final = 10_000
LONGEST: Final = 16 * 1024  # characters of a token
NO_ANSWER: Final = Refused(
    "Who issued this token cannot be asked now.", "Try again soon, or use an API token of Caisey.", 503, retry_after_seconds=5
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey")


class Known(Struct, frozen=True):
    """Whose token it was when the plugin was asked, and until when that counts (monotonic nanoseconds)."""

    member: UUID
    session: str  # the provider's
    until: int


class Bearers:
    """What plugins said of tokens, by tenant and the token's hash. Tokens that nobody knows are not kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[UUID, bytes], Known] = OrderedDict()

    def get(self, tenant: UUID, digest: bytes) -> Known | None:
        """Return what is known of a token, as long as it counts."""
        found = self._known.get((tenant, digest))
        return found if found is not None and self._clock.mono() < found.until else None

    def put(self, tenant: UUID, digest: bytes, member: UUID, session: str) -> None:
        """Keep what a plugin said."""
        self._known[tenant, digest] = Known(member, session, self._clock.mono() + int(KEPT_SECONDS * 1e9))
        self._known.move_to_end((tenant, digest))
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

    def end(self, tenant: UUID, *, member: UUID | None = None, session: str = "") -> None:
        """Ask again about all tokens of a member, or of one of the provider's sessions: it ended."""
        for key, known in [*self._known.items()]:
            if key[0] == tenant and (known.member == member or (session and known.session == session)):
                del self._known[key]


async def by_plugin(house: House, slug: str, token: str) -> Caller | Refused | None:
    """Return whose token this is by the word of the tenant's identity plugins. Such a token never does what is dangerous."""
    tenant = await tenancy.at(house, slug)
    if isinstance(tenant, Refused):
        return tenant if tenant is SUSPENDED else None
    if len(token) > LONGEST:
        return None
    digest = hash_of(token)
    known = house.bearers.get(tenant.id, digest)
    if known is None:
        identified = await _ask(house, tenant.id, token)
        if not isinstance(identified, tuple):
            return identified
        plugin, said = identified
        found = await provided.member_of(house, tenant, plugin, said)
        if not isinstance(found, Refused):
            house.bearers.put(tenant.id, digest, found.id, said.provider_session)
    else:
        found = await members.by_id(house, tenant, known.member)
    return None if isinstance(found, Refused) else Caller(found.id, replace(found, granted=FROM_ELSEWHERE))


async def _ask(house: House, tenant: UUID, token: str) -> tuple[str, Identified] | Refused | None:
    silent = False
    for plugin in await house.plugins.enabled(tenant, "identity"):
        try:
            said = await house.plugins.call(
                tenant,
                plugin,
                Identity,
                lambda identity: identity.bearer(token),
                LIMIT_SECONDS,
                expect=(Identified, type(None)),
            )
        except Rejected:
            continue
        except (Unavailable, PluginFault) as error:
            log.warning("an identity plugin did not say whose a token is", plugin=plugin, error=str(error))
            silent = True
            continue
        if isinstance(said, Identified):
            return plugin, said
    return NO_ANSWER if silent else None
