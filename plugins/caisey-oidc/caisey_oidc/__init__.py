"""Sign-in at a company's own identity provider: Microsoft Entra ID, Google, Okta, Keycloak, or any other by OpenID Connect."""

from caisey_hookspecs import Context, Identity, PluginInfo, hookimpl
from caisey_oidc.presets import hosts_of
from caisey_oidc.settings import Settings
from caisey_oidc.sign_in import CompanySignIn


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="oidc",
        title="Company sign-in (OpenID Connect)",
        version="0.1.0",
        kinds=("identity",),
        settings=Settings,
        hosts_from=hosts_of,
    )


@hookimpl
def caisey_identity(context: Context[Settings]) -> Identity:
    """Make a tenant's identity object."""
    return CompanySignIn(context)
