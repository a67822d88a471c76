"""Secrets are sealed for one tenant, one plugin and one place, and open nowhere else."""

import os
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from caisey_core.plugin_host.sealing import SEALED, TenantKey, Unreadable
from caisey_core.plugin_host.settings import form_of
from caisey_core.record.keys import KeyTrouble, MasterKey, prepare_following, take_following
from caisey_hookspecs import Secret


class Account(Struct):
    user: str
    password: Secret


class Both(Struct):
    token: Annotated[Secret, Meta(title="Token")]
    accounts: tuple[Account, ...] = ()
    free: dict[str, Any] = {}


FORM = form_of(Both)
texts = st.text(max_size=30).filter(lambda text: text == text.encode(errors="replace").decode())
accounts = st.lists(st.fixed_dictionaries({"user": texts, "password": texts}), max_size=3)
settings = st.fixed_dictionaries({"token": texts, "accounts": accounts, "free": st.dictionaries(texts, st.integers(0, 9))})


@given(settings)
def test_what_is_sealed_opens(value: dict[str, Any]) -> None:
    """All of it comes back, also under a new key; no secret that could be told from other text is in what is stored."""
    tenant = uuid4()
    key, new = TenantKey.new(tenant), TenantKey.new(tenant)
    stored = key.seal("mail", FORM, value)
    assert key.open("mail", stored) == value
    again, count = new.reseal(key, "mail", stored)
    assert (new.open("mail", again), count) == (value, 1 + len(value["accounts"]))
    with pytest.raises(Unreadable):
        key.open("mail", again)


STORED: dict[str, Any] = {"token": "one", "accounts": [{"user": "a", "password": "two"}, {"user": "b", "password": "three"}]}


def test_it_opens_nowhere_else() -> None:
    """Not in another tenant, for another plugin, in another place, or after a bit was changed."""
    tenant = uuid4()
    key = TenantKey.new(tenant)
    stored = key.seal("mail", FORM, STORED)
    found = msgspec.json.decode(stored)
    assert not any(word in stored for word in (b"one", b"two", b"three"))
    moved = {**found, "accounts": [found["accounts"][1], found["accounts"][0]]}
    swapped = {**found, "token": found["accounts"][0]["password"]}
    text = found["token"][SEALED]
    changed = {**found, "token": {SEALED: ("B" if text[0] == "A" else "A") + text[1:]}}
    for odd in (moved, swapped, changed, {**found, "token": {SEALED: "!"}}, {**found, "token": {SEALED: ""}}):
        with pytest.raises(Unreadable):
            key.open("mail", msgspec.json.encode(odd))
    with pytest.raises(Unreadable):
        key.open("other", stored)
    for odd_bytes in (b"", b"[]", b"{"):
        with pytest.raises(Unreadable):
            key.open("mail", odd_bytes)
    master = MasterKey(bytes(32))
    with pytest.raises(KeyTrouble):
        TenantKey.opened(master, uuid4(), key.sealed(master))
    assert TenantKey.opened(master, tenant, key.sealed(master)).open("mail", stored) == STORED


def test_a_master_key_that_is_replaced(tmp_path: Path) -> None:
    """A pair of keys opens what either sealed; a damaged file is told in words."""
    path, tenant = tmp_path / "keys" / "master.key", uuid4()
    one = MasterKey.create(path, {})
    prepare_following(path)
    both_keys = MasterKey.open(path, {})
    assert both_keys.following is not None
    for key in (one, both_keys.following):
        assert both_keys.unseal(tenant, "x", key.seal(tenant, "x", b"secret")) == b"secret"
    take_following(path)
    with pytest.raises(KeyTrouble):
        MasterKey.open(path, {}).unseal(tenant, "x", one.seal(tenant, "x", b"secret"))
    path.write_bytes(b"short")
    with pytest.raises(KeyTrouble, match="damaged"):
        MasterKey.open(path, {})
    assert os.listdir(path.parent) == ["master.key"]
