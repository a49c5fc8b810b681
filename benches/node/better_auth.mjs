// A server of better-auth with its plugins emailOTP and jwt.
//
// Its session token is an opaque cookie, and it has neither an access token nor a refresh token: a login ends with one JWT,
// fetched with the cookie. Users are in its memory adapter. Sessions and codes are in its secondary storage, which is a Map
// or Redis: the memory adapter searches its rows one after the other, which would make each login slower than the one
// before.

import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { emailOTP, jwt } from 'better-auth/plugins';
import Redis from 'ioredis';

import { clientSecret, deliver, issuer, listen, options, users } from './peer.mjs';

const long = new Date('2026-01-01');
const user = Array.from({ length: users }, (_, number) => ({
  id: `user-${number}`, email: `user-${number}@example.com`, name: `User ${number}`, emailVerified: true,
  createdAt: long, updatedAt: long,
}));

function inMemory() {
  const kept = new Map();
  return {
    get: (key) => kept.get(key) ?? null,
    set: (key, value) => void kept.set(key, value),
    delete: (key) => void kept.delete(key),
    getAndDelete: (key) => {
      const value = kept.get(key) ?? null;
      kept.delete(key);
      return value;
    },
  };
}

function inRedis(url) {
  const redis = new Redis(url);
  return {
    get: (key) => redis.get(key),
    set: async (key, value, ttl) => void (await (ttl ? redis.set(key, value, 'EX', ttl) : redis.set(key, value))),
    delete: async (key) => void (await redis.del(key)),
    getAndDelete: (key) => redis.getdel(key),
  };
}

const auth = betterAuth({
  baseURL: issuer,
  secret: `${clientSecret}, twice as long: ${clientSecret}`,
  database: memoryAdapter({ user, session: [], account: [], verification: [], jwks: [] }),
  secondaryStorage: options.redis ? inRedis(options.redis) : inMemory(),
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: 'error' },
  plugins: [
    emailOTP({ otpLength: 6, expiresIn: 300, sendVerificationOTP: async ({ email, otp }) => deliver(email, otp) }),
    // It would decrypt the key for each signature.
    jwt({ jwks: { keyPairConfig: { alg: options.algorithm }, disablePrivateKeyEncryption: true } }),
  ],
});

listen(toNodeHandler(auth));
