"""Writes each notice into the server's log: for a company whose log is watched anyway."""

from caisey_hookspecs import Context, Delivery, NoSettings, Notice, Notifier, PluginInfo, hookimpl


class LogNotifier(Notifier):
    """One tenant's notifier."""

    def __init__(self, context: Context[NoSettings]) -> None:
        self._store, self._log = context.store, context.log

    async def deliver(self, notice: Notice) -> Delivery:
        """Write a line, once for each key: the core may try the same notice again."""
        if await self._store.put(f"sent/{notice.key}", b"", if_version=0) is None:
            return Delivery(delivered=True, detail="It was written before.")
        self._log.warning("notice for %s: %s %s", notice.recipient_address, notice.title, notice.link)
        return Delivery(delivered=True)


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin; its name is the entry point's."""
    return PluginInfo(name="log-notifier", title="Server log", version="1.0", kinds=("notifier",), enabled_by_default=True)


@hookimpl
def caisey_notifier(context: Context[NoSettings]) -> Notifier:
    """Make a tenant's notifier."""
    return LogNotifier(context)
