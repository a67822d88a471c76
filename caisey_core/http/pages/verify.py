"""The page on which anybody checks a bundle: it calculates in the browser, nothing is uploaded."""

from litestar import Response, get

from caisey_core.services.checker_page import checker_page


@get("/verify", sync_to_thread=False, include_in_schema=False)
def show() -> Response[bytes]:
    """Show the checker: the same bytes that each bundle carries as check.html."""
    page = checker_page()
    headers = {"content-security-policy": f"{page.policy}; frame-ancestors 'none'", "x-robots-tag": "noindex"}
    return Response(page.body, media_type="text/html; charset=utf-8", headers=headers)


handlers = [show]
