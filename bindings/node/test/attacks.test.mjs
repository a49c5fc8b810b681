// The attack list against the Express host over HTTP, with a real Redis and a real PostgreSQL, in one process and in a
// cluster of two.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startPostgres, startRedis } from './servers.mjs';

const REPOSITORY = process.env.REPOSITORY ?? fileURLToPath(new URL('../../..', import.meta.url));
const HOST = fileURLToPath(new URL('../examples/express.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'otp-grant-attacks-'));
const stores = {};

before(async () => {
  [stores.redis, stores.postgres] = await Promise.all([startRedis(), startPostgres()]);
});
after(async () => {
  await Promise.all([stores.redis.stop(), stores.postgres.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

for (const store of ['redis', 'postgres']) {
  for (const workers of [1, 2]) {
    test(`Express on ${store}, ${workers === 1 ? 'one process' : 'a cluster of two'}`, async () => {
      const name = `${store}-${workers}`;
      const outbox = join(folder, `${name}.outbox`);
      writeFileSync(outbox, '');
      const options = { listen: '127.0.0.1:0', alg: 'ES256', outbox, store: stores[store].url, workers: String(workers) };
      const command = [HOST, '--send-quota', 'off', ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, value])];
      const host = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = new Promise((resolve) => host.once('exit', resolve));
      try {
        const url = await listening(host, workers);
        const attack = [join(REPOSITORY, 'bindings/attack_over_http.py'), url, outbox, `Express, ${name}`];
        const { stdout } = await promisify(execFile)('python3', attack);
        process.stdout.write(stdout);
        assert.equal(stdout.trim().split('\n').length, 4);
      } finally {
        host.kill();
        await ended;
      }
    });
  }
}

/** Waits until each worker says where it listens. */
function listening(host, workers) {
  return new Promise((resolve, reject) => {
    let text = '';
    host.once('exit', (code) => reject(new Error(`the host ended with ${code}: ${text}`)));
    host.stdout.on('data', (data) => {
      text += data;
      const found = text.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
      if (found.length === workers) resolve(found[0]);
    });
  });
}
