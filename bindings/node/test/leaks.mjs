// Logs in again and again, and prints the memory. Fails if it grows.
//
//     node --expose-gc --max-semi-space-size=2 leaks.mjs [LOGINS]
//
// Without the second option, the young part of the heap grows to 48 MiB first.
//
// Each round guesses wrong, drops a request in the middle, logs in, refreshes, checks the token, asks a port that fails,
// and signs out. Its clock runs fast: records expire, and their number stays.

import assert from 'node:assert/strict';
import { MemoryStore, Server } from 'otp-grant';
import { CLIENT, directory, Host, wrong } from './support.mjs';

const LOGINS = Number(process.argv[2] ?? 5000);
const WARM_UP = 2000;
const PARTS = 5;
/** In MiB. */
const MOST_GROWTH = 4;
const HOUR = 3_600_000;

let fails = false;
const users = directory();
const inner = { client: { id: 'web', secret: CLIENT.client_secret, authSources: ['sms'] }, source: { id: 'sms', channel: 'sms' } };
// Documents, which are read anew, in place of those that were prepared.
users.client = async () => inner.client;
users.authSource = async () => inner.source;
let store;
const host = new Host({
  directory: users,
  danger: { withoutSendQuotas: true },
  store: {
    load: async (key) => {
      if (fails) throw new Error('the store is down');
      return store.load(key);
    },
    swap: async (...parts) => store.swap(...parts),
  },
});
store = new MemoryStore(host.clock);

async function round() {
  const sent = await host.send();
  const code = host.codeFor();
  await host.redeem(sent.json.otp_token, wrong(code));
  const controller = new AbortController();
  const dropped = host.redeem(sent.json.otp_token, code, {}, { signal: controller.signal });
  controller.abort();
  await assert.rejects(dropped);
  const tokens = await host.redeem(sent.json.otp_token, code);
  assert.equal(tokens.status, 200);
  const refreshed = await host.refresh(tokens.json.refresh_token);
  await host.server.checkAccessToken(refreshed.json.access_token);
  fails = true;
  assert.equal((await host.refresh(refreshed.json.refresh_token)).status, 503);
  fails = false;
  await assert.rejects(host.server.checkAccessToken('x'));
  await host.revoke(refreshed.json.refresh_token);
  host.outbox.length = host.events.length = host.portErrors.length = 0;
  host.clock.advance(HOUR);
  // The event loop turns, as in a server: Node then frees what the addon has given up.
  await new Promise(setImmediate);
}

async function memory() {
  for (let turns = 0; turns < 3; turns += 1) {
    gc();
    await new Promise(setImmediate);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss: rss / 2 ** 20, heap: (heapUsed + external) / 2 ** 20, records: store.size };
}

for (let number = 0; number < WARM_UP; number += 1) await round();
const seen = [];
for (let part = 0; part <= PARTS; part += 1) {
  seen.push(await memory());
  const { rss, heap, records } = seen.at(-1);
  console.log(`${Math.round((part * LOGINS) / PARTS)} logins: ${rss.toFixed(1)} MiB, ${heap.toFixed(1)} in the heap, ${records} records`);
  if (part < PARTS) for (let number = 0; number < LOGINS / PARTS; number += 1) await round();
}
for (const measure of ['rss', 'heap']) {
  const growth = seen.at(-1)[measure] - seen[1][measure];
  assert(growth < MOST_GROWTH, `${measure} grew by ${growth.toFixed(1)} MiB`);
}
// An engine goes with its server.
const before = await memory();
for (let number = 0; number < 2000; number += 1) {
  new Server({
    issuer: 'https://login.example.com',
    keys: { generate: true },
    signing: { active: { generate: 'EdDSA' } },
    store,
    directory: users,
    deliver: () => {},
  });
  if (number % 100 === 0) await new Promise(setImmediate);
}
const growth = (await memory()).rss - before.rss;
console.log(`2000 servers: ${growth.toFixed(1)} MiB more`);
assert(growth < MOST_GROWTH, `servers that are gone keep ${growth.toFixed(1)} MiB`);
