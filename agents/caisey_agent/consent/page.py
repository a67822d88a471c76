"""The agent's own page on loopback: asks, shows what goes on, stops, and gives receipts. Its address carries a secret.

The page talks to this process only. A thread serves it with the standard library; everything that it changes goes through the
desk on the agent's loop.
"""

import asyncio
import html
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec

from caisey_agent.consent.desk import Desk, Doing, Ended
from caisey_agent.consent.ledger import Agreed, Asked
from caisey_agent.consent.texts import LANGUAGES, language_of
from caisey_agent.home import Config
from caisey_agent.protocol.consent import ConsentRequest, Decision, Scope
from caisey_agent.protocol.history import Reason

WAIT_SECONDS: Final = 20.0  # that a request for the next version waits
LARGEST_FORM: Final = 4096  # bytes
POLICY: Final = "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_ICONS: Final = {
    Scope.LOOK: '<path d="M2 12s3.6-7 10-7 10 7 10 7-3.6 7-10 7S2 12 2 12Z"/><circle cx="12" cy="12" r="3"/>',
    Scope.RUN: '<path d="m5 7 5 5-5 5M13 18h6"/>',
    Scope.FILES: '<path d="M14 3H6v18h12V7zM14 3v4h4"/>',
    Scope.AI: '<path d="M12 4v4M6 8h12v10H6zM9.5 13h.01M14.5 13h.01"/>',
    Scope.ADMIN: '<path d="M12 3 4 6v6c0 5 3.5 8 8 9 4.500-1 8-4 8-9V6zM12 9v4M12 16h.01"/>',
}


def _icon(scope: Scope) -> str:
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_ICONS[scope]}</svg>'
    )


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split()[:2]).upper()


