"""Example shell, on the server: how a command looks before it runs.

`endpoint` is the half on the device.
"""

import unicodedata

from caisey_hookspecs import CommandView, Context, NoSettings, PluginInfo, Shell, hookimpl

HARMLESS = "\n\t"
UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})  # categories of characters that a person does not see


class Sh(Shell):
    """Looks at commands; it keeps nothing."""

    async def view(self, line: str) -> CommandView:
        """Write out what nobody would see."""
        seen = "".join(
            char if char in HARMLESS or unicodedata.category(char) not in UNSEEN else f"⟦U+{ord(char):04X}⟧"
            for char in line
        )
        return CommandView(canonical=seen, complaint="sh cannot take a NUL character." if "\0" in line else "")


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="example-shell",
        title="Example shell",
        version="0.1.0",
        kinds=("shell",),
    )


@hookimpl
def caisey_shell(context: Context[NoSettings]) -> Shell:
    """Make a tenant's shell."""
    return Sh()
