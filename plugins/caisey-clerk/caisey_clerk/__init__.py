"""Sign-in with Clerk: one organization there is one company here, its session tokens open the API, its webhooks end sign-ins."""

from caisey_clerk.settings import Settings, hosts_of
from caisey_clerk.sign_in import ClerkSignIn
from caisey_hookspecs import Context, Identity, PluginInfo, hookimpl


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="clerk",
        title="Clerk",
        version="0.1.0",
        kinds=("identity",),
        settings=Settings,
        hosts_from=hosts_of,
        documentation="https://clerk.com/docs/organizations/overview",
    )


@hookimpl
def caisey_identity(context: Context[Settings]) -> Identity:
    """Make a tenant's identity object."""
    return ClerkSignIn(context)
