// What the stores keep, and what they say when their server is lost, hangs, refuses or is no primary.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { StoreError } from 'otp-grant';
import { PostgresStore } from 'otp-grant/stores/postgres';
import { RedisStore } from 'otp-grant/stores/redis';
import pg from 'pg';
import { Host, wrong } from './support.mjs';
import { startPostgres, startRedis, startRedisOverTls, startSentinel } from './servers.mjs';

const TIMEOUT = 500;
let redis, postgres;
before(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
});
after(() => Promise.all([redis.stop(), postgres.stop()]));

const KINDS = {
  redis: {
    server: () => redis,
    open: async () => new RedisStore(redis.url, { timeout: TIMEOUT }),
    unreachable: () => new RedisStore('redis://:hunter2@127.0.0.1:1', { timeout: TIMEOUT }),
  },
  postgres: {
    server: () => postgres,
    open: async () => {
      const store = new PostgresStore(postgres.url, { timeout: TIMEOUT });
      await store.migrate();
      return store;
    },
    unreachable: () => new PostgresStore('postgres://otp:hunter2@127.0.0.1:1/x', { timeout: TIMEOUT }),
  },
};

for (const [name, { server, open, unreachable }] of Object.entries(KINDS)) {
  describe(name, () => {
    test('a login works, and a store that is closed has failed', async () => {
      const store = await open();
      const host = new Host({ store });
      await host.logIn();
      await store.close();
      assert.equal((await host.send()).status, 503);
    });

    test('a server that is not there is a lost connection, whose text has no secret', async () => {
      const store = unreachable();
      await assert.rejects(store.load(randomBytes(32)), (error) => {
        assert(error instanceof StoreError);
        assert.deepEqual([error.code, error.isRetryable], ['connection', true]);
        assert(!JSON.stringify([error.message, error.stack, { ...error }]).includes('hunter2'));
        return true;
      });
      await store.close().catch(() => {});
    });

    test('a server that is lost and comes back', async () => {
      const store = await open();
      const host = new Host({ store });
      await host.logIn();
      await server().kill();
      const begun = Date.now();
      assert.equal((await host.send('+8613611111111')).status, 503);
      assert(host.portErrors.every(({ error }) => error instanceof StoreError && error.isRetryable));
      assert(Date.now() - begun < 4 * TIMEOUT);
      await server().start();
      if (store.migrate) await store.migrate().catch(() => sleep(100).then(() => store.migrate()));
      await eventually(async () => assert.equal((await host.send('+8613622222222')).status, 200));
      await store.close();
    });

    test('a server that hangs, and goes on', async () => {
      const store = await open();
      const host = new Host({ store });
      await host.logIn();
      const frozen = name === 'redis' ? () => server().signal('SIGSTOP') : () => lockTable();
      const goOn = await frozen();
      const begun = Date.now();
      assert.equal((await host.send('+8613633333333')).status, 503);
      assert(host.portErrors.every(({ error }) => error instanceof StoreError && error.isRetryable));
      assert(Date.now() - begun < 5 * TIMEOUT, String(Date.now() - begun));
      await (goOn ? goOn() : server().signal('SIGCONT'));
      await eventually(async () => assert.equal((await host.send('+8613644444444')).status, 200));
      await store.close();
    });
  });
}

