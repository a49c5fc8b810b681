// A host in Node goes on with the records that hosts in Rust have written, and writes what they can read: the fixtures of
// the crate, over the layout in which the crates keep records in Redis and in PostgreSQL.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { MemoryDirectory } from 'otp-grant';
import { PostgresStore } from 'otp-grant/stores/postgres';
import { RedisStore } from 'otp-grant/stores/redis';
import pg from 'pg';
import { startPostgres, startRedis } from './servers.mjs';
import { Host } from './support.mjs';

const REPOSITORY = process.env.REPOSITORY ?? fileURLToPath(new URL('../../..', import.meta.url));
const RECORDS = join(REPOSITORY, 'tests/records');
const FOLDER = join(RECORDS, readdirSync(RECORDS).filter((name) => /^\d/.test(name)).sort().at(-1));
const tenant = { authSources: ['MOCK_SMS_OTP_AUTH_SOURCE_ID', 'MOCK_EMAIL_OTP_AUTH_SOURCE_ID'] };

let redis, postgres, commands, client;
before(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  commands = new Redis(redis.url);
  client = new pg.Client(postgres.url);
  await client.connect();
});
after(async () => {
  commands.disconnect();
  await client.end();
  await Promise.all([redis.stop(), postgres.stop()]);
});

for (const file of readdirSync(FOLDER)) {
  const { at, key, presented, record } = JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
  // Hosts that start present nothing, an assertion is used once, and a destination is counted beside an address.
  if (['keys_in_use.json', 'used.json', 'destination.json'].includes(file)) continue;
  const status = /spent|signed_out/.test(file) ? 400 : 200;

  test(`${file} in Redis`, async () => {
    const [store, name] = [new RedisStore(redis.url), `otp-grant:${key}`];
    await commands.set(name, record.tag + JSON.stringify(record));
    assert.equal(await present(store, at, presented), status);
    const stored = await commands.get(name);
    checkWritten(stored.slice(22), stored.slice(0, 22), record);
    await store.close();
  });

  test(`${file} in PostgreSQL`, async () => {
    const [store, name] = [new PostgresStore(postgres.url), Buffer.from(key, 'base64url')];
    await store.migrate();
    await client.query('INSERT INTO otp_grant_records VALUES ($1, $2, $3, $4)', [
      name,
      Buffer.from(record.tag, 'base64url'),
      JSON.stringify(record),
      record.delete_after,
    ]);
    assert.equal(await present(store, at, presented), status);
    const { rows } = await client.query('SELECT * FROM otp_grant_records WHERE key = $1', [name]);
    checkWritten(rows[0].value, rows[0].tag.toString('base64url'), record);
    assert.equal(rows[0].delete_after, String(JSON.parse(rows[0].value).delete_after));
    await client.query('TRUNCATE otp_grant_records');
    await store.close();
  });
}

/** Presents what a client would, at the time of the record. */
async function present(store, at, presented) {
  const host = new Host({
    store,
    issuer: 'https://sample.portal.example.com',
    keys: { index: Buffer.alloc(32, 1).toString('base64'), sealing: Buffer.alloc(32, 2).toString('base64') },
    directory: new MemoryDirectory()
      .addAuthSource({ id: 'MOCK_SMS_OTP_AUTH_SOURCE_ID', channel: 'sms' })
      .addAuthSource({ id: 'MOCK_EMAIL_OTP_AUTH_SOURCE_ID', channel: 'email' })
      .addClient({
        id: 'TENANT_CLIENT_ID',
        secret: 'TENANT_CLIENT_SECRET',
        scopes: 'openid profile email phone offline_access',
        defaultScopes: 'openid',
        ...tenant,
      })
      .addUser({ subject: 'MOCK_USER_ID' }, [
        { channel: 'sms', address: '13612345678' },
        { channel: 'email', address: 'mock_username@example.com' },
      ])
      .addUser({ subject: 'TEST_USER_ID', isTest: true }, []),
  });
  host.clock.advance(at - Date.now());
  const client = { client_id: 'TENANT_CLIENT_ID', client_secret: 'TENANT_CLIENT_SECRET' };
  const refresh = { grant_type: 'refresh_token', ...client, refresh_token: presented.refresh_token };
  const { status, json } = await host.post('/oauth2/token', presented.otp ? presented : refresh);
  assert.deepEqual(host.portErrors, []);
  if (status === 400) assert.equal(json.error, 'invalid_grant');
  return status;
}

/** A record of the crate has three members, and its tag is also where swaps compare it. */
function checkWritten(value, tag, { body }) {
  const written = JSON.parse(value);
  assert.deepEqual(Object.keys(written).sort(), ['body', 'delete_after', 'tag']);
  assert.equal(written.tag, tag);
  assert(Number.isSafeInteger(written.delete_after));
  assert.deepEqual(Object.keys(written.body), Object.keys(body));
}
