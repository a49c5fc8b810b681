import { Pool, type PoolConfig, type QueryResult } from 'pg';
import type { Store, StoredRecord } from '../store.js';
import { StoreError } from '../store_error.js';

/** Limits how long a {@link PostgresStore} waits, and how many connections it makes. */
export interface PostgresStoreOptions {
  /**
   * The time limit of a statement in milliseconds, with the wait for a lock, and also of the wait for a connection. An
   * operation that has to wait for both can take twice as long. Defaults to 2000.
   */
  readonly timeout?: number;
  /** The maximum number of connections. Defaults to 10. */
  readonly maxConnections?: number;
}

/**
 * Keeps records in PostgreSQL 9.6 or later, one row per record, in the table of the crate `otp-grant-sql`: hosts in Rust
 * and in Node can share one database. Its README says what survives a crash.
 *
 * Each operation is one statement. A swap is sent once. A load that finds its connection lost is sent once more. A
 * server that is a standby is refused when a connection is made.
 */
export class PostgresStore implements Store {
  readonly #pool: Pool;
  readonly #timeout: number;

  /** Connects to `postgres://…`, or as the options of `pg` say. The first operation waits for the connection. */
  constructor(connection: string | PoolConfig, options: PostgresStoreOptions = {}) {
    this.#timeout = options.timeout ?? 2000;
    const given: PoolConfig = typeof connection === 'string' ? { connectionString: connection } : connection;
    this.#pool = new Pool({
      ...given,
      max: options.maxConnections ?? 10,
      connectionTimeoutMillis: this.#timeout,
      query_timeout: this.#timeout,
      // A server that is alive says that it has given up before this side considers its connection dead.
      statement_timeout: Math.max(Math.floor(this.#timeout * 0.9), 1),
      onConnect: refuseStandby,
    });
    // A connection that is lost while it is idle leaves the pool.
    this.#pool.on('error', () => {});
  }

  /** Creates the table, if it does not exist. Several hosts can do this at the same time. */
  async migrate(): Promise<void> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw storeError(error);
    });
    let failure: Error | undefined;
    try {
      await client.query('BEGIN');
      await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
      await client.query(MIGRATION);
      await client.query('COMMIT');
    } catch (error) {
      failure = storeError(error);
      throw failure;
    } finally {
      client.release(failure);
    }
  }

  async load(key: Uint8Array): Promise<Uint8Array | undefined> {
    const load = (): Promise<QueryResult> => this.#run('otp-grant-load', LOAD, [bytes(key)]);
    const { rows } = await load().catch((error: StoreError) => {
      // It is often the first statement after a restart of the server.
      if (error.code !== 'connection') throw error;
      return load();
    });
    const value: unknown = rows[0]?.value;
    if (rows.length > 0 && typeof value !== 'string') throw unexpected();
    return value === undefined ? undefined : Buffer.from(value as string);
  }

  async swap(key: Uint8Array, expected: Uint8Array | undefined, next: StoredRecord): Promise<boolean> {
    const row = [bytes(key), bytes(next.tag), bytes(next.value).toString(), next.deleteAfter];
    const { rowCount } =
      expected === undefined
        ? await this.#run('otp-grant-insert', INSERT, row)
        : await this.#run('otp-grant-update', UPDATE, [...row, bytes(expected)]);
    if (rowCount !== 1 && rowCount !== 0) throw unexpected();
    return rowCount === 1;
  }

  /**
   * Deletes at most `limit` records that could have been deleted a minute ago, and returns how many it deleted. Call it
   * each minute, until it deletes fewer than `limit`. It never waits for a swap.
   */
  async purge(limit = 1000, now = Date.now()): Promise<number> {
    const { rowCount } = await this.#run('otp-grant-purge', PURGE, [now - KEPT_LONGER, limit]);
    return rowCount ?? 0;
  }

  /** Closes the connections, after the answers to what was sent. */
  close(): Promise<void> {
    return this.#pool.end();
  }

  async #run(name: string, text: string, values: unknown[]): Promise<QueryResult> {
    try {
      // After any error, the pool closes the connection.
      return await this.#pool.query({ name, text, values });
    } catch (error) {
      throw storeError(error);
    }
  }
}

async function refuseStandby(client: { query(text: string): Promise<QueryResult> }): Promise<void> {
  const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby');
  if (rows[0]?.standby !== false) {
    throw new StoreError('connection', 'the server is a standby: records are loaded from the primary', true);
  }
}

/** The text and the members of the errors of `pg` can quote what was sent or stored. */
function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as { code?: string; message: string };
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) {
    if (LOST.has(code)) return new StoreError('connection', 'PostgreSQL ended the connection', true);
    if (code === '57014') return late();
    return new StoreError('refused', `PostgreSQL refused the statement: ${code}`, PASSING.test(code));
  }
  if (/timeout/i.test(message)) return late();
  return new StoreError('connection', 'no connection to PostgreSQL', true);
}

function late(): StoreError {
  return new StoreError('timeout', 'PostgreSQL did not answer in time', true);
}

function unexpected(): StoreError {
  return new StoreError('unexpected_answer', 'PostgreSQL gave an unexpected answer', false);
}

function bytes(array: Uint8Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

const LOAD = 'SELECT value FROM otp_grant_records WHERE key = $1';

const INSERT = `\
INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING`;

const UPDATE = `\
UPDATE otp_grant_records SET tag = $2, value = $3, delete_after = $4 WHERE key = $1 AND tag = $5`;

/** The array is computed once. A row that was rewritten meanwhile is compared in its present state. */
const PURGE = `\
DELETE FROM otp_grant_records WHERE delete_after <= $1 AND key = ANY (ARRAY(
  SELECT key FROM otp_grant_records WHERE delete_after <= $1 ORDER BY delete_after LIMIT $2 FOR UPDATE SKIP LOCKED))`;

const MIGRATION = `\
CREATE TABLE IF NOT EXISTS otp_grant_records (
  key          BYTEA  PRIMARY KEY,
  tag          BYTEA  NOT NULL,
  value        TEXT   NOT NULL,
  delete_after BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS otp_grant_records_delete_after ON otp_grant_records (delete_after);`;

/** The lock of the crate `otp-grant-sql`: "otpgrant" in ASCII. */
const MIGRATION_LOCK = BigInt(`0x${Buffer.from('otpgrant').toString('hex')}`);

/** How much longer rows are kept: hosts' clocks may differ by less than this. In milliseconds. */
const KEPT_LONGER = 60_000;

/** The server shuts down, has crashed or starts. */
const LOST = new Set(['57P01', '57P02', '57P03']);

/** Connections, resources, conflicts, locks and a server that takes no writes. */
const PASSING = /^(08|40|53|55)|^25006$/;
