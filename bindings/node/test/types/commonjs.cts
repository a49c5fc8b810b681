// The types of the package for those who require it.

import { MemoryDirectory, MemoryStore, Server } from 'otp-grant';
import conformance = require('otp-grant/conformance');
import redis = require('otp-grant/stores/redis');
import postgres = require('otp-grant/stores/postgres');

const server: Server = new Server({
  issuer: 'https://login.example.com',
  keys: { generate: true },
  signing: { active: { generate: 'ES256' } },
  store: new MemoryStore(),
  directory: new MemoryDirectory(),
  deliver: () => {},
});
const reports: Promise<conformance.ConformanceReport>[] = [
  conformance.conformance(() => new redis.RedisStore('redis://127.0.0.1')),
  conformance.conformance(() => new postgres.PostgresStore({ host: '127.0.0.1' }, { timeout: 500 })),
];
export { reports, server };
