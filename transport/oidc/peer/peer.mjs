// A certified OpenID provider for tests, on a free port. Arguments: the client's redirect address. It prints its issuer.
// The account that is typed is the subject; what stands after a + are its groups: "marie+managers".
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const redirect = process.argv[2];
const server = createServer();
await new Promise((yes) => server.listen(0, '127.0.0.1', yes));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: 'relais', client_secret: 'secret', redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'] }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'groups'] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => {
      const [name, ...groups] = id.split('+');
      return { sub: id, name: `Name of ${name}`, preferred_username: name, email: `${name}@clinique.example`, email_verified: name !== 'unverified', groups };
    },
  }),
});
server.on('request', provider.callback());
console.log(issuer);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