class View:
    """Makes the page's inside in one language."""

    def __init__(self, language: str, config: Config) -> None:
        self.words, self._config = LANGUAGES[language], config

    def _say(self, key: str, **values: object) -> str:
        return html.escape(self.words[key].format(**values))

    def render(
        self,
        waiting: list[tuple[ConsentRequest, Asked]],
        active: list[tuple[UUID, Agreed, Doing]],
        ended: list[Ended],
        doubt: Reason | None = None,
    ) -> str:
        """Return all articles: a refused server first, then questions, what goes on, and receipts."""
        parts = [self._doubt(doubt)] if doubt is not None else []
        parts += [self._question(request, asked) for request, asked in waiting]
        parts += [self._active(session, agreed, doing) for session, agreed, doing in active]
        parts += [self._receipt(one) for one in ended]
        if not waiting and not active and doubt is None:
            idle = f'<article><h1>{self._say("idle")}</h1><p class="quiet">{self._say("idle_text")}</p></article>'
            parts.insert(0, idle)
        return "".join(parts)

    def _doubt(self, doubt: Reason) -> str:
        tenant = self._config.tenant
        return (
            f'<article class="doubt"><div role="alert"><h1>{self._say("doubt")}</h1><p>{self._say(f"doubt_{doubt}", tenant=tenant)}</p>'
            f"<p>{self._say('doubt_so', tenant=tenant)}</p></div></article>"
        )

    def _who(self, technician: str, headline: str) -> str:
        return f'<div class="who"><span class="face" aria-hidden="true">{html.escape(_initials(technician))}</span><h1>{headline}</h1></div>'

    def _scopes(self, scopes: tuple[Scope, ...]) -> str:
        lines = []
        for scope in scopes:
            allowed = scope in self._config.scopes
            kind = "never" if not allowed else "admin" if scope is Scope.ADMIN else ""
            note = "" if allowed else f" ({self._say('never')})"
            lines.append(f'<li class="{kind}">{_icon(scope)}<span>{self._say(scope.value)}{note}</span></li>')
        return f"<ul>{''.join(lines)}</ul>"

    def _question(self, request: ConsentRequest, asked: Asked) -> str:
        minutes = max(1, request.duration_seconds // 60)
        choices = [n for n in (15, 30, 60, 120, 240, 480) if n < minutes] + [minutes]
        options = "".join(
            f'<option value="{n}"{" selected" if n == minutes else ""}>{self._say("minutes", n=n)}</option>' for n in choices
        )
        message = (
            f'<p class="message"><strong>{self._say("message")}:</strong> {html.escape(asked.message)}</p>'
            if asked.message
            else ""
        )
        headline = self._say("asks", technician=request.technician, tenant=request.tenant)
        return (
            f'<article aria-live="polite">{self._who(request.technician, headline)}{message}'
            f"<h2>{self._say('why')}</h2><p>{html.escape(asked.reason)}</p>"
            f"<h2>{self._say('may')}</h2>{self._scopes(request.scopes)}"
            f'<form action="answer" method="post"><input type="hidden" name="session" value="{request.session}">'
            f'<h2><label for="time-{request.session}">{self._say("how_long")}</label></h2>'
            f'<select id="time-{request.session}" name="minutes">{options}</select> <span class="quiet small">{self._say("shorter")}</span>'
            f'<h2>{self._say("will_not")}</h2><p class="small">{self._say("will_not_text")}</p>'
            '<div class="acts">'
            f'<button class="yes" id="yes-{request.session}" name="decision" value="granted">{self._say("approve")}</button>'
            f'<button id="later-{request.session}" name="decision" value="later">{self._say("later")}</button>'
            f'<button id="no-{request.session}" name="decision" value="denied">{self._say("deny")}</button>'
            "</div></form></article>"
        )

    def _active(self, session: UUID, agreed: Agreed, doing: Doing) -> str:
        now = "".join(f"<li><code>{html.escape(line[:500])}</code></li>" for _, line in doing.now)
        last = "".join(f"<li><code>{html.escape(line[:500])}</code></li>" for line in doing.last)
        minutes = max(0, round(agreed.until.left() / 60))
        terminal = f"<p>{self._say('terminal')}</p>" if doing.terminal else ""
        return (
            f'<article class="live">{self._who(doing.technician, self._say("active", technician=doing.technician))}'
            f'<p>{html.escape(agreed.reason)}</p><p class="quiet">{self._say("until", n=minutes)}</p>{self._scopes(agreed.scopes)}'
            f'<h2>{self._say("now")}</h2><div class="now" aria-live="polite">'
            + (f"<ul>{now}</ul>" if now else f'<p class="quiet">{self._say("nothing")}</p>')
            + f"{terminal}</div>"
            + (f"<h2>{self._say('last')}</h2><ul>{last}</ul>" if last else "")
            + f'<form action="stop" method="post"><input type="hidden" name="session" value="{session}">'
            f'<div class="acts"><button class="stop yes" id="stop-{session}">{self._say("stop")}</button></div></form></article>'
        )

    def _receipt(self, ended: Ended) -> str:
        commands = "".join(f"<li><code>{html.escape(line[:500])}</code></li>" for line in ended.commands)
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(ended.ended_at))
        how = self._say(ended.outcome, technician=ended.technician) if ended.outcome in ("completed", "revoked") else ""
        return (
            f"<article><h1>{self._say('receipt')}: {html.escape(ended.technician)}, {html.escape(ended.tenant)}</h1>"
            f"<p>{self._say('over')} {how} <time>{at}</time></p><p>{html.escape(ended.reason)}</p>"
            + (f"<h2>{self._say('last')}</h2><ul>{commands}</ul>" if commands else "")
            + f"<h2>{self._say('code')}</h2><p><code>{ended.fingerprint}</code></p>"
            f'<p class="small quiet">{self._say("check", tenant=ended.tenant)}</p>'
            f'<div class="acts"><button type="button" data-print="1">{self._say("print")}</button></div></article>'
        )


