"""The contract changes only on purpose: what plugins depend on is written down, and compared."""

import difflib

from signatures import HERE, signatures

TOLD = """
The contract with plugins changed. Every plugin that anybody has written depends on it.

{difference}

Lines with + alone: something was added. Give it a default, so that plugins of today go on without it, and write it down:

    python tests/contract/signatures.py

Lines with -: something was removed, renamed, or has another type. Do not, within a major version. Keep it and mark it as
“Stability” in docs/write-a-plugin.md says; only the next major version of caisey-hookspecs may drop it. While the version is
below 1.0, a minor version may, after it was marked for one: then say so in CHANGELOG.md and run the command above.
"""


def test_the_contract_is_as_it_was_written_down() -> None:
    """Hooks, classes, methods with their parameters, and fields with their defaults."""
    before, now = HERE.read_text(), signatures()
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "as promised", "as it is", lineterm="", n=1)
    assert before == now, TOLD.format(difference="\n".join(lines))
