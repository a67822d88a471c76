"""Writes a new plugin: a copy of a small working one of its kind, under the new name."""

import re
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "plugin_templates"  # each a distribution that works, under the name “example-KIND”
PREFIX: Final = "caisey-example-"
NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME: Final = 40  # characters


class CannotWrite(Exception):
    """Why no plugin was written, and what to do, in words for a person."""


def kinds() -> list[str]:
    """Return the kinds of which a plugin can be written."""
    return sorted(path.name.removeprefix(PREFIX) for path in TEMPLATES.glob(f"{PREFIX}*"))


def write(name: str, kind: str, parent: Path) -> Path:
    """Write the distribution caisey-NAME into a new folder of that name and return it. Raises CannotWrite."""
    name = name.removeprefix("caisey-")
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise CannotWrite(
            f"“{name}” cannot be a plugin's name: use up to {LONGEST_NAME} lower-case letters, digits and hyphens, a letter first."
        )
    if kind not in kinds():
        raise CannotWrite(f"There is no kind “{kind}”; there are {', '.join(kinds())}.")
    folder = parent / f"caisey-{name}"
    if folder.exists():
        raise CannotWrite(f"{folder} exists already; choose another name, or another folder with --in.")
    template = TEMPLATES / f"{PREFIX}{kind}"
    for path in sorted(template.rglob("*")):
        inside = path.relative_to(template)
        if path.is_file() and not any(part in ("__pycache__", ".venv") or part.endswith("_cache") for part in inside.parts):
            target = folder / _renamed(str(inside), name, kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_renamed(path.read_text(encoding="utf-8"), name, kind), encoding="utf-8")
    return folder


def _renamed(text: str, name: str, kind: str) -> str:
    """Put the new name in the place of the example's, in each of its spellings."""
    words = name.split("-")
    spellings = {
        f"Example {kind}": " ".join(words).capitalize(),
        f"example_{kind}": "_".join(words),
        f"example-{kind}": name,
    }
    for old, new in spellings.items():
        text = text.replace(old, new)
    return text