class ConsentPage:
    """Serves the page in threads; `address` is where."""

    def __init__(self, desk: Desk, config: Config, secret: str) -> None:
        self._desk, self._config, self._secret = desk, config, secret
        self._loop = asyncio.get_running_loop()
        self._version = 1
        self._life = secrets.token_hex(3)
        self._changed = threading.Condition()
        self._closing = False
        page = self

        class Handler(_Handler):
            served = page

        self._server = ThreadingHTTPServer(("127.0.0.1", config.page_port), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/{secret}/"
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        desk.changed.append(self._wake)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="consent page", daemon=True
        ).start()

    def _wake(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    @property
    def version(self) -> str:
        """Name of what is shown now."""
        return f"{self._life}-{self._version}"

    def wait(self, seen: str) -> None:
        """Return when something else than `seen` is to be shown, or after a while."""
        until = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while self.version == seen and not self._closing and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Run something on the agent's loop and return what it gives."""
        done: Future[Any] = Future()

        async def run() -> None:
            try:
                result = work()
                done.set_result(await result if asyncio.iscoroutine(result) else result)
            except Exception as error:  # handed to the thread that asked
                done.set_exception(error)

        asyncio.run_coroutine_threadsafe(run(), self._loop)
        return done.result(timeout=10)

    def inside(self, language: str) -> str:
        """Return what is between the page's <main> tags."""
        desk = self._desk
        view = View(language, self._config)
        return str(self.on_loop(lambda: view.render(desk.waiting(), desk.active(), list(desk.ended), desk.doubt)))

    def known(self, path: str) -> str | None:
        """Return what follows the secret, or None without it."""
        head, _, rest = path.removeprefix("/").partition("/")
        return rest if secrets.compare_digest(head, self._secret) else None

    def answer(self, form: dict[str, list[str]]) -> bool:
        """Take the person's answer."""
        session = UUID(form["session"][0])
        minutes = int(form.get("minutes", ["1"])[0])
        decision = msgspec.convert(form["decision"][0], Decision)
        scopes = tuple(Scope)
        return bool(self.on_loop(lambda: self._desk.answer(session, decision, scopes, minutes * 60, how="page")))

    def stop(self, form: dict[str, list[str]]) -> bool:
        """Take the person's stop."""
        session = UUID(form["session"][0])
        return bool(self.on_loop(lambda: self._desk.withdraw(session)))

    def close(self) -> None:
        """Stop serving."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: ConsentPage
    protocol_version = "HTTP/1.1"
    server_version = "caisey-agent"
    sys_version = ""
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: addresses carry the secret."""

    def _send(self, status: int, body: str | bytes, kind: str = "text/html; charset=utf-8", **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, words: str) -> None:
        """Answer without reading what was sent; the connection ends, or the body would be taken for the next request."""
        self.close_connection = True
        self._send(status, words, "text/plain", Connection="close")

    def _language(self) -> str:
        return language_of(self.headers.get("Accept-Language", ""))

    def _known(self) -> str | None:
        if self.headers.get("Host", "") != self.served.origin.removeprefix("http://"):
            return None  # another name for this address: DNS rebinding
        return self.served.known(urlsplit(self.path).path)

    def do_GET(self) -> None:
        """Serve the page, its parts, and the next version."""
        rest = self._known()
        language = self._language()
        if rest is None:
            self._send(404, "Not found", "text/plain")
        elif rest == "":
            version = self.served.version
            words = LANGUAGES[language]
            self._send(
                200,
                f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
                f'<title>{html.escape(words["title"])}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="page.css">'
                '<script type="module" src="page.js"></script></head><body>'
                f'<p id="lost" role="alert" hidden>{html.escape(words["lost"])}</p>'
                f'<main id="main" data-version="{version}">{self.served.inside(language)}</main></body></html>',
            )
        elif rest in ("page.css", "page.js"):
            kind = "text/css; charset=utf-8" if rest.endswith("css") else "text/javascript; charset=utf-8"
            self._send(200, files("caisey_agent.consent").joinpath("page_files", rest).read_bytes(), kind)
        elif rest == "view":
            seen = parse_qs(urlsplit(self.path).query).get("after", [""])[0]
            self.served.wait(seen)
            version = self.served.version
            self._send(200, self.served.inside(language), X_Version=version)
        else:
            self._send(404, "Not found", "text/plain")

    def do_POST(self) -> None:
        """Take an answer or a stop."""
        rest = self._known()
        length = self.headers.get("Content-Length") or ""
        size = int(length) if length.isascii() and length.isdigit() else LARGEST_FORM + 1
        if rest not in ("answer", "stop") or size > LARGEST_FORM:
            self._refuse(404, "Not found")
            return
        if self.headers.get("Origin") != self.served.origin:
            self._refuse(403, "This came from another page.")
            return
        form = parse_qs(self.rfile.read(size).decode(errors="replace"))
        try:
            taken = self.served.answer(form) if rest == "answer" else self.served.stop(form)
        except (KeyError, ValueError):
            self._send(400, "This form is not complete.", "text/plain")
            return
        words = LANGUAGES[self._language()]
        self._send(200 if taken else 409, "" if taken else html.escape(words["gone"]))
