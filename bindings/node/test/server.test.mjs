// A server over its ports: replies, errors by who is at fault, events, and ports that misbehave.

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign as signWith } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  ArgumentError,
  bearerToken,
  ConfigurationError,
  MemoryDirectory,
  MemoryStore,
  OtpGrantError,
  RefusedError,
  Reply,
  Server,
  UnavailableError,
} from 'otp-grant';
import { CLIENT, directory, Host, ISSUER, PHONE, wrong } from './support.mjs';

describe('a login', () => {
  test('gives tokens once, and counts wrong codes', async () => {
    const host = new Host();
    const sent = await host.send();
    assert.equal(sent.status, 200);
    const [{ validFor, ...delivery }] = host.outbox;
    assert.deepEqual(delivery, {
      channel: 'sms', address: PHONE, code: host.codeFor(), usage: 'login', client: 'web', authSource: 'sms',
      attempt: 1,
    });
    // In whole seconds of the 3 minutes. The first one can have begun before the message is handed over.
    assert.ok([179, 180].includes(validFor), validFor);
    assert.equal(host.outbox.length, 1);
    const refused = await host.redeem(sent.json.otp_token, wrong(host.codeFor()));
    assert.deepEqual([refused.status, refused.json.attempts_remaining], [400, 4]);
    const tokens = await host.redeem(sent.json.otp_token, host.codeFor());
    assert.equal(tokens.status, 200);
    assert.equal(tokens.json.scope, 'openid');
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 400);
    assert.deepEqual(host.events.map(({ kind }) => kind), ['sent', 'wrong_code', 'logged_in', 'exhausted']);
    assert.equal(host.events[2].subject, 'user-4711');
    assert.deepEqual(host.portErrors, []);
  });

  test('gives replies whose memory has nothing of others in it', async () => {
    const host = new Host();
    await host.logIn();
    const { body } = (await host.send()).reply;
    assert.equal(body.buffer.byteLength, body.byteLength);
  });

  test('goes on with a refresh, and ends with a sign-out', async () => {
    const host = new Host();
    const first = await host.logIn();
    const second = await host.refresh(first.refresh_token);
    assert.equal(second.status, 200);
    const claims = await host.server.checkAccessToken(second.json.access_token);
    assert.equal((await host.revoke(second.json.refresh_token)).status, 200);
    assert.equal((await host.refresh(second.json.refresh_token)).status, 400);
    await assert.rejects(host.server.checkAccessToken(second.json.access_token), { code: 'revoked' });
    // Offline, a sign-out is not noticed.
    assert.deepEqual(host.server.verifyAccessToken(second.json.access_token), claims);
  });

  test('signs a user up where the request and the directory allow it', async () => {
    const host = new Host();
    const phone = '+8613699999999';
    const sent = await host.send(phone);
    const code = host.codeFor(phone);
    assert.equal((await host.redeem(sent.json.otp_token, code, { phone })).json.error_description, 'User not found');
    assert.equal((await host.redeem(sent.json.otp_token, code, { phone, auto_signup: true })).status, 200);
    assert.equal(typeof host.directory.userByAddress({ channel: 'sms', address: phone }).subject, 'string');

    const refusing = new Host({ directory: withMethods(directory(), { signUp: () => null }) });
    const other = await refusing.send(phone);
    const reply = await refusing.redeem(other.json.otp_token, refusing.codeFor(phone), { phone, auto_signup: true });
    assert.equal(reply.json.error_description, 'User not found');
  });

  test('is refused for a user who is locked, and ends for one who is signed out everywhere', async () => {
    const host = new Host();
    const tokens = await host.logIn();
    host.clock.advance(10_000);
    for (const tokensValidAfter of [new Date(host.clock.now()), host.clock.now()]) {
      host.directory.addUser({ subject: 'user-4711', tokensValidAfter });
      await assert.rejects(host.server.checkAccessToken(tokens.access_token), { code: 'revoked' });
    }
    host.directory.addUser({ subject: 'user-4711', status: 'locked' });
    host.clock.advance(30_000);
    const sent = await host.send();
    const { json } = await host.redeem(sent.json.otp_token, host.codeFor());
    assert.equal(json.error_description, 'Abnormal user status');
  });

  test('has the scope and the claims that the directory grants', async () => {
    const asked = [];
    const host = new Host({
      directory: withMethods(directory(), {
        grantedScope: (...parts) => (asked.push(parts), 'openid profile'),
        accessTokenClaims: async (subject, client, scope) => ({ tenant: 'acme', seen: [subject, client, scope] }),
      }),
    });
    const tokens = await host.logIn(PHONE, { scope: 'openid profile email' });
    assert.equal(tokens.scope, 'openid profile');
    assert.deepEqual(asked[0], [{ subject: 'user-4711', status: 'active' }, 'web', 'openid profile email']);
    const { custom } = await host.server.checkAccessToken(tokens.access_token);
    assert.deepEqual(custom, { tenant: 'acme', seen: ['user-4711', 'web', 'openid profile'] });
    const headers = { Authorization: `Bearer ${tokens.access_token}` };
    const claims = await host.server.handle({ method: 'GET', path: '/userinfo?x=y', headers });
    assert.deepEqual(JSON.parse(claims.body), { sub: 'user-4711', name: 'Ada', tenant: 'acme' });
  });

  test('may be granted nothing', async () => {
    const host = new Host({ directory: withMethods(directory(), { grantedScope: () => null }) });
    const sent = await host.send();
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).json.error, 'invalid_scope');
  });
});