describe('redis', () => {
  test('keeps records as the crate does, and for a minute longer', async () => {
    const commands = new Redis(redis.url);
    await commands.flushall();
    const store = new RedisStore(redis.url, { prefix: 'login:' });
    const [key, tag, value] = [randomBytes(32), randomBytes(16), Buffer.from('{"tag":"x"}')];
    const deleteAfter = Date.now() + 100_000;
    assert.equal(await store.swap(key, undefined, { tag, deleteAfter, value }), true);
    assert.equal(await store.swap(key, undefined, { tag, deleteAfter, value }), false);
    const name = `login:${key.toString('base64url')}`;
    assert.equal(await commands.get(name), `${tag.toString('base64url')}{"tag":"x"}`);
    assert.equal(await commands.pexpiretime(name).catch(() => deleteAfter + 60_000), deleteAfter + 60_000);
    assert.deepEqual(await store.load(key), value);
    assert.equal(await store.load(randomBytes(32)), undefined);
    // Redis forgets scripts when it starts.
    await commands.script('FLUSH');
    const next = { tag: randomBytes(16), deleteAfter, value: Buffer.from('next') };
    assert.equal(await store.swap(key, randomBytes(16), next), false);
    assert.equal(await store.swap(key, tag, next), true);
    assert.deepEqual(await store.load(key), next.value);
    await store.close();
    await commands.quit();
  });

  test('a value that is no record is a failure', async () => {
    const commands = new Redis(redis.url);
    await commands.flushall();
    const store = new RedisStore(redis.url);
    const host = new Host({ store });
    await host.send();
    for (const value of ['', 'x', 'A'.repeat(22), `${'A'.repeat(22)}{}`]) {
      for (const name of await commands.keys('otp-grant:*')) await commands.set(name, value);
      assert.equal((await host.send()).status, 503);
    }
    await store.close();
    await commands.quit();
  });

  test('a replica answers nothing', async () => {
    const replica = await startRedis();
    const commands = new Redis(replica.url);
    const store = new RedisStore(replica.url);
    const record = { tag: randomBytes(16), deleteAfter: Date.now() + 100_000, value: Buffer.from('{}') };
    const key = randomBytes(32);
    assert.equal(await store.swap(key, undefined, record), true);
    await commands.replicaof('127.0.0.1', redis.port);
    await assert.rejects(store.load(key), StoreError);
    await assert.rejects(store.swap(key, undefined, record), StoreError);
    // It is a primary again, and the store finds it.
    await commands.replicaof('NO', 'ONE');
    await eventually(() => store.load(key));
    await store.close();
    await commands.quit();
    await replica.stop();
  });

  test('the primary that a Sentinel names is found, also after a failover', async () => {
    const primary = await startRedis('--repl-diskless-sync-delay', '0');
    const replica = await startRedis('--replicaof', '127.0.0.1', primary.port);
    const sentinel = await startSentinel(primary);
    const asked = new Redis(sentinel.port);
    // Before a Sentinel knows the replica, it has nobody to promote.
    await eventually(async () => assert.equal((await asked.call('SENTINEL', 'replicas', 'login')).length, 1));
    const store = new RedisStore({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'login' }, { timeout: TIMEOUT });
    const host = new Host({ store });
    const { refresh_token } = await host.logIn();
    const commands = new Redis(primary.port);
    await eventually(async () => assert.equal(await commands.wait(1, 1000), 1));
    commands.disconnect();

    await primary.kill();
    // What was acknowledged by the replica is there, and nothing else is.
    await eventually(async () => assert.equal((await host.refresh(refresh_token)).status, 200));
    assert.equal((await asked.call('SENTINEL', 'get-master-addr-by-name', 'login'))[1], String(replica.port));
    asked.disconnect();
    await store.close();
    await Promise.all([sentinel.stop(), replica.stop(), primary.stop()]);
  });

  test('a connection over TLS, to the server that the certificate names', async () => {
    const server = await startRedisOverTls();
    const place = { host: '127.0.0.1', port: server.port };
    const store = new RedisStore({ ...place, tls: { ca: server.ca } }, { timeout: TIMEOUT });
    await new Host({ store }).logIn();
    await store.close();
    // No authority that Node knows has signed it, and it is not of another server.
    for (const tls of [{}, { ca: server.ca, servername: 'other.example.com' }]) {
      const refused = new RedisStore({ ...place, tls }, { timeout: TIMEOUT });
      await assert.rejects(refused.load(randomBytes(32)), { code: 'connection' });
      await refused.close();
    }
    await server.stop();
  });

  test('a URL can not take back that a swap is sent once, to a primary', () => {
    for (const member of ['autoResendUnfulfilledCommands=true', 'maxRetriesPerRequest=20', 'role=slave', 'socketTimeout=0']) {
      assert.throws(() => new RedisStore(`${redis.url}?${member}`), (error) => {
        assert(error instanceof StoreError);
        assert.deepEqual([error.code, error.isRetryable], ['configuration', false]);
        assert(error.message.includes(member.split('=')[0]));
        return true;
      });
    }
  });

  test('a refusal is told by its code', async () => {
    const commands = new Redis(redis.url);
    await commands.config('SET', 'maxmemory', '1');
    const store = new RedisStore(redis.url);
    const record = { tag: randomBytes(16), deleteAfter: Date.now() + 100_000, value: Buffer.from('{}') };
    await assert.rejects(store.swap(randomBytes(32), undefined, record), {
      code: 'refused',
      message: 'Redis refused the command: OOM',
      isRetryable: true,
    });
    await commands.config('SET', 'maxmemory', '0');
    await store.close();
    await commands.quit();
  });
});

