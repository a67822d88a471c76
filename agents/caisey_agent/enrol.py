"""Enrolment: makes the device's key and gives its public half to the server, with the installer's token."""

import base64
import json
import socket
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import msgspec

from caisey_agent.facts import system_name
from caisey_agent.home import Home, HomeTrouble
from caisey_agent.protocol.enrolment import Enrol, Enrolled, enrolment_bytes

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}


class Refusal(Exception):
    """The server did not take this device; the words are for the person who enrols."""


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def enrol(home: Home, url: str, token: str, name: str) -> Enrolled:
    """Enrol this machine. Raises Refusal and HomeTrouble."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal(f"{url} is no address. It begins with https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise Refusal("Over a network the address must begin with https://, so that nobody can read the token.")
    if home.enrolled():
        raise HomeTrouble(f"{home.folder} holds an enrolled agent already. Use another --home, or delete the folder first.")
    home.create()
    key = home.new_key()
    public = key.public_key().public_bytes_raw()
    asked = Enrol(
        token=token,
        public_key=_text(public),
        proof=_text(key.sign(enrolment_bytes(token, public))),
        name=name or socket.gethostname(),
        system=system_name(),
    )
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
        url.rstrip("/") + "/agent/enrol",
        msgspec.json.encode(asked),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read(1 << 20), type=Enrolled)
    except urllib.error.HTTPError as error:
        raise Refusal(_words(error)) from None
    except (urllib.error.URLError, TimeoutError, ssl.SSLError) as error:
        raise Refusal(f"The server at {url} does not answer ({error}). Check the address and try again.") from None
    except msgspec.DecodeError:
        raise Refusal(f"What answers at {url} is no Caisey server. Check the address.") from None


def _words(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(65536))
        return f"{problem['detail']} {problem.get('what_to_do', '')}".strip()
    except (ValueError, KeyError, TypeError):
        return f"The server answered {error.code}. Check the address."