describe('a request', () => {
  test('to a path that is no endpoint is the host\'s own', async () => {
    const { server } = new Host();
    assert.equal(await server.handle({ method: 'GET', path: '/elsewhere', headers: [] }), undefined);
    assert.equal((await server.handle({ method: 'GET', path: '/oauth2/token', headers: [] })).status, 405);
  });

  test('has its headers in three forms', async () => {
    const host = new Host();
    const { access_token } = await host.logIn();
    const value = `Bearer ${access_token}`;
    const userinfo = async (headers) => (await host.server.handle({ method: 'GET', path: '/userinfo', headers })).status;
    for (const headers of [['Authorization', value], new Headers({ authorization: value }), { authorization: [value] }]) {
      assert.equal(await userinfo(headers), 200);
    }
    assert.equal(await userinfo(['Authorization', value, 'authorization', value]), 400);
    assert.equal(await userinfo({ authorization: [value, value] }), 400);
    assert.equal(await userinfo({ authorization: undefined }), 400);
    assert.equal(await userinfo([]), 400);
    assert.equal(await userinfo({ authorization: 'Bearer \u00e9\u4e00' }), 400);
  });

  test('has its access token in one header', () => {
    for (const headers of [
      ['Host', 'authorization', 'AUTHORIZATION', 'bearer  a.b-c'],
      new Headers({ authorization: 'Bearer a.b-c' }),
      { authorization: ['Bearer a.b-c'] },
    ]) {
      assert.equal(bearerToken(headers), 'a.b-c');
    }
    for (const headers of [
      [],
      ['Authorization'],
      ['X', 'Authorization', 'Y', 'Bearer a'],
      ['Authorization', 'Bearer a', 'authorization', 'Bearer a'],
      ['Authorization', 'Basic YTpi', 'Authorization', 'Bearer a'],
      new Headers([['authorization', 'Bearer a'], ['authorization', 'Bearer b']]),
      { authorization: ['Bearer a', 'Bearer b'] },
      { authorization: undefined },
    ]) {
      assert.equal(bearerToken(headers), '', JSON.stringify(headers));
    }
    for (const value of ['', 'a', 'Bearer', 'Bearer ', 'Bearera', 'Basic YTpi', 'Bearer a b', 'Bearer \u00e9']) {
      assert.equal(bearerToken(['Authorization', value]), '', value);
    }
  });

  test('has a reply for node:http and for the Fetch API', async () => {
    const { server } = new Host();
    const reply = await server.handle({ method: 'GET', path: '/oauth2/jwks', headers: [] });
    assert(reply instanceof Reply);
    const response = reply.toResponse();
    assert.equal(response.headers.get('cache-control'), 'public, max-age=300');
    assert.deepEqual(await response.json(), server.keySet);
  });
});

describe('the middleware', () => {
  test('answers endpoints, and passes other paths on', async () => {
    const { url, close } = await listening(new Host().server);
    assert.equal((await fetch(`${url}/oauth2/jwks`)).status, 200);
    assert.equal((await fetch(`${url}/elsewhere`)).status, 404);
    await close();
  });

  test('refuses a body that is too long, and one that is cut short', async () => {
    const host = new Host();
    const { url, close } = await listening(host.server);
    const long = await fetch(`${url}/otp/send`, { method: 'POST', body: ' '.repeat(1_000_000) }).catch(() => undefined);
    // The connection may end while the client still sends.
    assert([400, undefined].includes(long?.status));
    const { port } = new URL(url);
    const answer = await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1');
      let text = '';
      socket.on('data', (data) => (text += data)).on('close', () => resolve(text));
      socket.end('POST /otp/send HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{}');
    });
    assert.match(answer, /^(HTTP\/1.1 400|$)/);
    assert.deepEqual(host.outbox, []);
    await close();
  });
});

