// A certified OpenID provider with a test's people. Its settings are the JSON in the first argument.
import { Provider } from 'oidc-provider';

const { port, tenant, people, keys } = JSON.parse(process.argv[2]);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'caisey',
    client_secret: 'a secret + with % and : in it, long enough',
    redirect_uris: [`${tenant}/plugins/oidc/callback`],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: 'client_secret_basic',
    post_logout_redirect_uris: [`${tenant}/sign-in`],
    backchannel_logout_uri: `${tenant}/plugins/oidc/backchannel-logout`,
    backchannel_logout_session_required: true,
  }],
  jwks: { keys },
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: { openid: ['sub', 'sid'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  conformIdTokenClaims: false, // e-mail and groups are in the ID token, as companies' providers have them
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_, id) => people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id] }) },
  fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }), // loopback is refused otherwise
  cookies: { keys: ['test-only'] },
});
provider.on('backchannel.error', (_, error) => console.error('backchannel', error.cause ?? error));
provider.on('server_error', (_, error) => console.error(error));
provider.listen(port, '127.0.0.1');
