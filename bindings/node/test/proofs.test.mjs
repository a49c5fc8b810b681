// Tokens that are bound to a key, clients that prove theirs, and codes that only who asked can redeem. `jose` makes the
// proofs (RFC 9449) and the assertions (RFC 7523).

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { createServer, request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import {
  ArgumentError,
  ConfigurationError,
  MemoryDirectory,
  MemoryStore,
  prepareClient,
  RefusedError,
} from 'otp-grant';
import { Host, ISSUER, PHONE, SMS } from './support.mjs';

const API = 'https://api.example.com/orders';
const VERIFIER = 'a-verifier-that-is-long-enough-to-be-one-1234';
const ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'];

/** The holder of a key. */
class Prover {
  static async of(algorithm = 'ES256') {
    const prover = new Prover();
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    return Object.assign(prover, { algorithm, privateKey, jwk: await exportJWK(publicKey) });
  }

  sign(header, claims) {
    return new SignJWT(claims).setProtectedHeader({ ...header, alg: this.algorithm }).sign(this.privateKey);
  }

  proof(method, url, claims = {}) {
    const always = { jti: randomUUID(), htm: method, htu: url, iat: now() };
    return this.sign({ typ: 'dpop+jwt', jwk: this.jwk }, { ...always, ...claims });
  }

  to(path, claims) {
    return this.proof('POST', ISSUER + path, claims);
  }

  async assertion(changes = {}) {
    const claims = { iss: 'app', sub: 'app', aud: ISSUER, exp: now() + 60, jti: randomUUID(), ...changes };
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    return { client_assertion_type, client_assertion: await this.sign({}, claims) };
  }
}

const now = () => Math.floor(Date.now() / 1000);
const sha256 = (text) => createHash('sha256').update(text).digest('base64url');

/** A host with one client, and what that client asks. */
function hostOf(client, configuration = {}) {
  const directory = new MemoryDirectory()
    .addAuthSource({ id: 'sms', channel: 'sms' })
    .addClient({ id: 'app', authSources: ['sms'], ...client })
    .addUser({ subject: 'ada' }, [{ channel: 'sms', address: PHONE }]);
  const host = new Host({ directory, danger: { withoutSendQuotas: true }, ...configuration });
  const post = async (path, body, ...proofs) => {
    const headers = ['Content-Type', 'application/json', ...proofs.flatMap((proof) => ['DPoP', proof])];
    const reply = await host.server.handle({ method: 'POST', path, headers, body: JSON.stringify(body) });
    return { status: reply.status, headers: new Headers(reply.headers), json: JSON.parse(reply.body.toString()) };
  };
  const about = { client_id: 'app', auth_source_id: 'sms', phone_number: PHONE };
  return {
    host,
    server: host.server,
    post,
    send: (more, ...proofs) => post('/otp/send', { ...about, ...more }, ...proofs),
    redeem: (sent, more, ...proofs) => {
      const { otp_token } = sent.json;
      const otp = host.codeFor(PHONE);
      return post('/oauth2/token', { ...about, grant_type: SMS, otp_token, otp, ...more }, ...proofs);
    },
    refresh: (refresh_token, ...proofs) =>
      post('/oauth2/token', { client_id: 'app', grant_type: 'refresh_token', refresh_token }, ...proofs),
  };
}

const publicClient = (more) => ({ public: true, maySend: true, ...more });

function isRefused(reply, status, error) {
  assert.deepEqual([reply.status, reply.json.error], [status, error], JSON.stringify(reply.json));
}

async function logIn(host, prover) {
  const sent = await host.send({}, await prover.to('/otp/send'));
  const { status, json } = await host.redeem(sent, {}, await prover.to('/oauth2/token'));
  assert.equal(status, 200, JSON.stringify(json));
  return json;
}

function presented(token, proofs, scheme = 'DPoP') {
  const headers = ['Authorization', `${scheme} ${token}`, ...proofs.flatMap((proof) => ['DPoP', proof])];
  return { method: 'GET', externalUrl: API, headers };
}

for (const algorithm of ALGORITHMS) {
  test(`a login is bound to the key of its proofs (${algorithm})`, async () => {
    const host = hostOf(publicClient({ dpop: 'required' }), { dpop: 'on' });
    const [prover, thief] = [await Prover.of(algorithm), await Prover.of()];
    isRefused(await host.send({}), 400, 'invalid_dpop_proof');
    const sent = await host.send({}, await prover.to('/otp/send'));
    const proof = await prover.to('/oauth2/token');
    isRefused(await host.redeem(sent, {}), 400, 'invalid_dpop_proof');
    isRefused(await host.redeem(sent, {}, proof, proof), 400, 'invalid_dpop_proof');
    isRefused(await host.redeem(sent, {}, await prover.to('/otp/send')), 400, 'invalid_dpop_proof');
    isRefused(await host.redeem(sent, {}, await thief.to('/oauth2/token')), 400, 'invalid_grant');
    const { json } = await host.redeem(sent, {}, proof);
    assert.equal(json.token_type, 'DPoP');

    isRefused(await host.refresh(json.refresh_token, proof), 400, 'invalid_dpop_proof');
    isRefused(await host.refresh(json.refresh_token, await thief.to('/oauth2/token')), 400, 'invalid_grant');
    const refreshed = await host.refresh(json.refresh_token, await prover.to('/oauth2/token'));
    assert.equal(refreshed.json.token_type, 'DPoP');
    const kinds = host.host.events.map(({ kind }) => kind);
    assert.deepEqual(kinds, ['sent', 'logged_in', 'proof_replayed', 'key_not_proven', 'refreshed']);
  });

  test(`a client with keys signs assertions (${algorithm})`, async () => {
    const [prover, thief] = [await Prover.of(algorithm), await Prover.of(algorithm)];
    const client = { keys: [{ ...prover.jwk, alg: algorithm }] };
    const host = hostOf(client, { clientAssertions: true });
    for (const wrong of [
      {},
      await thief.assertion(),
      await prover.assertion({ iss: 'other' }),
      await prover.assertion({ iss: 'other', sub: 'other' }),
      await prover.assertion({ aud: `${ISSUER}/oauth2/token` }),
      await prover.assertion({ exp: now() - 60 }),
      { ...(await prover.assertion()), client_assertion: 'garbage' },
    ]) {
      isRefused(await host.send(wrong), 401, 'invalid_client');
    }
    const sent = await host.send(await prover.assertion());
    const used = await prover.assertion();
    assert.equal((await host.redeem(sent, used)).status, 200);
    isRefused(await host.send(used), 401, 'invalid_client');
    isRefused(await hostOf(client).send(await prover.assertion()), 401, 'invalid_client');
  });
}

test('a proof or an assertion that fifty requests have is good once', async () => {
  // A store that answers later, so that the requests interleave.
  const inMemory = new MemoryStore();
  const store = {
    load: async (key) => (await sleep(Math.random() * 3), inMemory.load(key)),
    swap: async (key, expected, next) => (await sleep(Math.random() * 3), inMemory.swap(key, expected, next)),
  };
  const times = (call) => Promise.all(Array.from({ length: 50 }, call));
  const prover = await Prover.of();
  let host = hostOf(publicClient({ dpop: 'required' }), { dpop: 'on', store });
  const sent = await host.send({}, await prover.to('/otp/send'));
  let proof = await prover.to('/oauth2/token');
  const logins = await times(() => host.redeem(sent, {}, proof));
  const tokens = logins.filter(({ status }) => status === 200);
  assert.equal(tokens.length, 1);
  for (const { status, json } of logins) {
    assert(status === 200 || ['invalid_dpop_proof', 'invalid_grant'].includes(json.error), json.error);
  }
  proof = await prover.to('/oauth2/token');
  const refreshes = await times(() => host.refresh(tokens[0].json.refresh_token, proof));
  // One refresh, and its repetitions within the retry window.
  assert(refreshes.every(({ status }) => status === 200));
  assert.equal(new Set(refreshes.map(({ json }) => json.refresh_token)).size, 1);

  host = hostOf({ keys: [prover.jwk] }, { clientAssertions: true, store });
  const used = await prover.assertion();
  const sends = await times(() => host.send(used));
  assert.deepEqual(sends.map(({ status }) => status).sort(), [200, ...Array(49).fill(401)]);
});

test('a nonce comes in a header', async () => {
  const host = hostOf(publicClient({ dpop: 'required_with_nonce' }), { dpop: 'on' });
  const prover = await Prover.of();
  let reply = await host.send({}, await prover.to('/otp/send'));
  isRefused(reply, 400, 'use_dpop_nonce');
  const next = () => ({ nonce: reply.headers.get('dpop-nonce') });
  reply = await host.send({}, await prover.to('/otp/send', next()));
  reply = await host.redeem(reply, {}, await prover.to('/oauth2/token', next()));
  assert.equal(reply.status, 200);
  const token = reply.json.access_token;
  const without = await prover.proof('GET', API, { ath: sha256(token) });
  const refused = await host.server.checkAccessToken(presented(token, [without])).catch((error) => error);
  assert.equal(refused.code, 'use_dpop_nonce');
  const headers = new Headers(refused.reply.headers);
  assert.match(headers.get('www-authenticate'), /^DPoP error="use_dpop_nonce"/);
  const proof = await prover.proof('GET', API, { ath: sha256(token), nonce: headers.get('dpop-nonce') });
  assert.equal((await host.server.checkAccessToken(presented(token, [proof]))).subject, 'ada');
});

describe('an API', () => {
  for (const check of ['checkAccessToken', 'verifyAccessToken']) {
    test(`accepts a bound token with its proof alone (${check})`, async () => {
      const host = hostOf(publicClient({ dpop: 'accepted' }), { dpop: 'on' });
      const [prover, thief] = [await Prover.of(), await Prover.of()];
      const token = (await logIn(host, prover)).access_token;
      const of = (prover, claims, url = API, method = 'GET') =>
        prover.proof(method, url, { ath: sha256(token), ...claims });
      const good = await of(prover);
      const claims = await host.server[check](presented(token, [good]), { client: 'app', scope: 'openid' });
      assert.deepEqual([claims.subject, claims.key], ['ada', await calculateJwkThumbprint(prover.jwk)]);
      const isPresented = { method: 'GET', externalUrl: new URL(API), headers: [] };
      for (const [given, code] of [
        [token, 'key_bound'],
        [presented(token, [good], 'Bearer'), 'key_bound'],
        [presented(token, []), 'invalid_dpop_proof'],
        [presented(token, [good, good]), 'invalid_dpop_proof'],
        [presented(token, [await of(thief)]), 'invalid_dpop_proof'],
        [presented(token, [await of(prover, { ath: undefined })]), 'invalid_dpop_proof'],
        [presented(token, [await of(prover, {}, `${API}/1`)]), 'invalid_dpop_proof'],
        [presented(token, [await of(prover, {}, API, 'POST')]), 'invalid_dpop_proof'],
        [presented(token, [await of(prover, { iat: now() - 90 })]), 'invalid_dpop_proof'],
        [presented('garbage', [good]), 'invalid_token'],
        [isPresented, 'no_token'],
      ]) {
        const refused = await (async () => host.server[check](given))().catch((error) => error);
        assert(refused instanceof RefusedError, String(refused));
        assert.deepEqual([refused.code, refused.reply.status], [code, 401]);
        assert.match(new Headers(refused.reply.headers).get('www-authenticate'), /DPoP/);
      }
      // A request of the Fetch API has no such member. Its URL comes from the header `Host`.
      const fetched = new Request(API, { headers: { Authorization: `DPoP ${token}`, DPoP: good } });
      for (const given of [fetched, { ...presented(token, [good]), externalUrl: '/orders' }]) {
        const thrown = await (async () => host.server[check](given))().catch((error) => error);
        assert(thrown instanceof ArgumentError, String(thrown));
        assert.equal(thrown.argument, 'externalUrl');
      }
      const { headers } = fetched;
      assert.equal((await host.server[check]({ method: 'GET', externalUrl: API, headers })).subject, 'ada');
    });
  }

  test('accepts a proof once where the server is strict', async () => {
    const host = hostOf(publicClient({ dpop: 'required' }), { dpop: 'strict' });
    const prover = await Prover.of();
    const token = (await logIn(host, prover)).access_token;
    const given = presented(token, [await prover.proof('GET', API, { ath: sha256(token) })]);
    await host.server.checkAccessToken(given);
    await assert.rejects(host.server.checkAccessToken(given), { code: 'invalid_dpop_proof' });
  });
});

test('the middleware passes on a header that is repeated', async () => {
  const host = hostOf(publicClient({ dpop: 'required' }), { dpop: 'on' });
  const listener = createServer(host.server.middleware).listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  try {
    const { port } = listener.address();
    const body = JSON.stringify({ client_id: 'app', auth_source_id: 'sms', phone_number: PHONE });
    const send = (proofs) =>
      new Promise((resolve, reject) => {
        const headers = { 'Content-Type': 'application/json', DPoP: proofs };
        const options = { port, host: '127.0.0.1', method: 'POST', path: '/otp/send', headers };
        httpRequest(options, (reply) => resolve(reply.resume().statusCode)).on('error', reject).end(body);
      });
    const proof = await (await Prover.of()).to('/otp/send');
    assert.equal(await send([proof, proof]), 400);
    assert.equal(await send([proof]), 200);
  } finally {
    listener.close();
    listener.closeAllConnections();
  }
});

test('who redeems a code is who asked', async () => {
  const host = hostOf(publicClient({ codeChallengeRequired: true }));
  isRefused(await host.send({}), 400, 'invalid_request');
  const sent = await host.send({ code_challenge: sha256(VERIFIER), code_challenge_method: 'S256' });
  isRefused(await host.redeem(sent, {}), 400, 'invalid_grant');
  isRefused(await host.redeem(sent, { code_verifier: `another-${VERIFIER}` }), 400, 'invalid_grant');
  assert.equal((await host.redeem(sent, { code_verifier: VERIFIER })).status, 200);
});

test('a code of another usage needs verifier and key', async () => {
  const host = hostOf(publicClient({ dpop: 'accepted' }), { dpop: 'on' });
  const [prover, thief] = [await Prover.of(), await Prover.of()];
  const asked = { client_id: 'app', usage: 'reset_password', phone_number: PHONE };
  const challenge = { code_challenge: sha256(VERIFIER), code_challenge_method: 'S256' };
  const sent = await host.post('/otp/send', { ...asked, ...challenge }, await prover.to('/otp/send'));
  const given = {
    client: 'app',
    usage: 'reset_password',
    channel: 'sms',
    address: PHONE,
    otpToken: sent.json.otp_token,
    otp: host.host.codeFor(PHONE),
  };
  const proof = async (prover, url = API) => {
    return { method: 'POST', externalUrl: API, headers: { DPoP: await prover.proof('POST', url) } };
  };
  const codeVerifier = VERIFIER;
  for (const [wrong, code] of [
    [{}, 'unknown_otp_token'],
    [{ codeVerifier }, 'unknown_otp_token'],
    [{ proof: await proof(prover) }, 'unknown_otp_token'],
    [{ codeVerifier: `another-${VERIFIER}`, proof: await proof(prover) }, 'unknown_otp_token'],
    [{ codeVerifier, proof: await proof(thief) }, 'unknown_otp_token'],
    [{ codeVerifier, proof: await proof(prover, 'https://evil.example/') }, 'invalid_dpop_proof'],
    [{ codeVerifier, proof: { ...(await proof(prover)), headers: [] } }, 'invalid_dpop_proof'],
  ]) {
    await assert.rejects(host.server.verify({ ...given, ...wrong }), { name: 'RefusedError', code });
  }
  const hostless = { ...(await proof(prover)), externalUrl: '' };
  await assert.rejects(host.server.verify({ ...given, proof: hostless }), ArgumentError);
  const verified = await host.server.verify({ ...given, codeVerifier, proof: await proof(prover) });
  assert.equal(verified.usage, 'reset_password');
});

test('a client has one kind of credentials, and a method that fits', async () => {
  const { jwk } = await Prover.of();
  // Members of a JWK keep their names.
  const named = { ...jwk, key_ops: ['verify'], kid: 'next' };
  prepareClient({ id: 'app', keys: [jwk, named], authMethod: 'private_key_jwt' });
  prepareClient({ id: 'app', secret: 's', authMethod: 'client_secret_post' });
  prepareClient({ id: 'app', public: true, authMethod: 'none', dpop: 'required_with_nonce' });
  for (const [client, place] of [
    [{ keys: [jwk], secret: 's' }, ''],
    [{ keys: [] }, 'keys'],
    [{ keys: [jwk, {}] }, 'keys[1]'],
    [{ keys: [jwk], authMethod: 'client_secret_basic' }, 'authMethod'],
    [{ public: true, authMethod: 'client_secret_post' }, 'authMethod'],
    [{ public: true, dpop: 'on' }, 'dpop'],
    [{ public: true, codeChallengeRequired: 'yes' }, 'codeChallengeRequired'],
  ]) {
    assert.throws(
      () => prepareClient({ id: 'app', ...client }),
      (error) => error instanceof ConfigurationError && error.place === place,
      JSON.stringify(client),
    );
  }
  assert.throws(() => new Host({ dpop: 'required' }), { name: 'ConfigurationError', place: 'dpop' });
});
