"""Settings: from `caisey.toml`, over-ridden by the environment, as docs/operate.md says."""

from pathlib import Path

import msgspec
import pytest

from caisey_core.config import Config, ConfigError, load, write

GIVEN = {
    "deployment": "help.example.com",
    "public_url": "https://help.example.com",
    "host": "0.0.0.0",
    "port": "9000",
    "answer_within_seconds": "60",
    "longest_session_seconds": "3600",
    "largest_file_bytes": "1048576",
    "sign_in_hours": "8",
    "sign_in_idle_minutes": "30",
    "api_requests_per_minute": "60",
    "api_requests_per_minute_of_address": "0",
    "sign_in_again_minutes": "5",
    "witness_seconds": "60",
    "name_companies": "true",
    "trusted_proxies": "127.0.0.1, 10.0.0.0/8",
    "demonstration": "true",
    "database": "postgresql://caisey:secret@db.example.com/caisey",
}


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    """CAISEY_ and the name in capitals; a list is divided by commas."""
    assert GIVEN.keys() == set(Config.__struct_fields__)
    (tmp_path / "caisey.toml").write_text('deployment = "from-the-file"\n')
    found = load(tmp_path, {f"CAISEY_{name.upper()}": value for name, value in GIVEN.items()})
    fresh = Config()
    for name in GIVEN:
        assert getattr(found, name) != getattr(fresh, name), name
    assert found.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")
    assert load(tmp_path, {}) == msgspec.structs.replace(fresh, deployment="from-the-file")


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """An unknown name, or a number out of its range, stops the start and says which."""
    for text, name in (("prot = 80", "prot"), ("port = 70000", "port"), ('host = "a', "caisey.toml")):
        (tmp_path / "caisey.toml").write_text(text)
        with pytest.raises(ConfigError, match=name):
            load(tmp_path, {})


def test_a_database_is_an_address_and_its_password_stays_in_the_environment(tmp_path: Path) -> None:
    """What came by the environment is written without its password; what was given is written as it is."""
    given = "postgresql://caisey:secret@db.example.com:5433/caisey?sslmode=require"
    write(tmp_path, Config(database=given), {"CAISEY_DATABASE": given})
    assert load(tmp_path, {}).database == "postgresql://caisey@db.example.com:5433/caisey?sslmode=require"
    assert load(tmp_path, {"CAISEY_DATABASE": given}).database == given
    socket = "postgresql:///caisey?host=/run/postgresql&password=secret"
    write(tmp_path, Config(database=socket), {"CAISEY_DATABASE": socket})
    assert load(tmp_path, {}).database == "postgresql:///caisey?host=/run/postgresql"
    write(tmp_path, Config(database=given), {})
    assert load(tmp_path, {}).database == given
    (tmp_path / "caisey.toml").write_text('database = "mysql://db.example.com/caisey"\n')
    with pytest.raises(ConfigError, match="postgresql://") as told:
        load(tmp_path, {})
    assert "mysql" not in str(told.value)
