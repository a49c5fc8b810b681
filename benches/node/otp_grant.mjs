// otp-grant on Fastify: the addon of bindings/node, which has to be built, with the parts in memory or the store in Redis.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import fastify from 'fastify';

import { clientId, clientSecret, deliver, issuer, options, users } from './peer.mjs';

const BUILT = process.env.OTP_GRANT_NODE ?? '../../bindings/node/dist';
const require = createRequire(import.meta.url);
const { MemoryDirectory, MemoryStore, Server } = require(`${BUILT}/index.js`);

const directory = new MemoryDirectory()
  .addAuthSource({ id: 'sms', channel: 'sms' })
  .addClient({ id: clientId, secret: clientSecret, authSources: ['sms'] });
for (let number = 0; number < users; number += 1) {
  const address = `+8615${String(number).padStart(9, '0')}`;
  directory.addUser({ subject: `user-${number}` }, [{ channel: 'sms', address }]);
}

const secret = () => randomBytes(32).toString('base64');
const server = new Server({
  issuer,
  keys: { index: secret(), sealing: secret() },
  signing: { active: readFileSync(options.key, 'utf8') },
  danger: { withoutSendQuotas: true },
  store: options.redis ? new (require(`${BUILT}/stores/redis.js`).RedisStore)(options.redis) : new MemoryStore(),
  directory,
  deliver: ({ address, code }) => deliver(address, code),
  onPortError: (error, question) => console.error(question, error),
});

const app = fastify({ keepAliveTimeout: 60_000 });
app.addHook('onRequest', (request, reply, next) => void server.middleware(request.raw, reply.raw, next));
process.on('SIGINT', () => process.exit(0));
await app.listen({ host: '127.0.0.1', port: Number(options.port) });
