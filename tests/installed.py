"""An installation that is not served: its data folder, and its database if it has one; and somebody who holds both."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

RECORD = ("record.db", "caisey_record")
CATALOGUE = ("catalogue.db", "caisey_catalogue")


@dataclass
class Installed:
    """A data folder and the address of its database; the empty address is the folder itself."""

    data: Path
    database: str

    @property
    def on_files(self) -> bool:
        """Say whether it is on files."""
        return not self.database

    def run(self, where: tuple[str, str], *statements: str) -> list[tuple[Any, ...]]:
        """Run statements behind our back in the record or the catalogue, and return the rows of the last.

        {bytes} are 32 bytes, {byte} is one.
        """
        file, schema = where
        wide, one = ("'\\x" + "00" * 32 + "'", "'\\x00'") if self.database else ("x'" + "00" * 32 + "'", "x'00'")
        statements = tuple(statement.replace("{bytes}", wide).replace("{byte}", one) for statement in statements)
        if self.database:
            with psycopg.connect(self.database, options=f"-c search_path={schema}") as database:
                for statement in statements:
                    cursor = database.execute(statement)  # type: ignore[arg-type]
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.data / file)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            connection.commit()
        return rows

    def copied(self, to: Path, new: Callable[[str], str]) -> "Installed":
        """Return a copy of all of it; `new` makes a database from a template."""
        shutil.copytree(self.data, to)
        if not self.database:
            return Installed(to, "")
        copy = Installed(to, new(self.database.rpartition("/")[2]))
        settings = to / "caisey.toml"
        settings.write_text(re.sub(r"(?m)^database = .*$", f'database = "{copy.database}"', settings.read_text()))
        return copy
