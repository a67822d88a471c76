"""The HTTP that a plugin is given. Lives on the plugin's thread, for one tenant; `reach` decides where it goes."""

import asyncio
import functools
import ssl
import zlib
from collections.abc import Mapping
from typing import Final

import httpcore2
import httpx2

from caisey_core.plugin_host.reach import Guard, Hosts, Resolve, resolve
from caisey_hookspecs import HttpAnswer, Rejected, Unavailable

LARGEST_BODY: Final = 10 * 1024 * 1024  # bytes, of a request and of an answer once unpacked
LONGEST_SECONDS: Final = 60.0
MOST_REDIRECTS: Final = 5
MOST_CONNECTIONS: Final = 10
IDLE_SECONDS: Final = 30.0  # how long a connection is kept for the next request
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
OWN_HEADERS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"}
)
HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})  # what goes along to another host
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's authorities; SSL_CERT_FILE names others. One for all: it takes 20 ms and a megabyte to make."""
    return ssl.create_default_context()


class PluginHttp:
    """Sends requests to declared hosts: HTTPS, or plain HTTP to private addresses where the tenant allowed them.

    A redirect is followed for GET and HEAD, if its target is declared too; to another origin only harmless headers go along.
    Nothing of the environment is used: a proxy would resolve names behind the guard's back.
    """

    def __init__(self, hosts: Hosts, *, allow_private: bool = False, resolve: Resolve = resolve) -> None:
        self._hosts, self._allow_private, self._resolve = hosts, allow_private, resolve
        self._pools: dict[str, httpcore2.AsyncConnectionPool] = {}
        self._running = 0
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> HttpAnswer:
        """Send one request and read its answer. Raises Unavailable and Rejected."""
        if method not in METHODS:
            raise Rejected(f"“{method}” is no method: use one of {', '.join(sorted(METHODS))}.")
        if body is not None and len(body) > LARGEST_BODY:
            raise Rejected(f"The request has more than {LARGEST_BODY >> 20} MiB.")
        target, limit = self._checked(url), min(timeout_seconds, LONGEST_SECONDS)
        self._running += 1
        try:
            async with asyncio.timeout(limit):
                return await self._follow(method, target, _sendable(headers or {}), body)
        except TimeoutError as error:
            raise Unavailable(f"{target.host} did not answer within {limit:g} s.") from error
        except httpcore2.LocalProtocolError as error:
            raise Rejected(f"The request to {target.host} cannot be sent ({error}).") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise _failed(target.host, error) from error
        finally:
            self._running -= 1
            if self._closed:
                await self.close()

    async def close(self) -> None:
        """Let go of the connections, as soon as no request needs one."""
        self._closed = True
        if self._running == 0:
            pools, self._pools = self._pools, {}
            for pool in pools.values():
                await pool.aclose()

    def _checked(self, text: str) -> httpx2.URL:
        try:
            url = httpx2.URL(text)
        except (httpx2.InvalidURL, TypeError) as error:
            raise Rejected("The plugin asked for what is no address.") from error
        return self._looked_at(url)

    def _looked_at(self, url: httpx2.URL) -> httpx2.URL:
        if url.scheme not in ("https", "http") or not url.host or url.userinfo:
            raise Rejected("The plugin asked for what is no address of HTTPS.")
        if url.scheme == "http" and not self._allow_private:
            raise Rejected(f"{url.host} may be reached by https:// only.")
        if not self._hosts.cover(url):
            raise Rejected(f"The plugin did not declare {url.netloc.decode('ascii')} as one of its hosts.")
        return url

    async def _follow(self, method: str, url: httpx2.URL, headers: list[tuple[bytes, bytes]], body: bytes | None) -> HttpAnswer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._once(method, url, headers, body)
            location = answer.headers.get("location")
            if method not in ("GET", "HEAD") or answer.status not in REDIRECTS or location is None:
                return answer
            try:
                further = url.join(location)
            except httpx2.InvalidURL as error:
                raise Rejected(f"{url.host} redirects to what is no address.") from error
            self._looked_at(further)
            if (further.scheme, further.netloc) != (url.scheme, url.netloc):
                headers = [(name, value) for name, value in headers if name.decode("ascii").lower() in HARMLESS]
            url = further
        raise Rejected(f"{url.host} redirects more than {MOST_REDIRECTS} times.")

    async def _once(self, method: str, url: httpx2.URL, headers: list[tuple[bytes, bytes]], body: bytes | None) -> HttpAnswer:
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        own = [(b"Host", url.netloc), (b"Accept-Encoding", b"gzip")]
        async with self._pool(url.scheme).stream(method, target, headers=[*own, *headers], content=body) as response:
            raw = bytearray()
            async for part in response.aiter_stream():
                raw += part
                if len(raw) > LARGEST_BODY:
                    raise _too_large(url.host)
            found = _headers(response.headers)
            return HttpAnswer(response.status, found, _unpacked(url.host, found.pop("content-encoding", ""), bytes(raw)))

    def _pool(self, scheme: str) -> httpcore2.AsyncConnectionPool:
        if scheme not in self._pools:
            guard = Guard(public=scheme == "https", private=self._allow_private, resolve=self._resolve)
            self._pools[scheme] = httpcore2.AsyncConnectionPool(
                _tls(),
                max_connections=MOST_CONNECTIONS,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=guard,
            )
        return self._pools[scheme]


def _sendable(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    for name in headers:
        if name.lower() in OWN_HEADERS:
            raise Rejected(f"The header {name} is not the plugin's to set.")
    try:
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    except UnicodeEncodeError as error:
        raise Rejected("A header has characters that no header can carry.") from error


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _unpacked(host: str, encoding: str, raw: bytes) -> bytes:
    """Unpack as far as the limit: a small answer must not become a huge one."""
    if encoding.lower() in ("", "identity") or not raw:
        return raw
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise Unavailable(f"{host} answered in an encoding that nobody asked for.")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(raw, LARGEST_BODY + 1)
    except zlib.error as error:
        raise Unavailable(f"{host} sent a damaged answer.") from error
    if len(body) > LARGEST_BODY:
        raise _too_large(host)
    if not unpacker.eof:
        raise Unavailable(f"{host} sent half an answer.")
    return body


def _too_large(host: str) -> Rejected:
    return Rejected(f"{host} answered with more than {LARGEST_BODY >> 20} MiB.")


def _failed(host: str, error: Exception) -> Unavailable | Rejected:
    """Put a failure into words. A certificate that does not hold needs a person; anything else may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Rejected(f"The certificate of {host} does not hold: {cause.verify_message}.")
        cause = cause.__cause__ or cause.__context__
    return Unavailable(f"The connection to {host} broke.")
