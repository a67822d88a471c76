"""docs/api.md against the code: scopes, limits, and the addresses that it names."""

from document import rows, section, text_of

from caisey_core.config import Config
from caisey_core.domain.roles import May
from caisey_core.domain.scopes import BY_CLIENT, DANGEROUS, FOR_SERVICES, GRANTS, Scope
from caisey_core.http.api.parts import USUAL
from caisey_core.services import api_tokens, bearers, repeats

PAGE = text_of("api.md")


def test_scopes() -> None:
    """Each has its row: what it allows, whether it can be narrowed, whether a service can have it."""
    table = {row[0].partition(" ")[0].strip("`"): row for row in rows(section(PAGE, "Tokens"))}
    assert table.keys() == {scope.value for scope in Scope}
    for scope in Scope:
        name, allows, narrowed, service = table[scope.value]
        assert allows == ", ".join(may.value for may in May if may in GRANTS[scope]), scope
        assert (narrowed == "yes") == (scope in BY_CLIENT), scope
        assert (service == "yes") == (scope in FOR_SERVICES), scope
        assert ("dangerous" in name) == (scope in DANGEROUS), scope


def test_numbers() -> None:
    """As they are in the code."""
    assert f"last {api_tokens.LONGEST_DAYS} days at most" in PAGE
    assert f"has {api_tokens.MOST} at once" in PAGE
    assert f"kept for {bearers.KEPT_SECONDS:.0f} seconds" in PAGE
    assert f"1 to {repeats.LONGEST_KEY} visible" in PAGE
    assert f"counts for {repeats.KEPT_US // 3_600_000_000} hours" in PAGE
    assert f"usually {USUAL})" in PAGE
    for setting in ("api_requests_per_minute", "api_requests_per_minute_of_address", "sign_in_again_minutes"):
        assert f"`{setting}`" in PAGE
        assert hasattr(Config(), setting)
