"""A plugin's HTTP: it reaches the hosts that the plugin declared and nothing else, whatever DNS, redirects and answers do."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor import Answer, Asked, Vendor, authority, vendor

from caisey_core.plugin_host import http as module
from caisey_core.plugin_host.http import LARGEST_BODY, PluginHttp
from caisey_core.plugin_host.reach import Hosts, carried, hosts_of, is_never, is_private
from caisey_hookspecs import Rejected, Unavailable


@pytest.fixture
def plain() -> Iterator[Vendor]:
    """A vendor without TLS on loopback."""
    with vendor() as found:
        yield found


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """A vendor with a certificate for api.vendor.example and 127.0.0.1, of an authority that the system trusts."""
    trusted, served = authority(tmp_path, "api.vendor.example", "127.0.0.1")
    monkeypatch.setattr(module, "_tls", lambda: ssl.create_default_context(cafile=str(trusted)))
    with vendor(served) as found:
        yield found


@asynccontextmanager
async def reaching(*hosts: str, private: bool = True, dns: dict[str, list[str]] | None = None) -> AsyncIterator[PluginHttp]:
    """A plugin's HTTP for these hosts, with a DNS of the test's own if one is given."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        assert dns is not None
        asked.append(host)
        if host not in dns:
            raise OSError("Name or service not known")
        return dns[host]

    more = {} if dns is None else {"resolve": resolve}
    http = PluginHttp(Hosts(hosts), allow_private=private, **more)
    try:
        yield http
    finally:
        await http.close()


async def test_a_declared_host_answers(tls: Vendor) -> None:
    """Method, path, headers and body arrive; status, headers and body come back."""
    tls.answer = lambda asked: Answer(418, b"short and stout", {"X-Kind": "teapot"})
    host = f"127.0.0.1:{tls.port}"
    async with reaching(host) as http:
        answer = await http.request("POST", tls.url("/brew?cups=2"), headers={"Authorization": "Basic eDp5"}, body=b"{}")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (418, b"short and stout", "teapot")
    (asked,) = tls.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/brew?cups=2", b"{}")
    assert (asked.headers["authorization"], asked.headers["host"]) == ("Basic eDp5", host)


async def test_connections_are_kept_and_let_go(tls: Vendor) -> None:
    """The next request takes the same connection; closing lets it go once nothing runs."""
    async with reaching(f"127.0.0.1:{tls.port}") as http:
        await http.request("GET", tls.url())
        (pool,) = http._pools.values()
        first = pool.connections[0]
        await http.request("GET", tls.url())
        assert pool.connections == [first]
        running = asyncio.create_task(http.request("GET", tls.url()))
        await asyncio.sleep(0)
        await http.close()
        assert (await running).status == 200
        assert http._pools == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        "https://vendor.example.evil.example/",
        "https://evil.example/#vendor.example",
        "https://vendor.example@evil.example/",
        "https://vendor.example:8443/",
        "https://a.b.vendor.example/",
        "https://evilvendor.example/",
        "https://vendor.example.:443/",
        "http://vendor.example/",
        "ftp://vendor.example/",
        "file:///etc/passwd",
        "//vendor.example/",
        "vendor.example",
        "https:///",
        "https://[::1",
        "https://vendor.example:99999/",
        "",
        "https://vendor\x00.example/",
    ],
)
async def test_what_was_not_declared_is_refused_before_anything_is_resolved(url: str) -> None:
    """Only the declared names, only HTTPS, only the declared port."""
    async with reaching("vendor.example", "*.vendor.example", private=False, dns={}) as http:
        with pytest.raises(Rejected):
            await http.request("GET", url)


@pytest.mark.parametrize(
    ("entries", "url", "covered"),
    [
        (("*.vendor.example",), "https://eu.vendor.example/x", True),
        (("*.vendor.example",), "https://vendor.example/", False),
        (("*.vendor.example",), "https://a.eu.vendor.example/", False),
        (("*.vendor.example",), "https://eu.vendor.example:444/", False),
        (("vendor.example:444",), "https://vendor.example:444/", True),
        (("vendor.example:444",), "https://vendor.example/", False),
        (("VENDOR.example",), "https://vendor.EXAMPLE/", True),
        (("vendor.example:443",), "https://vendor.example/", True),
        (("müller.example",), "https://xn--mller-kva.example/", True),
        (("https://psa.example:8443/v4_6_release/apis",), "https://psa.example:8443/other", True),
        (("[2001:db8::1]:444",), "https://[2001:db8::1]:444/", True),
    ],
)
def test_hosts(entries: tuple[str, ...], url: str, covered: bool) -> None:
    """A star covers one level, a port is part of the host, names are compared as DNS does."""
    assert Hosts(entries).cover(httpx2.URL(url)) is covered


