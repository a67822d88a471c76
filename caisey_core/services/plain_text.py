"""Terminal output as text that steers nothing."""

import re
from typing import Final

# ECMA-48 control sequences, OSC and other strings with their terminators, and lone control characters but tab and newline
_CONTROLS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.S
)


def plain(text: str) -> str:
    """Return terminal output as text: without colours, cursor moves and titles."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n"))