test('the middleware reads a body as long as the configuration allows', async () => {
  const host = new Host({ limits: { body: 200_000 } });
  const { url, close } = await listening(host.server);
  const body = JSON.stringify({ ...CLIENT, auth_source_id: 'sms', phone_number: PHONE });
  const send = (length) =>
    fetch(`${url}/otp/send`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: body.padStart(length),
    });
  assert.equal((await send(200_000)).status, 200);
  assert.equal((await send(200_001)).status, 400);
  await close();
});

describe('errors say who is at fault', () => {
  test('the configuration', () => {
    const base = { issuer: ISSUER, keys: { generate: true }, signing: { active: { generate: 'ES256' } } };
    const ports = { store: new MemoryStore(), directory: directory(), deliver: () => {} };
    const place = (configuration) => {
      try {
        new Server({ ...base, ...configuration, ...ports });
      } catch (error) {
        assert(error instanceof ConfigurationError && error instanceof OtpGrantError);
        assert.equal(error.name, 'ConfigurationError');
        assert(!error.message.includes('hunter2'), error.message);
        return error.place;
      }
      assert.fail('it is accepted');
    };
    assert.equal(place({ issuer: 'no URL' }), 'issuer');
    assert.equal(place({ keys: { index: 'hunter2', sealing: 'hunter2' } }), 'keys.index');
    assert.equal(place({ signing: { active: 'hunter2' } }), 'signing.active');
    assert.equal(place({ signing: { active: { external: {} } } }), 'signing.active.sign');
    assert.equal(place({ quotas: { guessesPerCode: 'hunter2' } }), 'quotas.guessesPerCode');
    assert.equal(place({ quotas: { sends: [{ count: 1, per: 'hunter2' }] } }), 'quotas.sends[0].per');
    assert.equal(place({ quotas: { guesses_per_code: 5 } }), 'quotas.guesses_per_code');
    const identity = { phoneNumber: '+8613600000001', code: '246810', clients: ['web'], endsAt: new Date() };
    const identities = (change) => place({ testIdentities: [{ ...identity, ...change }] });
    assert.equal(place({ sendGuard: { countries: { allow: ['+1'] } } }), 'sendGuard.countries.allow[0]');
    assert.equal(place({ sendGuard: { thresholds: { emailDomain: { perDay: 3, perHour: 4 } } } }),
      'sendGuard.thresholds.emailDomain.perHour');
    assert.equal(place({ sendGuard: { shards: 1025 } }), 'sendGuard');
    assert.equal(place({ devices: true }), 'devices');
    assert.equal(place({ devices: { guesses: { count: 26, per: '24h' } } }), 'devices');
    assert.equal(identities({ clients: [] }), 'testIdentities[0].clients');
    assert.equal(identities({ endsAt: new Date(NaN) }), 'testIdentities[0].endsAt');
    assert.equal(identities({ email: 'a@example.com' }), 'testIdentities[0]');
    assert.equal(identities({ endsAt: Date.now() + 91 * 24 * 60 * 60 * 1000 }), 'testIdentities');
    assert.match(place({ unknown: true }), /^(unknown)?$/);
  });

  test('a client or an auth source of the configuration', () => {
    const of = (add) => assert.throws(add, ConfigurationError);
    of(() => new MemoryDirectory().addClient({ id: 'web' }));
    of(() => new MemoryDirectory().addClient({ id: 'web', secret: 'x', may_send: true }));
    of(() => new MemoryDirectory().addClient({ id: 'web', public: true, retryWindow: 'soon' }));
    of(() => new MemoryDirectory().addAuthSource({ id: 'sms', channel: 'pigeon' }));
  });

  test('the calling code', async () => {
    const { server } = new Host();
    assert.throws(() => server.normaliseAddress('sms', 'no number'), ArgumentError);
    assert.throws(() => server.verifyAccessToken('x', { scope: 'a"b' }), { code: 'argument', argument: 'scope' });
    const request = { method: 'POST', path: '/otp/send', headers: [] };
    await assert.rejects(server.handle({ ...request, verdict: 'maybe' }), { code: 'argument', argument: 'verdict' });
    for (const verb of ['explain', 'unlock', 'forgetDevices']) {
      await assert.rejects(server[verb]({ channel: 'sms', address: 'x' }), { code: 'argument', argument: 'address' });
      await assert.rejects(server[verb]({ channel: 'fax', address: PHONE }), { code: 'argument', argument: 'channel' });
    }
  });

  test('the client', async () => {
    const { server } = new Host();
    for (const check of [() => server.checkAccessToken(''), async () => server.verifyAccessToken('x')]) {
      await assert.rejects(check, (error) => {
        assert(error instanceof RefusedError);
        assert.equal(error.code, 'invalid_token');
        assert.equal(error.reply.status, 401);
        return true;
      });
    }
  });

  test('a port, which can be asked again', async () => {
    let isDown = false;
    const store = new MemoryStore();
    const broken = new Error('the disk is on fire');
    const host = new Host({
      store: {
        load: (key) => (isDown ? Promise.reject(broken) : store.load(key)),
        swap: (...parts) => store.swap(...parts),
      },
    });
    const tokens = await host.logIn();
    isDown = true;
    await assert.rejects(host.server.checkAccessToken(tokens.access_token), (error) => {
      assert(error instanceof UnavailableError);
      assert.equal(error.reply.status, 503);
      return true;
    });
    assert.deepEqual(host.portErrors.map(({ question, error }) => [question, error]), [['load', broken]]);
    assert.deepEqual(host.events.at(-1), { kind: 'store_failed', error: 'the disk is on fire' });
    isDown = false;
    await host.server.checkAccessToken(tokens.access_token);
  });

  test('secrets that other hosts do not have', async () => {
    const store = new MemoryStore();
    assert.equal(await new Host({ store }).server.checkKeyring(), 'agrees');
    await assert.rejects(new Host({ store }).server.checkKeyring(), (error) => {
      assert(error instanceof ConfigurationError);
      assert.equal(error.code, 'other_index_secret');
      return true;
    });
  });
});

