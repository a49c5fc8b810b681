// Devices, test identities, the send guard, and what the support staff does.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryDirectory, UnavailableError } from 'otp-grant';
import { CLIENT, directory, Host, PHONE, wrong } from './support.mjs';

const ADDRESS = { channel: 'sms', address: PHONE };
const REVIEWER = '+8613600000001';
const DAY = 24 * 60 * 60 * 1000;
// Five guesses lock an address.
const FEW_GUESSES = { quotas: { guessesPerAddress: { count: 5, per: '24h' } } };

const send = (host, phone, more = {}) =>
  host.post('/otp/send', { ...CLIENT, auth_source_id: 'sms', phone_number: phone, ...more });

async function remembered(host) {
  const sent = await send(host, PHONE);
  const { json } = await host.redeem(sent.json.otp_token, host.codeFor(), { remember_device: true });
  host.clock.advance(31_000);
  return { device_token: json.device_token };
}

/** Uses up all guesses of those who have no device token. */
async function lock(host) {
  const sent = await send(host, PHONE);
  for (let guess = 0; guess < 5; guess += 1) {
    assert.equal((await host.redeem(sent.json.otp_token, wrong(host.codeFor()))).status, 400);
  }
  host.clock.advance(31_000);
  assert.equal((await send(host, PHONE)).json.error, 'sms_rate_limit_exceeded');
}

describe('a known device', () => {
  test('logs in to an address that an attacker has locked', async () => {
    const host = new Host(FEW_GUESSES);
    const device = await remembered(host);
    await lock(host);
    const sent = await send(host, PHONE, device);
    assert.equal(sent.status, 200);
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor())).status, 400);
    assert.equal((await host.redeem(sent.json.otp_token, host.codeFor(), device)).status, 200);
    const kinds = host.events.map(({ kind }) => kind);
    assert(kinds.includes('device_remembered') && kinds.includes('locked_out'), kinds.join());
  });

  test('redeems a code of another usage', async () => {
    const host = new Host(FEW_GUESSES);
    const device = await remembered(host);
    await lock(host);
    const sent = await host.post('/otp/send', { ...CLIENT, usage: 'signup', phone_number: PHONE, ...device });
    const about = { client: 'web', usage: 'signup', ...ADDRESS, otpToken: sent.json.otp_token, otp: host.codeFor() };
    for (const deviceToken of [undefined, 'no device token']) {
      await assert.rejects(host.server.verify({ ...about, deviceToken }), { code: 'unknown_otp_token' });
    }
    assert.equal((await host.server.verify({ ...about, deviceToken: device.device_token })).usage, 'signup');
  });

  test('is remembered only where the configuration allows it', async () => {
    assert.deepEqual(await remembered(new Host({ devices: false })), { device_token: undefined });
  });
});

describe('the support staff', () => {
  test('explains, unlocks and forgets', async () => {
    const policy = { guesses: { count: 9, per: '24h' }, sends: [{ count: 8, per: '24h' }], validity: '30d' };
    const host = new Host({ ...FEW_GUESSES, devices: policy });
    const untouched = await host.server.explain(ADDRESS);
    assert.deepEqual(untouched, {
      isLocked: false, guesses: { left: 5 }, sends: { left: 50 }, challenges: [], devices: [],
    });
    const device = await remembered(host);
    await lock(host);
    const now = host.clock.now();
    const state = await host.server.explain({ channel: 'sms', address: '+86 136 1234 5678' });
    assert.deepEqual([state.isLocked, state.guesses.left], [true, 0]);
    assert(state.guesses.availableAt > now && state.guesses.availableAt < now + DAY);
    const [{ knownUntil, ...left }] = state.devices;
    assert.deepEqual(left, { guesses: { left: 9 }, sends: { left: 8 } });
    assert(knownUntil > now + 29 * DAY && knownUntil < now + 30 * DAY);
    const { codeExpiresAt, expiresAt, guessesLeft } = state.challenges.at(-1);
    assert(codeExpiresAt instanceof Date && codeExpiresAt > now && expiresAt > codeExpiresAt && guessesLeft === 0);

    assert.equal(await host.server.unlock(ADDRESS), undefined);
    assert.deepEqual((await host.server.explain(ADDRESS)).guesses, untouched.guesses);
    await host.logIn();
    host.clock.advance(31_000);
    assert.equal(await host.server.forgetDevices(ADDRESS), undefined);
    assert.deepEqual((await host.server.explain(ADDRESS)).devices, []);
    await lock(host);
    assert.equal((await send(host, PHONE, device)).json.error, 'sms_rate_limit_exceeded');
    const kinds = host.events.map(({ kind }) => kind);
    assert(kinds.includes('unlocked') && kinds.includes('devices_forgotten'), kinds.join());
  });

  test('learns nothing from a store that is down', async () => {
    const store = { load: () => Promise.reject(new Error('down')), swap: () => true };
    const { server } = new Host({ store });
    for (const verb of ['explain', 'unlock', 'forgetDevices']) {
      await assert.rejects(server[verb](ADDRESS), UnavailableError);
    }
  });
});

