"""The agent's fixture."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lying import Lying, lying_server


@pytest.fixture
async def lying(tmp_path: Path) -> AsyncIterator[Lying]:
    """A lying server with a real agent."""
    async with lying_server(tmp_path) as server:
        yield server