describe('a port that returns what is no answer has failed', () => {
  const bad = { load: [7, 'text', Buffer.from('no record'), {}], swap: [undefined, null, 1, 'true'] };
  for (const [method, answers] of Object.entries(bad)) {
    for (const answer of answers) {
      test(`${method}: ${JSON.stringify(answer)}`, async () => {
        const inner = new MemoryStore();
        const store = { load: (key) => inner.load(key), swap: (...parts) => inner.swap(...parts), [method]: () => answer };
        const host = new Host({ store });
        assert.equal((await host.send()).status, 503);
        assert.equal(host.portErrors[0].question, method);
      });
    }
  }

  const methods = {
    client: [7, 'web', [], { id: 'other', secret: 'x' }, { id: 'web', secret: 'x', password: 'y' }],
    authSource: [true, { id: 'sms', channel: 'pigeon' }],
    userByAddress: [
      7,
      {},
      { subject: 4711 },
      { subject: 'u', status: 'happy' },
      { subject: 'u', status: null },
      ...['soon', '', false, []].map((tokensValidAfter) => ({ subject: 'u', tokensValidAfter })),
      ...['true', 1, {}].map((isTest) => ({ subject: 'u', isTest })),
    ],
  };
  for (const [method, answers] of Object.entries(methods)) {
    for (const answer of answers) {
      test(`${method}: ${JSON.stringify(answer)}`, async () => {
        const host = new Host();
        const sent = await host.send();
        host.directory[method] = () => answer;
        assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 503);
        assert.equal(host.portErrors[0].question, method);
        delete host.directory[method];
        assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 200);
      });
    }
  }
});

describe('a port that throws', () => {
  const thrown = { nothing: undefined, 'an object without a text': Object.create(null) };
  thrown['an error whose message is no text'] = Object.assign(new Error(), { message: { a: 1 } });
  for (const [name, error] of Object.entries(thrown)) {
    test(`${name} has failed`, async () => {
      const load = () => {
        throw error;
      };
      const host = new Host({ store: { load, swap: () => true } });
      assert.equal((await host.send()).status, 503);
      assert.deepEqual(host.portErrors, [{ error, question: 'load' }]);
      assert.equal(host.events.at(-1).kind, 'store_failed');
    });
  }
});

describe('a delivery', () => {
  for (const [failure, error] of [
    ['address_refused', 'invalid_phone_number'],
    ['insufficient_quota', 'insufficient_sms_quota'],
    ['undeliverable', 'temporarily_unavailable'],
  ]) {
    test(`can fail: ${failure}`, async () => {
      const host = new Host({ deliver: async () => failure });
      assert.equal((await host.send()).json.error, error);
    });
  }

  test('that throws is taken back', async () => {
    let isDown = true;
    const codes = [];
    const host = new Host({
      deliver: ({ code }) => {
        if (isDown) throw new Error('no provider');
        codes.push(code);
      },
    });
    assert.equal((await host.send()).status, 503);
    assert.equal(host.portErrors[0].question, 'deliver');
    isDown = false;
    const sent = await host.send();
    assert.equal((await host.redeem(sent.json.otp_token, codes[0])).status, 200);
  });

  test('fails with what is no failure', async () => {
    const host = new Host({ deliver: () => 'lost' });
    assert.equal((await host.send()).status, 503);
  });
});

