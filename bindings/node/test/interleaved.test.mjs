// A thousand exchanges at once over one engine: no answer reaches the wrong exchange. Also in two threads at once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { MemoryStore } from 'otp-grant';
import { directory, Host } from './support.mjs';

const EXCHANGES = 1000;

if (isMainThread) {
  test('in one thread', () => interleave());

  test('in two threads', async () => {
    const threads = [1, 2].map(() => new Worker(new URL(import.meta.url)));
    const messages = threads.map(
      (thread) => new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject)),
    );
    assert.deepEqual(await Promise.all(messages), [EXCHANGES, EXCHANGES]);
  });
} else {
  parentPort.postMessage(await interleave());
}

/** Logs users in, each by their own address, over ports that answer in random order. Every answer says whose it is. */
async function interleave() {
  const users = directory();
  for (let number = 0; number < EXCHANGES; number += 1) {
    users.addUser({ subject: `user-${number}` }, [{ channel: 'sms', address: phone(number) }], { name: `name ${number}` });
  }
  const host = new Host({ store: shuffled(new MemoryStore()), directory: shuffled(users) });
  const logIn = async (number) => {
    const sent = await host.send(phone(number));
    const tokens = await host.redeem(sent.json.otp_token, host.codeFor(phone(number)), {
      phone: phone(number),
      scope: 'openid profile',
    });
    assert.equal(tokens.status, 200);
    const claims = await host.server.checkAccessToken(tokens.json.access_token);
    assert.equal(claims.subject, `user-${number}`);
    const headers = { Authorization: `Bearer ${tokens.json.access_token}` };
    const userinfo = await host.server.handle({ method: 'GET', path: '/userinfo', headers });
    assert.deepEqual(JSON.parse(userinfo.body), { sub: `user-${number}`, name: `name ${number}` });
    return claims.session;
  };
  const sessions = await Promise.all(Array.from({ length: EXCHANGES }, (_, number) => logIn(number)));
  assert.equal(new Set(sessions).size, EXCHANGES);
  assert.deepEqual(host.portErrors, []);
  return sessions.length;
}

function phone(number) {
  return `+86136${String(number).padStart(8, '0')}`;
}

/** Answers in random order. */
function shuffled(port) {
  return new Proxy(port, {
    get(target, name) {
      const method = target[name];
      if (typeof method !== 'function') return undefined;
      return async (...parts) => {
        for (let turns = Math.random() * 4; turns > 1; turns -= 1) await new Promise(setImmediate);
        return method.apply(target, parts);
      };
    },
  });
}
