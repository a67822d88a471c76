"""A provider that lies as a test wants: the few addresses of one on loopback, each answer changeable."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from doors import Browser
from httpx2 import Response
from signer import Key, claims, public, rsa, signed

Reply = tuple[int, bytes]
P = TypeVar("P", bound="Hostile")


def told(value: object, status: int = 200) -> Reply:
    """Return JSON, or these very bytes."""
    return status, value if isinstance(value, bytes) else json.dumps(value).encode()


@dataclass
class Hostile:
    """What it answers: `token` makes the ID token out of the right claims; `replies` replaces what an address says."""

    port: int
    key: Key = field(default_factory=lambda: rsa("one"))
    token: Callable[[dict[str, Any]], str] | None = None
    more: dict[str, Any] = field(default_factory=dict)  # claims of the next token
    replies: dict[str, Reply] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)  # more members of its description
    query: str = ""  # of the last request
    codes: list[str] = field(default_factory=list)  # that were redeemed
    verifiers: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its address, which is its name."""
        return f"http://127.0.0.1:{self.port}"

    def calm(self) -> None:
        """Be an honest provider again."""
        self.token, self.more, self.replies = None, {}, {}

    def reply(self, path: str, body: bytes) -> Reply:
        """Answer a request."""
        if path in self.replies:
            return self.replies[path]
        match path:
            case "/.well-known/openid-configuration":
                return told(
                    {
                        "issuer": self.issuer,
                        "authorization_endpoint": f"{self.issuer}/authorize",
                        "token_endpoint": f"{self.issuer}/token",
                        "jwks_uri": f"{self.issuer}/jwks",
                        "userinfo_endpoint": f"{self.issuer}/me",
                        "authorization_response_iss_parameter_supported": True,
                        **self.described,
                    }
                )
            case "/jwks":
                return told(public(self.key))
            case "/token":
                return self._redeem(parse_qs(body.decode()))
            case "/me":
                return told({"sub": "alice"})
        return told({"error": "not_found"}, 404)

    def _redeem(self, form: dict[str, list[str]]) -> Reply:
        code = form.get("code", [""])[0]
        self.verifiers.append(form.get("code_verifier", [""])[0])
        if code in self.codes or not code.startswith("code."):
            return told({"error": "invalid_grant"}, 400)
        self.codes.append(code)
        wanted = {"email": "alice@acme.example", "email_verified": True, "name": "Alice", "groups": ["techs"], **self.more}
        good = claims(
            code.removeprefix("code."), iss=self.issuer, **{name: value for name, value in wanted.items() if name != "iss"}
        )
        if "iss" in self.more:
            good["iss"] = self.more["iss"]
        token = self.token(good) if self.token is not None else signed(self.key, good)
        return told({"access_token": "opens", "token_type": "Bearer", "id_token": token})


@contextlib.contextmanager
def hostile(kind: type[P] = Hostile) -> Iterator[P]:  # type: ignore[assignment]
    """Run one for a while."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = urlsplit(self.path)
            made.query = asked.query
            status, said = made.reply(asked.path, body)
            self.send_response(status)
            self.send_header("content-type", "text/html" if said.startswith(b"<a ") else "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked had enough
                self.wfile.write(said)

        do_GET = do_POST = _do  # noqa: N815  as the base class names them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = kind(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def leave(browser: Browser, tenant: str = "acme-msp", plugin: str = "oidc", **asked: str) -> dict[str, str]:
    """Press the button, and return what the browser takes along to the provider."""
    answer = browser.client.get(f"/t/{tenant}/sign-in/{plugin}", params=asked, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def come_back(
    browser: Browser,
    taken: dict[str, str],
    provider: Hostile,
    tenant: str = "acme-msp",
    plugin: str = "oidc",
    **changes: str | None,
) -> Response:
    """Come back with the provider's answer, changed; a change to None leaves a parameter out."""
    answer: dict[str, str | None] = {
        "code": f"code.{taken['nonce']}",
        "state": taken["state"],
        "iss": provider.issuer,
        **changes,
    }
    sent = urlencode({name: value for name, value in answer.items() if value is not None})
    return browser.client.get(f"/t/{tenant}/plugins/{plugin}/callback?{sent}", follow_redirects=False)
