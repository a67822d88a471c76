"""The settings of one installation: `caisey.toml` in the data folder, over-ridden by the environment. Nothing else reads either."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace


class ConfigError(Exception):
    """A setting is wrong; the message names it and says what to do."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One installation. `docs/operate.md` lists each setting."""

    deployment: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9.-]+$")] = "caisey.local"
    public_url: str = ""  # what people and devices type; empty: http://host:port
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080  # 0 picks a free one
    answer_within_seconds: Annotated[int, Meta(ge=30, le=86400)] = 600
    longest_session_seconds: Annotated[int, Meta(ge=60, le=604800)] = 8 * 3600
    largest_file_bytes: Annotated[int, Meta(ge=1, le=256 << 20)] = 64 << 20
    sign_in_hours: Annotated[int, Meta(ge=1, le=720)] = 12
    sign_in_idle_minutes: Annotated[int, Meta(ge=5, le=1440)] = 120
    api_requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] = 6000  # of one token; 0: no limit
    api_requests_per_minute_of_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 12_000
    sign_in_again_minutes: Annotated[int, Meta(ge=1, le=1440)] = (
        15  # after a sign-in, before dangerous settings ask for another
    )
    witness_seconds: Annotated[int, Meta(ge=1, le=86400)] = 600  # between two checkpoints that connected devices are sent
    name_companies: bool = False  # list all companies on the start page; else a person types the name of theirs
    trusted_proxies: tuple[str, ...] = ()
    demonstration: bool = False
    database: str = ""  # postgresql://…; empty: files in the data folder

    @property
    def url(self) -> str:
        """Return the address of the web UI without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Say whether people come over TLS, so that cookies may demand it."""
        return self.url.startswith("https://")


_LISTS = frozenset({"trusted_proxies"})  # in the environment: parts divided by commas


def load(folder: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Return the settings of a data folder. Raises ConfigError for a missing folder or a wrong setting."""
    path = folder / "caisey.toml"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} is not a data folder of Caisey (it has no caisey.toml). "
            f"Check the path; to begin a new installation there, run: caisey init --data {folder}"
        ) from None
    try:
        settings: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}. Correct the file and start again.") from error
    for name in Config.__struct_fields__:
        if (value := environment.get(f"CAISEY_{name.upper()}")) is not None:
            settings[name] = [part.strip() for part in value.split(",") if part.strip()] if name in _LISTS else value
    try:
        config = msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"A setting in {path} or in the environment (CAISEY_…) is wrong: {error}") from error
    database_of(config.database, {})
    return config


def database_of(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the database of a new installation: the one that was given, or else the environment's. Raises ConfigError."""
    database = given or environment.get("CAISEY_DATABASE", "")
    if database and not database.startswith(("postgresql://", "postgres://")):
        raise ConfigError("The database must be an address such as postgresql://caisey@db.example.com/caisey")
    return database


def _without_password(database: str) -> str:
    parts = urlsplit(database)
    user, at, host = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "password"], safe="/")
    address = f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
    return f"{address}?{query}" if query else address


def without_password(folder: Path) -> bytes:
    """Return the settings file; the password in the database's address, if there is one, is left out."""
    text = (folder / "caisey.toml").read_bytes()
    address = msgspec.toml.decode(text).get("database")
    return _naming(text, _without_password(address)) if address else text


def name_database(folder: Path, address: str, environment: Mapping[str, str] = os.environ) -> None:
    """Name a database in a settings file, as `write` does; its other lines stay. Raises ConfigError."""
    path = folder / "caisey.toml"
    kept = _without_password(address) if address == environment.get("CAISEY_DATABASE") else address
    path.write_bytes(_naming(path.read_bytes(), kept))


def _naming(text: bytes, address: str) -> bytes:
    """Put an address into the text of a settings file. Raises ConfigError if that does not come out."""
    line = b"database = " + msgspec.json.encode(address)
    named, count = re.subn(rb"(?m)^[ \t]*[\"']?database[\"']?[ \t]*=.*$", lambda _: line, text)
    if not count:
        named = text.rstrip() + b"\n" + line + b"\n"
    with contextlib.suppress(msgspec.DecodeError):
        settings = msgspec.toml.decode(text)
        if msgspec.toml.decode(named) == {**settings, "database": address}:
            return named
    raise ConfigError('The setting database in caisey.toml cannot be replaced. Write it on a line of its own: database = "…"')


def write(folder: Path, config: Config, environment: Mapping[str, str] = os.environ) -> None:
    """Write the settings that differ from the defaults. A password that came by the environment stays there."""
    fresh = Config()
    if config.database == environment.get("CAISEY_DATABASE"):
        config = replace(config, database=_without_password(config.database))
    chosen = {n: getattr(config, n) for n in Config.__struct_fields__ if getattr(config, n) != getattr(fresh, n)}
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in chosen.items()]
    (folder / "caisey.toml").write_text(
        "# Settings of this installation; docs/operate.md lists them all.\n" + "".join(f"{line}\n" for line in lines)
    )
