import type { Awaitable } from './types.js';

/** A record to store. */
export interface StoredRecord {
  /** Identifies this write: 16 bytes. A later swap names the tag that it expects. */
  readonly tag: Uint8Array;
  /** The instant from which the record may be deleted, in milliseconds since 1970. A safe integer. */
  readonly deleteAfter: number;
  /** What `load` must return: bytes that are also valid UTF-8. They hold no code, no token and no address. */
  readonly value: Uint8Array;
}

/**
 * Keeps records. Both methods are atomic for one key.
 *
 * - **`swap` is one atomic step**: it compares and writes with nothing in between. A read followed by a write is not
 *   enough: two requests slip between them, and a code is accepted twice. In SQL, with `tag` a column:
 *
 *   ```sql
 *   UPDATE records SET tag = $next_tag, value = $value, delete_after = $delete_after WHERE key = $key AND tag = $tag;
 *   INSERT INTO records (key, tag, value, delete_after) VALUES (…) ON CONFLICT (key) DO NOTHING; -- expected: undefined
 *   ```
 *
 * - **`load` sees every swap that was answered before it began.** A replica that lags is not enough.
 * - **What was stored stays stored** until its `deleteAfter`. A cache that evicts records forgets guesses.
 *
 * The bytes that a method gets are views of larger buffers. A store that keeps them in this process copies them.
 *
 * A method that throws leads to 503. The swap may then have been applied, or may not, or may still be applied later.
 * `otp-grant/conformance` tests a store.
 */
export interface Store {
  /** Returns the value under a key of 32 bytes, or nothing. */
  load(key: Uint8Array): Awaitable<Uint8Array | null | undefined>;

  /**
   * Puts `next` in place only if the stored record has the tag `expected`. Without `expected`, it does so only if nothing
   * is stored. Returns whether it did.
   */
  swap(key: Uint8Array, expected: Uint8Array | undefined, next: StoredRecord): Awaitable<boolean>;
}