test('a code of another usage is redeemed by the host', async () => {
  const host = new Host({ usages: ['confirm_payment'] });
  const send = (usage) => host.post('/otp/send', { ...CLIENT, usage, phone_number: PHONE });
  const sent = await send('confirm_payment');
  const about = { client: 'web', usage: 'confirm_payment', channel: 'sms', address: PHONE, otpToken: sent.json.otp_token };
  await assert.rejects(host.server.verify({ ...about, otp: wrong(host.codeFor()) }), (error) => {
    assert(error instanceof RefusedError);
    assert.deepEqual([error.code, error.attemptsRemaining], ['unknown_otp', 4]);
    return true;
  });
  await assert.rejects(host.server.verify({ ...about, usage: 'signup', otp: host.codeFor() }), {
    code: 'mismatched_otp_token',
  });
  const verified = await host.server.verify({ ...about, otp: host.codeFor() });
  assert.deepEqual({ ...verified, verifiedAt: undefined },
    { channel: 'sms', address: PHONE, usage: 'confirm_payment', verifiedAt: undefined });
  assert(Math.abs(verified.verifiedAt - Date.now()) < 5000);
  await assert.rejects(host.server.verify({ ...about, otp: host.codeFor() }), { code: 'unknown_otp_token' });
});

test('a session is ended by its name', async () => {
  const host = new Host();
  const tokens = await host.logIn();
  const { session } = await host.server.checkAccessToken(tokens.access_token, { client: 'web', scope: 'openid' });
  await host.server.revokeSession(session);
  await host.server.revokeSession(session);
  assert.equal((await host.refresh(tokens.refresh_token)).status, 400);
  await assert.rejects(host.server.revokeSession('no session'), ArgumentError);
  await assert.rejects(host.server.checkAccessToken(tokens.access_token, { scope: 'profile' }), RefusedError);
});

describe('an external key', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const external = publicKey.export({ format: 'jwk' });

  test('signs with the function of the host', async () => {
    const asked = [];
    const sign = async (message, key) => {
      asked.push(key);
      return signWith('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    };
    const host = new Host({ signing: { active: { external, sign }, keyId: 'hsm-1' } });
    const tokens = await host.logIn();
    assert.deepEqual(asked, [{ algorithm: 'ES256', keyId: 'hsm-1' }, { algorithm: 'ES256', keyId: 'hsm-1' }]);
    assert.equal(host.server.verifyAccessToken(tokens.access_token).subject, 'user-4711');
  });

  test('that signs with another key fails, and the code is still good', async () => {
    let key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const sign = (message) => signWith('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
    const host = new Host({ signing: { active: { external, sign } } });
    const sent = await host.send();
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 503);
    key = privateKey;
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 200);
  });
});

test('a listener that throws ends no request, and is told as any exception that nobody caught', () => {
  const script = `
    import { Host } from './support.mjs';
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    const broken = () => { throw new Error('the log is full'); };
    const host = new Host({ onEvent: broken, onPortError: broken, deliver: broken });
    console.log((await host.send()).status);
    console.log((await host.server.handle({ method: 'GET', path: '/oauth2/jwks', headers: [] })).status);`;
  const options = { cwd: fileURLToPath(new URL('.', import.meta.url)), encoding: 'utf8', timeout: 20_000 };
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
  assert.match(stdout, /^503$/m);
  assert.match(stdout, /^200$/m);
  assert.match(stdout, /^uncaught the log is full$/m);
});

test('a store in memory deletes what has expired', async () => {
  const host = new Host();
  for (let number = 0; number < 200; number += 1) {
    await host.logIn(`+86136${String(number).padStart(8, '0')}`, { auto_signup: true });
  }
  assert.equal(host.store.size, 400);
  host.clock.advance(40 * 24 * 60 * 60 * 1000);
  for (let number = 0; number < 200; number += 1) {
    await host.logIn(`+86137${String(number).padStart(8, '0')}`, { auto_signup: true });
  }
  assert(host.store.size < 500, String(host.store.size));
});

function withMethods(directory, methods) {
  return Object.assign(directory, methods);
}

async function listening(server) {
  const web = createServer((request, response) => void server.middleware(request, response));
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => (web.closeAllConnections(), web.close(resolve)));
  return { url: `http://127.0.0.1:${web.address().port}`, close };
}
