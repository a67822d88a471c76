"""A change of the master key that breaks off before or after each of its steps: everything opens, and doing it again ends it."""

import asyncio
import tomllib
from typing import Any

import pytest
from companies import Companies
from databases import both
from doors import caisey

from caisey_core.plugin_host.choices import Choices
from caisey_core.record.keys import MasterKey, following_path
from caisey_core.record.stores import MASTER_KEY
from caisey_core.record.writer import Record
from caisey_core.services import databases, key_rotation
from caisey_core.services.databases import Databases

pytestmark = both
TOKEN = "tok-breaks-81c4f2"
STEPS = ["_new_tenant_keys", "_reseal", "_replace"]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def stopped(companies: Companies) -> Databases:
    """The installation with a secret of each company, its server stopped."""
    for company in (companies.acme, companies.bolt):
        body = {"settings": {"server": "mail.example", "token": f"{TOKEN} of {company.slug}"}, "version": 0}
        company.people["admin"].post("/plugins/smtp/settings", body)
    assert companies.server.stop() == 0
    data = companies.server.data
    return databases.of(data, tomllib.loads((data / "caisey.toml").read_text()).get("database", ""))


async def opens(where: Databases) -> None:
    """The keys on the disk open every secret and every signing key."""
    master = MasterKey.open(where.folder / MASTER_KEY)
    catalogue = await where.catalogue()
    try:
        record = Record(where.record(), master)
        await record.start()
        await record.close()
        for tenant in await catalogue.tenants.all():
            choice = (await Choices(catalogue.plugin_choices, master).of(tenant.id)).plugins["smtp"]
            assert choice.trouble == ""
            assert f"{TOKEN} of {tenant.slug}".encode() in (choice.settings or b"")
    finally:
        await catalogue.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_it_can_be_read_and_ended(stopped: Databases, step: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done by then."""
    path = stopped.folder / MASTER_KEY
    real, old = getattr(key_rotation, step), path.read_bytes()

    def broken(*given: Any, **more: Any) -> Any:
        if not after:
            raise Killed
        done = real(*given, **more)
        if not asyncio.iscoroutine(done):
            raise Killed

        async def then() -> Any:
            await done
            raise Killed

        return then()

    with monkeypatch.context() as patched:
        patched.setattr(key_rotation, step, broken)
        with pytest.raises(Killed):
            asyncio.run(key_rotation.rotate(stopped, new_master=True))
    asyncio.run(opens(stopped))
    if following_path(path).exists():
        refused = caisey("backup", str(stopped.folder.with_name(f"b-{step}-{after}")), "--data", str(stopped.folder))
        assert "being replaced" in refused.stderr
    asyncio.run(key_rotation.rotate(stopped, new_master=False))
    assert not following_path(path).exists()
    assert path.read_bytes() != old
    asyncio.run(opens(stopped))