describe('a test identity', () => {
  const identity = () => ({ phoneNumber: REVIEWER, code: '246810', clients: ['web'], endsAt: new Date(Date.now() + DAY) });
  const withReviewer = (isTest) =>
    directory().addUser({ subject: 'reviewer', isTest }, [{ channel: 'sms', address: REVIEWER }]);

  async function logIn(host, code) {
    const sent = await send(host, REVIEWER);
    assert.equal(sent.status, 200);
    return host.redeem(sent.json.otp_token, code, { phone: REVIEWER });
  }

  test('logs in with its code, and nothing is delivered', async () => {
    const asked = [];
    const known = withReviewer(true);
    known.grantedScope = (user, client, requested) => (asked.push(user), requested);
    const host = new Host({ testIdentities: [identity()], directory: known });
    assert.equal((await logIn(host, '246811')).status, 400);
    host.clock.advance(31_000);
    const { status, json } = await logIn(host, '246810');
    assert.equal(status, 200);
    const { subject, amr } = host.server.verifyAccessToken(json.access_token);
    assert.deepEqual([subject, amr], ['reviewer', ['test']]);
    assert.deepEqual(asked, [{ subject: 'reviewer', status: 'active', isTest: true }]);
    assert.deepEqual(host.outbox, []);
    assert.equal(host.events.filter(({ kind }) => kind === 'test_identity_used').length, 3);
    // After its end, the address is like any other.
    host.clock.advance(2 * DAY);
    await send(host, REVIEWER);
    assert.equal(host.outbox.length, 1);
  });

  for (const isTest of [undefined, null, false]) {
    test(`logs no user in whose isTest is ${isTest}`, async () => {
      const host = new Host({ testIdentities: [{ ...identity(), endsAt: Date.now() + DAY }], directory: withReviewer(isTest) });
      assert.equal((await logIn(host, '246810')).json.error_description, 'User not found');
      assert.deepEqual(host.outbox, []);
    });
  }
});

describe('the send guard', () => {
  test('asks for a challenge, and lets a person pass', async () => {
    const sendGuard = {
      mode: 'enforce', countries: { allow: ['86', '1'], except: ['1876'] },
      thresholds: { block: { perDay: 2, perHour: 2, verifiedPercent: 0 } },
    };
    const host = new Host({ sendGuard });
    const error = async (phone, verdict) => {
      const body = JSON.stringify({ ...CLIENT, auth_source_id: 'sms', phone_number: phone });
      const headers = { 'Content-Type': 'application/json' };
      const reply = await host.server.handle({ method: 'POST', path: '/otp/send', headers, body, verdict });
      return JSON.parse(reply.body).error;
    };
    for (let number = 0; number < 4; number += 1) assert.equal(await error(`+861361234000${number}`), undefined);
    assert.equal(await error('+8613612340005'), 'challenge_required');
    assert.equal(await error('+8613612340005', 'none'), 'challenge_required');
    assert.equal(await error('+8613612340005', 'allow'), undefined);
    assert.equal(await error('+8613700000000', 'challenge'), 'challenge_required');
    assert.equal(await error('+8613700000000', 'refuse'), 'insufficient_sms_quota');
    assert.equal(await error('+18765550123', 'allow'), 'invalid_phone_number');
    const causes = host.events.filter(({ cause }) => cause).map(({ kind, cause }) => `${kind}: ${cause}`);
    assert.deepEqual(causes, [
      'send_challenged: block', 'send_challenged: block', 'send_challenged: verdict', 'send_refused: verdict',
      'send_refused: country_not_allowed',
    ]);
  });

  test('observes, and counts the messages of a client', async () => {
    const client = { id: 'web', secret: CLIENT.client_secret, authSources: ['sms'], messageBudget: { perHour: 4, perDay: 4 } };
    const known = new MemoryDirectory().addAuthSource({ id: 'sms', channel: 'sms' }).addClient(client);
    const sendGuard = { mode: 'observe', thresholds: { block: { perDay: 1, perHour: 1 } }, shards: 1, hasChallenge: false };
    const host = new Host({ sendGuard, directory: known });
    for (let number = 0; number < 5; number += 1) assert.equal((await send(host, `+861361234000${number}`)).status, 200);
    const kinds = host.events.map(({ kind }) => kind);
    for (const kind of ['send_would_be_refused', 'client_budget_half_used', 'client_budget_used']) {
      assert(kinds.includes(kind), kinds.join());
    }
  });
});

test('a second message with the same code says so', async () => {
  const host = new Host();
  await send(host, PHONE);
  host.clock.advance(31_000);
  await send(host, PHONE);
  assert.deepEqual(host.outbox.map(({ attempt }) => attempt), [1, 2]);
  assert.equal(host.outbox[0].code, host.outbox[1].code);
});
