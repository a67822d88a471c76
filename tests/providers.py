"""Two companies on one server, of which some sign in at a provider."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from companies import Companies, Company, two_companies
from doors import Browser

from caisey_core.app import close_house, open_house
from caisey_core.config import load
from caisey_core.plugin_host.settings import form_of


async def _enable(data: Path, company: Company, plugin: str, settings: dict[str, Any]) -> None:
    house = await open_house(data, load(data))
    try:
        info = house.plugins.installed[plugin].info
        assert info is not None
        async with house.plugins.choices.changing(company.tenant, house.clock.now()) as change:
            await change.save(plugin, form_of(info.settings), settings, allow_private=True, enabled=True)
    finally:
        await close_house(house)


@contextlib.contextmanager
def companies_at(data: Path, port: int, settings: dict[str, dict[str, Any]], plugin: str = "oidc") -> Iterator[Companies]:
    """Serve two companies whose settings for sign-in are given by their part of the address."""
    with two_companies(data, port=port) as made:
        made.server.stop()
        for company in (made.acme, made.bolt):
            if company.slug in settings:
                asyncio.run(_enable(data, company, plugin, settings[company.slug]))
        made.server.port = port
        made.server.start()
        yield made


def cookies(browser: Browser) -> dict[str, str]:
    """Return what a browser keeps for the server."""
    return {cookie.name: cookie.value or "" for cookie in browser.client.cookies.jar}


def query(address: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return dict(part.split("=", 1) for part in urlsplit(address).query.split("&"))
