"""Members sign in with e-mail address and password. The subject of an account is its address in lower case."""

from caisey_hookspecs import Context, Identity, NoSettings, PluginInfo, hookimpl
from caisey_local_accounts.accounts import LocalAccounts


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="local-accounts", title="E-mail and password", version="0.1.0", kinds=("identity",), enabled_by_default=True
    )


@hookimpl
def caisey_identity(context: Context[NoSettings]) -> Identity:
    """Make a tenant's identity object."""
    return LocalAccounts(context.store, context.clock)