describe('postgres', () => {
  test('keeps records as the crate does, and purges them a minute later', async () => {
    const client = new pg.Client(postgres.url);
    await client.connect();
    const store = await KINDS.postgres.open();
    await client.query('TRUNCATE otp_grant_records');
    const [key, tag, value] = [randomBytes(32), randomBytes(16), Buffer.from('{"tag":"x"}')];
    const deleteAfter = Date.now() - 59_000;
    assert.equal(await store.swap(key, undefined, { tag, deleteAfter, value }), true);
    assert.equal(await store.swap(key, undefined, { tag, deleteAfter, value }), false);
    const { rows } = await client.query('SELECT * FROM otp_grant_records');
    assert.deepEqual(rows, [{ key, tag, value: '{"tag":"x"}', delete_after: String(deleteAfter) }]);
    assert.deepEqual(await store.load(key), value);
    assert.equal(await store.purge(), 0);
    assert.equal(await store.purge(1000, Date.now() + 2000), 1);
    assert.equal(await store.load(key), undefined);
    const far = { tag, deleteAfter: Number.MAX_SAFE_INTEGER, value };
    assert.equal(await store.swap(key, undefined, far), true);
    assert.equal(await store.swap(key, randomBytes(16), far), false);
    assert.equal(await store.swap(key, tag, { ...far, tag: randomBytes(16) }), true);
    await store.close();
    await client.end();
  });

  test('several hosts can migrate at once', async () => {
    const client = new pg.Client(postgres.url);
    await client.connect();
    await client.query('DROP TABLE IF EXISTS otp_grant_records');
    const stores = Array.from({ length: 8 }, () => new PostgresStore(postgres.url, { timeout: 5000 }));
    await Promise.all(stores.map((store) => store.migrate()));
    await Promise.all(stores.map((store) => store.close()));
    await client.end();
  });

  test('a statement that is refused is told by its code', async () => {
    const client = new pg.Client(postgres.url);
    await client.connect();
    await client.query('DROP TABLE IF EXISTS otp_grant_records');
    const store = new PostgresStore(postgres.url);
    await assert.rejects(store.load(randomBytes(32)), {
      code: 'refused',
      message: 'PostgreSQL refused the statement: 42P01',
      isRetryable: false,
    });
    await store.migrate();
    assert.equal(await store.load(randomBytes(32)), undefined);
    await store.close();
    await client.end();
  });
});

test('hosts on one store are one server', async () => {
  const keys = { index: secret('index'), sealing: secret('sealing') };
  for (const { open } of Object.values(KINDS)) {
    const stores = [await open(), await open()];
    const signing = { active: { generate: 'ES256' } };
    const [one, other] = stores.map((store) => new Host({ store, keys, signing }));
    const sent = await one.send('+8613655555555');
    const guess = wrong(one.codeFor('+8613655555555'));
    for (const left of [4, 3, 2, 1, 0]) {
      const host = left % 2 === 0 ? one : other;
      const { json } = await host.redeem(sent.json.otp_token, guess, { phone: '+8613655555555' });
      assert.equal(json.attempts_remaining, left);
    }
    const right = await other.redeem(sent.json.otp_token, one.codeFor('+8613655555555'), { phone: '+8613655555555' });
    assert.equal(right.status, 400);
    await Promise.all(stores.map((store) => store.close()));
  }
});

/** Locks the table, as another program might. Gives what unlocks it. */
async function lockTable() {
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE otp_grant_records');
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
}

async function eventually(check) {
  for (const deadline = Date.now() + 10_000; ; await sleep(50)) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

function secret(name) {
  return createHash('sha256').update(name).digest('base64');
}
