"""The API's reference, made from its description: a page without scripts from elsewhere, or any of its own."""

from litestar import Response, get

from caisey_core.http import api
from caisey_core.http.api.description import complete
from caisey_core.http.api.reference import reference
from caisey_core.http.rendering import AnyRequest, html, render


@get("/api/v1/docs", sync_to_thread=False, include_in_schema=False)
def show(request: AnyRequest) -> Response[bytes]:
    """Show the reference."""
    kept = request.app.state
    if "api_reference" not in kept:
        view = reference(complete(request.app.openapi_schema.to_schema(), api.TAGS))
        kept["api_reference"] = render(request, "api/reference.html", view=view)
    return html(request, kept["api_reference"])


handlers = [show]
