"""Seals the secrets among plugins' settings, and all that plugins store: AES-256-GCM under a key of the tenant, which the master
key seals.

Stored settings are JSON; in a secret's place is {"$sealed": base64(nonce, ciphertext, tag)}. What is bound into each sealing is the
tenant, the plugin and the secret's place, so that one that is copied elsewhere opens nowhere.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caisey_core.plugin_host.settings import SEALED, Setting
from caisey_core.record.keys import MasterKey

PURPOSE: Final = "plugins' settings key"
_NONCE: Final = 12
Change = Callable[[str, str], Any]  # of a secret's place and its text


class Unreadable(Exception):
    """Stored settings that cannot be read; the words are for an admin."""


class TenantKey:
    """The key of one tenant."""

    def __init__(self, tenant: UUID, key: bytes) -> None:
        self._tenant, self._aead, self._key = tenant, AESGCM(key), key

    @classmethod
    def new(cls, tenant: UUID) -> "TenantKey":
        """Make a key."""
        return cls(tenant, secrets.token_bytes(32))

    @classmethod
    def opened(cls, master: MasterKey, tenant: UUID, sealed: bytes) -> "TenantKey":
        """Open a key as it is kept. Raises KeyTrouble."""
        return cls(tenant, master.unseal(tenant, PURPOSE, sealed))

    def sealed(self, master: MasterKey) -> bytes:
        """Return the key as it is kept."""
        return master.seal(self._tenant, PURPOSE, self._key)

    def seal(self, plugin: str, form: Sequence[Setting], settings: Mapping[str, Any]) -> bytes:
        """Return settings as they are stored."""

        def one(place: str, text: str) -> dict[str, str]:
            nonce = secrets.token_bytes(_NONCE)
            closed = nonce + self._aead.encrypt(nonce, text.encode(), self._bound(plugin, place))
            return {SEALED: base64.b64encode(closed).decode()}

        return msgspec.json.encode(_each_secret(form, settings, "", one))

    def open(self, plugin: str, stored: bytes) -> dict[str, Any]:
        """Return settings with their secrets in clear, also of a plugin that is not installed. Raises Unreadable."""
        try:
            found = msgspec.json.decode(stored)
        except msgspec.DecodeError as error:
            raise Unreadable("What is stored is damaged.") from error
        if not isinstance(found, dict):
            raise Unreadable("What is stored is damaged.")
        opened: dict[str, Any] = self._opened(plugin, found, "")
        return opened

    def reseal(self, old: "TenantKey", plugin: str, stored: bytes) -> tuple[bytes, int]:
        """Return stored settings with their secrets under this key, and how many there are. Raises Unreadable."""
        count = 0

        def walk(value: Any, place: str) -> Any:
            nonlocal count
            if _is_sealed(value):
                count += 1
                nonce = secrets.token_bytes(_NONCE)
                text = old._text(plugin, value, place)
                return {SEALED: base64.b64encode(nonce + self._aead.encrypt(nonce, text, self._bound(plugin, place))).decode()}
            return _walked(value, place, walk)

        return msgspec.json.encode(walk(msgspec.json.decode(stored), "")), count

    def seal_entry(self, plugin: str, key: str, value: bytes) -> bytes:
        """Return an entry of a plugin's store as it is kept."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, value, self._bound_entry(plugin, key))

    def open_entry(self, plugin: str, key: str, sealed: bytes) -> bytes:
        """Return an entry of a plugin's store. Raises Unreadable."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._bound_entry(plugin, key))
        except (InvalidTag, ValueError) as error:
            raise Unreadable("What the plugin stored was not sealed for this place, or was changed.") from error

    def _bound_entry(self, plugin: str, key: str) -> bytes:
        return b"caisey plugin entry\n" + self._tenant.bytes + f"{plugin}\n{key}".encode()

    def _opened(self, plugin: str, value: Any, place: str) -> Any:
        if _is_sealed(value):
            return self._text(plugin, value, place).decode()
        return _walked(value, place, lambda inner, at: self._opened(plugin, inner, at))

    def _text(self, plugin: str, value: Mapping[str, str], place: str) -> bytes:
        try:
            closed = base64.b64decode(value[SEALED], validate=True)
            return self._aead.decrypt(closed[:_NONCE], closed[_NONCE:], self._bound(plugin, place))
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise Unreadable(f"The secret “{place}” was not sealed for this place, or was changed. Enter it again.") from error

    def _bound(self, plugin: str, place: str) -> bytes:
        return b"caisey plugin setting\n" + self._tenant.bytes + f"{plugin}\n{place}".encode()


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {SEALED} and isinstance(value[SEALED], str)


def _walked(value: Any, place: str, walk: Callable[[Any, str], Any]) -> Any:
    if isinstance(value, dict):
        return {name: walk(inner, f"{place}.{name}" if place else name) for name, inner in value.items()}
    if isinstance(value, list):
        return [walk(inner, f"{place}.{number}") for number, inner in enumerate(value)]
    return value


def _each_secret(form: Sequence[Setting], settings: Mapping[str, Any], within: str, change: Change) -> dict[str, Any]:
    """Return settings with each secret changed."""
    found = dict(settings)
    for one in form:
        value, place = settings.get(one.name), within + one.name
        if one.shape == "secret" and isinstance(value, str):
            found[one.name] = change(place, value)
        elif one.shape == "group" and isinstance(value, dict):
            found[one.name] = _each_secret(one.fields, value, f"{place}.", change)
        elif one.shape == "groups" and isinstance(value, list):
            found[one.name] = [_each_secret(one.fields, row, f"{place}.{n}.", change) for n, row in enumerate(value)]
    return found
