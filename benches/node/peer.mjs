// What the peers share: their arguments, the users and the client that all servers know, and where codes are delivered.

import { createHash, timingSafeEqual } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

export const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    outbox: { type: 'string' },
    key: { type: 'string' },
    algorithm: { type: 'string' },
    redis: { type: 'string' },
    client: { type: 'string' },
    users: { type: 'string' },
  },
});

export const issuer = `http://127.0.0.1:${options.port}`;

// As many users as the reference host has in its configuration.
export const users = Number(options.users);

const [clientId, clientSecret] = options.client.split(':');
export { clientId, clientSecret };

const outbox = openSync(options.outbox, 'a');

// Appends to a file, as the reference host does with `--outbox`.
export function deliver(to, code) {
  writeSync(outbox, `${JSON.stringify({ to, code })}\n`);
}

export function equal(left, right) {
  const digest = (text) => createHash('sha256').update(String(text)).digest();
  return timingSafeEqual(digest(left), digest(right));
}

export function listen(handler) {
  // As long as the reference host keeps idle connections.
  const server = createServer({ keepAliveTimeout: 60_000 }, handler);
  server.listen(Number(options.port), '127.0.0.1');
  process.on('SIGINT', () => process.exit(0));
}
