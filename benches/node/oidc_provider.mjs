// A server of oidc-provider with an OTP grant on its adapter interface.
//
// POST /otp/send answers an otp_token and delivers a code of six digits; the grant redeems both for an access token that is
// a JWT, an ID token and a refresh token. It does less than the reference host: no quotas and no seals, and two requests at
// once could both use a code.

import { createPrivateKey, randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';

import Provider, { errors } from 'oidc-provider';

import { MemoryAdapter, redisAdapter } from './adapters.mjs';
import { clientId, clientSecret, deliver, equal, issuer, listen, options, users } from './peer.mjs';

const GRANT = 'urn:example:grant-type:otp';
const API = 'https://api.example.com';
const SCOPE = 'openid profile';
const GUESSES = 5;
const CODE_SECONDS = 300;
const DAY = 24 * 60 * 60;

const Adapter = options.redis ? redisAdapter(options.redis) : MemoryAdapter;
const challenges = new Adapter('Challenge');
const subjects = new Map(Array.from({ length: users }, (_, number) => [phone(number), `user-${number}`]));
const jwk = createPrivateKey(readFileSync(options.key)).export({ format: 'jwk' });

function phone(number) {
  return `+8615${String(number).padStart(9, '0')}`;
}

async function findAccount(_, accountId) {
  return { accountId, claims: async () => ({ sub: accountId }) };
}

const resourceServer = {
  scope: 'profile',
  accessTokenFormat: 'jwt',
  accessTokenTTL: 300,
  jwt: { sign: { alg: options.algorithm } },
};

const provider = new Provider(issuer, {
  adapter: Adapter,
  jwks: { keys: [{ ...jwk, use: 'sig', alg: options.algorithm, kid: 'key' }] },
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: [GRANT, 'refresh_token'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: options.algorithm,
  }],
  findAccount,
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      getResourceServerInfo: () => resourceServer,
      useGrantedResource: () => true,
    },
  },
  ttl: { AccessToken: 300, IdToken: 1800, RefreshToken: 14 * DAY, Grant: 14 * DAY },
});

provider.registerGrantType(GRANT, async (ctx) => {
  const { client, params } = ctx.oidc;
  const { Grant, AccessToken, RefreshToken, IdToken, ResourceServer } = provider;
  const accountId = await redeem(client.clientId, params);
  const account = await findAccount(ctx, accountId);
  ctx.oidc.entity('Account', account);

  const grant = new Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(SCOPE);
  grant.addResourceScope(API, 'profile');
  const grantId = await grant.save();
  ctx.oidc.entity('Grant', grant);

  const authTime = Math.floor(Date.now() / 1000);
  const about = { accountId, client, grantId, gty: GRANT };
  const accessToken = new AccessToken(about);
  accessToken.resourceServer = new ResourceServer(API, resourceServer);
  accessToken.scope = 'profile';
  ctx.oidc.entity('AccessToken', accessToken);
  const access_token = await accessToken.save();

  const amr = ['otp'];
  const refreshToken = new RefreshToken({ ...about, amr, authTime, resource: API, rotations: 0, scope: SCOPE });
  ctx.oidc.entity('RefreshToken', refreshToken);
  const refresh_token = await refreshToken.save();

  const idToken = new IdToken({ ...await account.claims(), amr, auth_time: authTime }, { ctx });
  idToken.scope = 'openid';
  const id_token = await idToken.issue({ use: 'idtoken' });

  ctx.body = { access_token, expires_in: accessToken.expiration, id_token, refresh_token, scope: SCOPE, token_type: 'Bearer' };
}, ['otp_token', 'otp', 'phone_number', 'scope']);

async function redeem(client, { otp_token: id, otp, phone_number: to }) {
  const challenge = typeof id === 'string' ? await challenges.find(id) : undefined;
  if (!challenge || challenge.client !== client || challenge.to !== to) throw new errors.InvalidGrant('no such code');
  if (challenge.guesses >= GUESSES) throw new errors.InvalidGrant('too many guesses');
  if (!equal(challenge.code, otp)) {
    await challenges.upsert(id, { ...challenge, guesses: challenge.guesses + 1 }, CODE_SECONDS);
    throw new errors.InvalidGrant('wrong code');
  }
  await challenges.destroy(id);
  return subjects.get(to);
}

async function send(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = JSON.parse(Buffer.concat(parts));
  const known = body.client_id === clientId && equal(body.client_secret, clientSecret) && subjects.has(body.phone_number);
  if (!known) {
    response.writeHead(400).end();
    return;
  }
  const id = randomBytes(32).toString('base64url');
  const code = String(randomInt(1_000_000)).padStart(6, '0');
  await challenges.upsert(id, { client: clientId, to: body.phone_number, code, guesses: 0 }, CODE_SECONDS);
  deliver(body.phone_number, code);
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify({ otp_token: id, expires_in: CODE_SECONDS }));
}

provider.on('server_error', (_, error) => console.error(error));

const callback = provider.callback();
listen((request, response) => (request.url === '/otp/send' ? send : callback)(request, response));
