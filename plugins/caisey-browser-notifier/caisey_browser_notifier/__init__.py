"""Notices in the recipient's open pages, and outside them where the browser was allowed to show them."""

from caisey_hookspecs import Context, Delivery, InPage, NoSettings, Notice, Notifier, PluginInfo, hookimpl


class BrowserNotifier(Notifier):
    """Hands each notice back as a card: the core keeps it until it is read, so one key reaches a person once."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Return the card."""
        return Delivery(delivered=True, in_page=InPage(title=notice.title, text=notice.text, link=notice.link, desktop=True))


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(name="browser-notifier", title="Browser", version="0.1.0", kinds=("notifier",), enabled_by_default=True)


@hookimpl
def caisey_notifier(context: Context[NoSettings]) -> Notifier:
    """Make a tenant's notifier."""
    return BrowserNotifier()
