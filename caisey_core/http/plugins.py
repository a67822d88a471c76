"""The door for requests from outside that are a plugin's: a provider's answer to a sign-in, a vendor's webhook."""

from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import HttpMethod, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath

from caisey_core.http.pages.answers import given
from caisey_core.http.pages.sign_in import after_provider
from caisey_core.http.problems import UNREADABLE, RefusedError
from caisey_core.http.rendering import AnyRequest
from caisey_core.http.who import address_of
from caisey_core.services import plugin_doors, redirects
from caisey_core.services.house import House
from caisey_hookspecs import IncomingRequest

LARGEST_BODY: Final = 256 * 1024  # bytes
MOST_PARAMETERS: Final = 1000  # in an address
_OURS: Final = frozenset({"cookie"})  # what a browser says to us alone
_UNSAFE: Final = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml", "image/svg+xml"})


def _incoming(request: AnyRequest, path: str, body: bytes) -> IncomingRequest:
    try:  # by hand: Litestar puts equal names together
        query = parse_qsl(
            request.scope["query_string"].decode("latin-1"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise RefusedError(UNREADABLE) from None
    return IncomingRequest(
        method=request.method,
        path=path,
        query=tuple(query),
        headers=tuple((name.lower(), value) for name, value in request.headers.multi_items() if name.lower() not in _OURS),
        body=body,
        address=address_of(request),
    )


@route(
    "/t/{tenant:str}/plugins/{plugin:str}/{path:path}",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    opt={"exclude_from_csrf": True},
    request_max_body_size=LARGEST_BODY,
    include_in_schema=False,
)
async def incoming(
    request: AnyRequest, tenant: FromPath[str], plugin: FromPath[str], path: FromPath[str], house: NamedDependency[House]
) -> Response[Any]:
    """Take a request for a tenant's plugin. A browser that comes back from a provider is shown a page, all others a bare answer."""
    path = path.lstrip("/")
    refused = await plugin_doors.admit(house, tenant, plugin, address_of(request))
    if refused is not None and (refused.status == 404 or path != redirects.CALLBACK):
        raise RefusedError(refused)
    if path == redirects.CALLBACK and request.method == "GET":
        return await after_provider(request, house, tenant, plugin, _incoming(request, path, b""), refused)
    answer = given(await plugin_doors.incoming(house, tenant, plugin, _incoming(request, path, await request.body())))
    kind = answer.content_type.partition(";")[0].strip().lower()
    if not answer.content_type.isascii() or not answer.content_type.isprintable() or kind in _UNSAFE:
        raise RefusedError(plugin_doors.TRY_AGAIN)
    return Response(answer.body, status_code=answer.status, media_type=answer.content_type)


handlers = [incoming]
