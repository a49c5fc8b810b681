// Where oidc-provider keeps its records: in memory without any limit, or in Redis.

import Redis from 'ioredis';

const GRANTABLE = new Set(['AccessToken', 'RefreshToken']);

// The adapter that comes with oidc-provider keeps the last 1,000 records; this one keeps them all, as the reference host
// does, and does less for each.
export class MemoryAdapter {
  static records = new Map();
  static grants = new Map();

  constructor(name) {
    this.name = name;
  }

  key(id) {
    return `${this.name}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    if (GRANTABLE.has(this.name) && payload.grantId) {
      const keys = MemoryAdapter.grants.get(payload.grantId);
      if (keys) keys.push(key);
      else MemoryAdapter.grants.set(payload.grantId, [key]);
    }
    MemoryAdapter.records.set(key, { payload, expiresAt: Date.now() + expiresIn * 1000 });
  }

  async find(id) {
    const record = MemoryAdapter.records.get(this.key(id));
    return record && record.expiresAt > Date.now() ? record.payload : undefined;
  }

  async consume(id) {
    MemoryAdapter.records.get(this.key(id)).payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    MemoryAdapter.records.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of MemoryAdapter.grants.get(grantId) ?? []) MemoryAdapter.records.delete(key);
    MemoryAdapter.grants.delete(grantId);
  }
}

// The Redis adapter among the examples of oidc-provider, for the records that a login has.
export function redisAdapter(url) {
  const redis = new Redis(url);

  return class RedisAdapter {
    constructor(name) {
      this.name = name;
    }

    key(id) {
      return `oidc:${this.name}:${id}`;
    }

    async upsert(id, payload, expiresIn) {
      const key = this.key(id);
      const value = JSON.stringify(payload);
      if (!GRANTABLE.has(this.name)) {
        await redis.set(key, value, 'EX', expiresIn);
        return;
      }
      const grant = `oidc:grant:${payload.grantId}`;
      await redis.multi().hset(key, { payload: value }).expire(key, expiresIn).rpush(grant, key)
        .expire(grant, expiresIn).exec();
    }

    async find(id) {
      if (!GRANTABLE.has(this.name)) {
        const value = await redis.get(this.key(id));
        return value ? JSON.parse(value) : undefined;
      }
      const { payload, ...rest } = await redis.hgetall(this.key(id));
      return payload ? { ...JSON.parse(payload), ...rest } : undefined;
    }

    async consume(id) {
      await redis.hset(this.key(id), 'consumed', Math.floor(Date.now() / 1000));
    }

    async destroy(id) {
      await redis.del(this.key(id));
    }

    async revokeByGrantId(grantId) {
      const keys = await redis.lrange(`oidc:grant:${grantId}`, 0, -1);
      await redis.del(`oidc:grant:${grantId}`, ...keys);
    }
  };
}