@pytest.mark.parametrize(
    "entry", ["*", "*.com", "*.", "**.vendor.example", "a.*.example", "", "ftp://x.example", "a b", "u@x.example"]
)
def test_entries_that_are_no_hosts(entry: str) -> None:
    """They are refused in words; settings cannot bring a star."""
    with pytest.raises(Rejected, match="is no host"):
        Hosts((entry,))
    with pytest.raises(Rejected, match="is no host"):
        hosts_of((), ("*.vendor.example",))


PRIVATE = ["127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
PRIVATE += ["64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:1:2:3:4:f5ff:fffe"]
NEVER = ["169.254.169.254", "0.0.0.0", "fe80::1", "fe80::1%eth0", "ff02::1", "224.0.0.1", "255.255.255.255", "::"]
NEVER += ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "2002:a9fe:a9fe::"]


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
async def test_addresses_that_are_not_the_internet_s(address: str) -> None:
    """A declared name that leads there is refused, and no connection is tried; some addresses no admin can allow."""
    for found in ([address], ["93.184.216.34", address]):
        async with reaching("vendor.example", private=False, dns={"vendor.example": found}) as http:
            with pytest.raises(Rejected, match="leads to a"):
                await http.request("GET", "https://vendor.example/")
    if address in NEVER:
        async with reaching("vendor.example", private=True, dns={"vendor.example": [address]}) as http:
            with pytest.raises(Rejected, match="no plugin may reach"):
                await http.request("GET", "https://vendor.example/")


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_that_carries_an_ipv4_one_counts_as_that(inner: object) -> None:
    """Mapped, NAT64 and 6to4."""
    number = int(inner)  # type: ignore[call-overload]
    for outer in (f"::ffff:{inner}", (0x64FF9B << 96) + number, (0x2002 << 112) + (number << 80) + 1):
        address = carried(ip_address(outer))
        assert address == inner
        assert (is_never(address), is_private(address)) == (is_never(inner), is_private(inner))  # type: ignore[arg-type]


async def test_dns_that_changes_its_mind_is_asked_once(tls: Vendor) -> None:
    """The connection goes to the address that was looked at: a second answer would be another."""
    answers = [["127.0.0.1"], ["10.255.255.1"]]
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    http = PluginHttp(Hosts([f"api.vendor.example:{tls.port}"]), allow_private=True, resolve=resolve)
    answer = await http.request("GET", tls.url(host="api.vendor.example"))
    await http.close()
    assert (answer.status, asked) == (200, ["api.vendor.example"])
    assert tls.asked[0].headers["host"] == f"api.vendor.example:{tls.port}"


async def test_an_address_that_does_not_answer_gives_way_to_the_next(tls: Vendor) -> None:
    """Both are looked at before."""
    dns = {"api.vendor.example": ["127.0.0.2", "127.0.0.1"]}
    async with reaching(f"api.vendor.example:{tls.port}", dns=dns) as http:
        assert (await http.request("GET", tls.url(host="api.vendor.example"))).status == 200


async def test_plain_http_is_for_private_addresses_that_an_admin_allowed(plain: Vendor) -> None:
    """Without leave it is refused; with it, a public address still wants HTTPS."""
    async with reaching(f"127.0.0.1:{plain.port}", private=False) as http:
        with pytest.raises(Rejected, match="by https:// only"):
            await http.request("GET", plain.url())
    async with reaching(f"127.0.0.1:{plain.port}") as http:
        assert (await http.request("GET", plain.url())).status == 200
    async with reaching("vendor.example", dns={"vendor.example": ["93.184.216.34"]}) as http:
        with pytest.raises(Rejected, match="use https://"):
            await http.request("GET", "http://vendor.example/")


async def test_a_redirect_goes_to_declared_hosts_only(plain: Vendor) -> None:
    """Within an origin everything goes along, to another only what is harmless; POST is not followed."""
    secret = {"Authorization": "Bearer abc", "ApiKey": "def", "Accept": "application/json"}
    with vendor() as other:
        targets = {"/near": "/end", "/far": other.url("/end"), "/evil": "https://evil.example/", "/loop": "/loop"}
        targets |= {"/meta": "http://169.254.169.254/latest", "/odd": "https://x:99999", "/file": "file:///etc/passwd"}

        def answer(asked: Asked) -> Answer:
            return Answer(302, b"", {"Location": targets[asked.path]}) if asked.path in targets else Answer()

        plain.answer = answer
        async with reaching(f"127.0.0.1:{plain.port}", f"127.0.0.1:{other.port}") as http:
            assert (await http.request("GET", plain.url("/near"), headers=secret)).body == b"fine"
            assert plain.asked[-1].headers["apikey"] == "def"
            assert (await http.request("GET", plain.url("/far"), headers=secret)).body == b"fine"
            (asked,) = other.asked
            assert asked.headers.keys() == {"host", "accept-encoding", "accept"}
            assert (await http.request("POST", plain.url("/far"), body=b"x")).status == 302
            for path, words in (("/evil", "did not declare"), ("/meta", "did not declare"), ("/loop", "more than 5 times")):
                with pytest.raises(Rejected, match=words):
                    await http.request("GET", plain.url(path))
            for path in ("/odd", "/file"):
                with pytest.raises(Rejected, match=r"no address|did not declare"):
                    await http.request("GET", plain.url(path))


