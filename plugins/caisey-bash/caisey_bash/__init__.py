"""The bash shell, server half: how a command looks to a person before it runs. The endpoint half is `caisey_bash.endpoint`."""

import unicodedata

from caisey_hookspecs import CommandView, Context, NoSettings, PluginInfo, Shell, hookimpl

_HARMLESS = {"\n", "\t"}
_UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}  # control, format (bidirectional, zero-width), separators, surrogates, private


def canonical(line: str) -> str:
    """Return the text with every character that a person could not see written out as U+XXXX."""
    return "".join(
        char if char in _HARMLESS or unicodedata.category(char) not in _UNSEEN else f"⟦U+{ord(char):04X}⟧" for char in line
    )


class Bash(Shell):
    """Looks at commands; it keeps nothing."""

    async def view(self, line: str) -> CommandView:
        """Return the canonical text; bash cannot take NUL."""
        complaint = "bash cannot take a NUL character." if "\0" in line else ""
        return CommandView(canonical=canonical(line), complaint=complaint)


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(name="bash", title="bash", version="0.1.0", kinds=("shell",), enabled_by_default=True)


@hookimpl
def caisey_shell(context: Context[NoSettings]) -> Shell:
    """Make a tenant's shell."""
    return Bash()
