"""Templates: the environment they see, a page with its frame, and the page that tells an error."""

import gzip
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from litestar.template.base import csrf_token
from litestar.template.config import TemplateConfig

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, Role
from caisey_core.http import phrases
from caisey_core.http.static import assets, web_folder
from caisey_core.http.who import browsers_of
from caisey_core.services import notices, step_up, witnesses
from caisey_core.services.house import House
from caisey_core.services.members import WORKERS
from caisey_core.services.plain_text import plain

AnyRequest = Request[Any, Any, Any]

_WORTH_PACKING: Final = 1024  # bytes
_PACK_LEVEL: Final = 4  # 200 rows: 1.2 ms, within 8 % of the smallest
# xterm.js writes its own style elements; attributes stay closed
TERMINAL_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-elem 'self' 'unsafe-inline'; style-src-attr 'none'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# asciinema-player writes its own style element and runs its terminal as WebAssembly
REPLAY_POLICY: Final = TERMINAL_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")


def environment(house: House) -> Environment:
    """Return the templates with all that they may use. A name that a template misspells is an error, not an empty place."""
    made = Environment(
        loader=FileSystemLoader(web_folder() / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    clock = house.clock
    made.globals.update(
        static=assets().address,
        now=clock.now,
        icon=phrases.icon,
        badge=phrases.badge,
        link_state=phrases.link_state,
        state_words=phrases.state_words,
        ago=lambda us: phrases.ago(us, clock.now()),
        due=lambda us: phrases.due(us, clock.now()),
        running=lambda since, watched=False: phrases.running(since, clock.now(), watched=watched),
        share=phrases.share,
        May=May,
        site=house.config.url,
        stale=partial(step_up.stale, house),
        roles=tuple(Role),
        workers=WORKERS,
        resolutions=phrases.RESOLUTIONS,
        outcomes=phrases.OUTCOMES,
        address=phrases.address,
        scope_words=phrases.SCOPES,
        token_scopes=phrases.TOKEN_SCOPES,
        longest_minutes=house.config.longest_session_seconds // 60,
    )
    made.filters.update(
        clock=phrases.clock_time,
        date=phrases.date_time,
        moment=phrases.moment,
        iso=phrases.iso,
        exact=phrases.exact,
        span=phrases.span,
        milliseconds=phrases.milliseconds,
        digits=phrases.digits,
        filesize=phrases.size,
        initials=phrases.initials,
        json=phrases.json,
        keys=phrases.keys,
        plain=plain,
    )
    return made


def template_config(house: House) -> TemplateConfig[JinjaTemplateEngine]:
    """Return the template engine for the application."""
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment(house)))


def render(request: AnyRequest, template: str, **context: object) -> str:
    """Render a template or a part of a page."""
    engine = request.app.template_engine
    assert engine is not None
    text: str = engine.get_template(template).render(request=request, **context)
    return text


def html(request: AnyRequest, text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return HTML as an answer, packed where the browser takes it."""
    body, given = text.encode(), dict(headers or {})
    given["vary"] = "accept-encoding"
    if len(body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, _PACK_LEVEL, mtime=0)
        given["content-encoding"] = "gzip"
    return Response(body, status_code=status, media_type="text/html", headers=given)


async def page(
    house: House,
    request: AnyRequest,
    member: Member,
    template: str,
    *,
    nav: str,
    live: str = "other",
    status: int = 200,
    terminal: bool = False,
    replay: bool = False,
    **context: object,
) -> Response[bytes]:
    """Return a page within its frame.

    `nav` names its place in the navigation, `live` what its event stream tells about, `context` the template's own values.
    """
    text = render(
        request,
        template,
        member=member,
        base=f"/t/{member.tenant_slug}",
        nav=nav,
        live=live,
        unread=await notices.unread(house, member),
        refusing=witnesses.refusing(house, member),
        elsewhere=len(browsers_of(house.config, request)) > 1,
        **context,
    )
    policy = TERMINAL_POLICY if terminal else REPLAY_POLICY if replay else None
    return html(request, text, status, {"content-security-policy": policy} if policy is not None else None)


def error_page(house: House, request: AnyRequest, refused: Refused, request_id: str) -> Response[Any]:
    """Return an error as a page: what is wrong, what to do, and the id for the operator.

    Who is not signed in is sent to sign in, and comes back to where they were going.
    """
    tenant = request.path_params.get("tenant", "")
    if refused.status == 401 and tenant:
        going = request.url.path if request.method == "GET" else ""
        to = f"/t/{quote(tenant)}/sign-in" + (f"?{urlencode({'to': going})}" if going else "")
        return Redirect(to, status_code=HTTP_303_SEE_OTHER)
    text = render(request, "error.html", refused=refused, request_id=request_id)
    again = {"retry-after": str(max(1, round(refused.retry_after_seconds)))} if refused.retry_after_seconds else {}
    return html(request, text, refused.status, again)


def csrf_of(request: AnyRequest) -> str:
    """Return the token that this browser's forms must carry."""
    return csrf_token({"request": request})
