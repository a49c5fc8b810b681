// The stores keep the contract of `Store`, each against a real server; and the suite finds stores that do not.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { MemoryStore } from 'otp-grant';
import { conformance, ConformanceError } from 'otp-grant/conformance';
import { PostgresStore } from 'otp-grant/stores/postgres';
import { RedisStore } from 'otp-grant/stores/redis';
import { startPostgres, startRedis } from './servers.mjs';

let redis, postgres;
before(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
});
after(() => Promise.all([redis.stop(), postgres.stop()]));

describe('the stores of this package', { concurrency: true }, () => {
  test('the store in memory conforms', async () => {
    const store = new MemoryStore();
    await conformance(() => store);
  });

  test('the store in Redis conforms', async () => {
    const stores = [];
    const report = await conformance(() => {
      stores.push(new RedisStore(redis.url));
      return stores.at(-1);
    });
    // It keeps records for a minute longer, and the suite does not wait so long.
    console.log('Redis, not observed:', report.notObserved);
    for (const store of stores) await store.close();
  });

  test('the store in PostgreSQL conforms', async () => {
    const stores = [];
    const report = await conformance(async () => {
      const store = new PostgresStore(postgres.url, { maxConnections: 16 });
      await store.migrate();
      stores.push(store);
      return store;
    });
    console.log('PostgreSQL, not observed:', report.notObserved);
    for (const store of stores) await store.close();
  });
});

test('a store that reads and then writes does not conform', async () => {
  const inner = new MemoryStore();
  const store = {
    load: (key) => inner.load(key),
    swap: async (key, expected, next) => {
      const matches = sameTag(inner.load(key), expected);
      await new Promise(setImmediate);
      return matches && inner.swap(key, tagOf(inner.load(key)), next);
    },
  };
  await assert.rejects(conformance(() => store), (error) => {
    assert(error instanceof ConformanceError);
    assert.equal(error.promise, 'atomic_swap');
    return true;
  });
});

test('a store that loses what was stored does not conform', async () => {
  const inner = new MemoryStore();
  let swaps = 0;
  const store = {
    load: (key) => inner.load(key),
    swap: (key, expected, next) => ((swaps += 1) % 50 === 0 ? true : inner.swap(key, expected, next)),
  };
  await assert.rejects(conformance(() => store), ConformanceError);
});

test('a store that throws is reported with its message', async () => {
  const store = {
    load: () => {
      throw new Error('the disk is on fire');
    },
    swap: () => true,
  };
  await assert.rejects(conformance(() => store), /the disk is on fire/);
});

function tagOf(value) {
  return value && Buffer.from(JSON.parse(value).tag, 'base64url');
}

function sameTag(value, tag) {
  return value && tag ? tagOf(value).equals(tag) : value === tag;
}