async def test_a_redirect_to_a_declared_name_with_a_private_address(tls: Vendor) -> None:
    """The target is looked at like any other."""
    tls.answer = lambda _: Answer(302, b"", {"Location": "https://inside.vendor.example/"})
    dns = {"api.vendor.example": ["127.0.0.1"], "inside.vendor.example": ["169.254.169.254"]}
    async with reaching(f"api.vendor.example:{tls.port}", "inside.vendor.example", dns=dns) as http:
        with pytest.raises(Rejected, match=r"inside\.vendor\.example leads to an address that no plugin may reach"):
            await http.request("GET", tls.url(host="api.vendor.example"))


async def test_a_certificate_that_does_not_hold(tls: Vendor) -> None:
    """Another name's certificate: an admin reads why, nothing is sent."""
    async with reaching(f"other.example:{tls.port}", dns={"other.example": ["127.0.0.1"]}) as http:
        with pytest.raises(Rejected, match=r"certificate of other\.example does not hold: Hostname mismatch"):
            await http.request("GET", tls.url(host="other.example"))
    assert tls.asked == []


BOMB = gzip.compress(bytes(200 << 20), 9)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(body=bytes(LARGEST_BODY + 1)), Rejected, "more than 10 MiB"),
        (Answer(body=BOMB, headers={"Content-Encoding": "gzip"}), Rejected, "more than 10 MiB"),
        (Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}), Unavailable, "damaged"),
        (Answer(body=gzip.compress(b"x" * 99)[:-4], headers={"Content-Encoding": "gzip"}), Unavailable, "half an answer"),
        (Answer(body=b"x", headers={"Content-Encoding": "br"}), Unavailable, "nobody asked for"),
        (Answer(body=b"x", length=-5), Unavailable, "broke"),
        (Answer(headers={"X-Long": "x" * 200_000}), Unavailable, "broke"),
    ],
)
async def test_bad_answers(plain: Vendor, answer: Answer, error: type[Exception], words: str) -> None:
    """Too large, a bomb, damaged, cut off, not asked for."""
    plain.answer = lambda _: answer
    async with reaching(f"127.0.0.1:{plain.port}") as http:
        with pytest.raises(error, match=words):
            await http.request("GET", plain.url())
        plain.answer = lambda _: Answer()
        assert (await http.request("GET", plain.url())).status == 200


async def test_a_packed_answer_is_unpacked(plain: Vendor) -> None:
    """The plugin sees the text and no trace of the packing."""
    plain.answer = lambda _: Answer(body=gzip.compress(b"text" * 1000), headers={"Content-Encoding": "gzip"})
    async with reaching(f"127.0.0.1:{plain.port}") as http:
        answer = await http.request("GET", plain.url())
    assert answer.body == b"text" * 1000
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "CONNECT"},
        {"method": "get"},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"X-Split": "a\r\nHost: evil.example"}},
        {"headers": {"X-Smile": "☺"}},
        {"headers": {"X Space": "a"}},
        {"body": bytes(LARGEST_BODY + 1)},
    ],
)
async def test_bad_requests(plain: Vendor, wrong: dict[str, object]) -> None:
    """Refused in words, and nothing arrives."""
    async with reaching(f"127.0.0.1:{plain.port}") as http:
        with pytest.raises(Rejected):
            await http.request(**{"method": "GET", "url": plain.url(), **wrong})  # type: ignore[arg-type]
    assert plain.asked == []


async def test_nobody_there_and_nobody_answers(plain: Vendor) -> None:
    """Both may pass: a later try may help."""
    async with reaching("vendor.example", "127.0.0.1:1", f"127.0.0.1:{plain.port}", dns=None) as http:
        with pytest.raises(Unavailable, match="takes no connection"):
            await http.request("GET", "https://127.0.0.1:1/")
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def late(_: Asked) -> Answer:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(20)
            return Answer()

        plain.answer = late
        with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
            await http.request("GET", plain.url(), timeout_seconds=0.2)
        release.set()
    async with reaching("vendor.example", dns={}) as http:
        with pytest.raises(Unavailable, match="not known to the DNS"):
            await http.request("GET", "https://vendor.example/")


async def test_the_environment_s_proxy_is_not_used(plain: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve names where nobody looks."""
    with vendor() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        async with reaching(f"127.0.0.1:{plain.port}") as http:
            assert (await http.request("GET", plain.url())).status == 200
        assert proxy.asked == []
