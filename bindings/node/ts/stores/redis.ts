import { createHash } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import type { Store, StoredRecord } from '../store.js';
import { StoreError } from '../store_error.js';

/** Names the keys of a {@link RedisStore}, and limits how long it waits. */
export interface RedisStoreOptions {
  /** The prefix of each key. Defaults to `otp-grant:`. Another prefix is another, empty store. */
  readonly prefix?: string;
  /** The time limit of one `load` or `swap` in milliseconds, with the wait for a connection. Defaults to 2000. */
  readonly timeout?: number;
}

/**
 * Keeps records in Redis 6.2 or later, one string per record, as the crate `otp-grant-redis` does: hosts in Rust and in
 * Node can share one Redis. Its README says how Redis has to be configured: no eviction, and writes that survive.
 *
 * The store has a connection of its own. A swap is sent once. A load that finds the connection lost is sent once more.
 * After a time-out, or an answer of a server that is no primary, it connects anew.
 */
export class RedisStore implements Store {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #timeout: number;

  /**
   * Connects to `redis://[user:password@]host[:port][/database]` or `rediss://…`, or as the options of ioredis say, for
   * instance through Sentinel. The first operation waits for the connection. Redis Cluster is not supported.
   */
  constructor(connection: string | RedisOptions, options: RedisStoreOptions = {}) {
    this.#prefix = options.prefix ?? 'otp-grant:';
    this.#timeout = options.timeout ?? 2000;
    const settings = {
      connectTimeout: this.#timeout,
      // A server that says nothing for so long is given up, with all that wait for it.
      socketTimeout: this.#timeout,
      // A command is sent once, and not again after a loss. While Redis loads its data, ioredis keeps commands back: one
      // can be sent after its caller has given up.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (times: number) => Math.min(times * 50, 500),
      reconnectOnError: ({ message }: Error) => NO_PRIMARY.has(message.split(' ', 1)[0] as string),
      // Loads must come from the primary, through Sentinel also.
      role: 'master',
      replyMapping: 'legacy',
    } satisfies RedisOptions;
    this.#redis =
      typeof connection === 'string'
        ? new Redis(connection, settings)
        : new Redis({ ...connection, ...settings });
    // In the query of a URL, ioredis takes options, and prefers them.
    for (const [name, value] of Object.entries(settings)) {
      if (this.#redis.options[name as keyof RedisOptions] === value) continue;
      this.#redis.on('error', () => {}).disconnect();
      throw new StoreError('configuration', `the URL can't have ${name} in its query`, false);
    }
    // Each operation reports its own failure.
    this.#redis.on('error', () => {});
  }

  async load(key: Uint8Array): Promise<Uint8Array | undefined> {
    const deadline = Date.now() + this.#timeout;
    const load = (): Promise<Buffer | null> => this.#redis.getexBuffer(this.#key(key));
    const stored = await this.#within(deadline, load).catch((error: StoreError) => {
      // It is often the first command after a loss. `GETEX` changes nothing, but a replica refuses it.
      if (error.code !== 'connection' && !NO_PRIMARY.has(error.message.split(' ').at(-1) as string)) throw error;
      return this.#within(deadline, load);
    });
    if (stored === null) return undefined;
    if (stored.length < TAG_LENGTH) throw unexpected();
    return stored.subarray(TAG_LENGTH);
  }

  async swap(key: Uint8Array, expected: Uint8Array | undefined, next: StoredRecord): Promise<boolean> {
    const deadline = Date.now() + this.#timeout;
    const name = this.#key(key);
    const value = Buffer.concat([Buffer.from(tagText(next.tag)), next.value]);
    const deleteAt = next.deleteAfter + KEPT_LONGER;
    if (expected === undefined) {
      const answer = await this.#within(deadline, () => this.#redis.set(name, value, 'PXAT', deleteAt, 'NX'));
      if (answer !== 'OK' && answer !== null) throw unexpected();
      return answer === 'OK';
    }
    const parts = [name, tagText(expected), value, String(deleteAt)] as const;
    const swapped = await this.#within(deadline, () =>
      this.#redis.evalsha(SCRIPT_HASH, 1, ...parts).catch((error: Error) => {
        // Redis has not run anything. It forgets scripts when it starts.
        if (!error.message.startsWith('NOSCRIPT')) throw error;
        return this.#redis.eval(SCRIPT, 1, ...parts);
      }),
    );
    if (swapped !== 1 && swapped !== 0) throw unexpected();
    return swapped === 1;
  }

  /** Closes the connection, after the answers to what was sent. */
  async close(): Promise<void> {
    await this.#redis.quit().catch(() => this.#redis.disconnect());
  }

  #key(key: Uint8Array): string {
    return this.#prefix + base64url(key);
  }

  /** Gives the answer to a command, or an error at the deadline. */
  #within<T>(deadline: number, command: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new StoreError('timeout', 'Redis did not answer in time', true));
      const timer = setTimeout(late, Math.max(deadline - Date.now(), 0));
      const answered = (answer: T): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      const failed = (error: unknown): void => {
        clearTimeout(timer);
        reject(storeError(error));
      };
      command().then(answered, failed);
    });
  }
}

/** The text and the members of ioredis' errors quote what was sent. */
function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { name, message } = error as Error;
  if (name !== 'ReplyError') return new StoreError('connection', 'no connection to Redis', true);
  const code = /^[A-Z]{1,32}(?= )/.exec(message)?.[0] ?? 'ERR';
  return new StoreError('refused', `Redis refused the command: ${code}`, PASSING.has(code));
}

function unexpected(): StoreError {
  return new StoreError('unexpected_answer', 'Redis gave an unexpected answer', false);
}

function tagText(tag: Uint8Array): string {
  return base64url(tag);
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** The length of a tag in base64url. */
const TAG_LENGTH = 22;

/** A Redis whose clock is ahead by less than this deletes nothing too early. In milliseconds. */
const KEPT_LONGER = 60_000;

/** Compares and writes. The range of a missing string is empty, and no tag is empty. */
const SCRIPT = `\
if redis.call('GETRANGE', KEYS[1], '0', '21') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
`;

const SCRIPT_HASH = createHash('sha1').update(SCRIPT).digest('hex');

/** The answers of a server that is no primary, or that may have a successor. */
const NO_PRIMARY = new Set(['CLUSTERDOWN', 'LOADING', 'MASTERDOWN', 'MOVED', 'NOREPLICAS', 'READONLY', 'UNBLOCKED']);

/** The refusals that pass by themselves. */
const PASSING = new Set([...NO_PRIMARY, 'ASK', 'BUSY', 'MISCONF', 'OOM', 'TRYAGAIN']);
