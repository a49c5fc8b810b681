import { randomUUID } from 'node:crypto';
import { prepareAuthSource, prepareClient, type Directory, type Prepared } from './directory.js';
import { bytesOf } from './documents.js';
import type { Store, StoredRecord } from './store.js';
import type { TestClock } from './testing.js';
import type { Address, AuthSource, Client, User } from './types.js';

/** Keeps records in the memory of one process. They are lost with the process. Each insert deletes a few expired ones. */
export class MemoryStore implements Store {
  readonly #records = new Map<string, Kept>();
  readonly #now: () => number;
  #sweep: Iterator<[string, Kept]> | undefined;

  /** Without a clock, the system's clock says which records may be deleted. */
  constructor(clock?: TestClock) {
    this.#now = clock ? () => clock.now() : Date.now;
  }

  /** How many records there are. */
  get size(): number {
    return this.#records.size;
  }

  load(key: Uint8Array): Uint8Array | undefined {
    const stored = this.#records.get(text(key));
    return stored && bytesOf(stored.value);
  }

  swap(key: Uint8Array, expected: Uint8Array | undefined, next: StoredRecord): boolean {
    const name = text(key);
    const stored = this.#records.get(name);
    if (stored?.tag !== (expected && text(expected))) return false;
    this.#records.set(name, { tag: text(next.tag), deleteAfter: next.deleteAfter, value: text(next.value) });
    if (expected === undefined) this.#deleteExpired();
    return true;
  }

  /** Looks at three records for each that is inserted, round and round: expired records do not pile up. */
  #deleteExpired(): void {
    const now = this.#now();
    for (let left = 3; left > 0; left -= 1) {
      const looked = (this.#sweep ??= this.#records.entries()).next();
      if (looked.done) this.#sweep = undefined;
      else if (looked.value[1].deleteAfter <= now) this.#records.delete(looked.value[0]);
    }
  }
}

/** A record as text. Buffers that are kept would keep the whole pool of Node that they are views of. */
interface Kept {
  readonly tag: string;
  readonly deleteAfter: number;
  readonly value: string;
}

/** Knows clients, auth sources and users of one process. */
export class MemoryDirectory implements Directory {
  readonly #clients = new Map<string, Prepared<Client>>();
  readonly #sources = new Map<string, Prepared<AuthSource>>();
  readonly #users = new Map<string, User>();
  readonly #subjects = new Map<string, string>();
  readonly #claims = new Map<string, Record<string, unknown>>();

  /** Adds a client, or replaces it. @throws {@link ConfigurationError} if a member is wrong. */
  addClient(client: Client): this {
    this.#clients.set(client.id, prepareClient(client));
    return this;
  }

  /** Adds an auth source, or replaces it. @throws {@link ConfigurationError} if a member is wrong. */
  addAuthSource(source: AuthSource): this {
    this.#sources.set(source.id, prepareAuthSource(source));
    return this;
  }

  /** Adds a user, or replaces the user with the same subject. Addresses are in their normal form. */
  addUser(user: User, addresses: readonly Address[] = [], claims?: Record<string, unknown>): this {
    this.#users.set(user.subject, { ...user });
    for (const address of addresses) this.#subjects.set(addressKey(address), user.subject);
    if (claims) this.#claims.set(user.subject, { ...claims });
    return this;
  }

  /** Deletes a user, with their addresses and claims. */
  removeUser(subject: string): void {
    this.#users.delete(subject);
    this.#claims.delete(subject);
    for (const [address, other] of this.#subjects) if (other === subject) this.#subjects.delete(address);
  }

  client(id: string): Prepared<Client> | undefined {
    return this.#clients.get(id);
  }

  authSource(id: string): Prepared<AuthSource> | undefined {
    return this.#sources.get(id);
  }

  userByAddress(address: Address): User | undefined {
    const subject = this.#subjects.get(addressKey(address));
    return subject === undefined ? undefined : this.#users.get(subject);
  }

  userBySubject(subject: string): User | undefined {
    return this.#users.get(subject);
  }

  userClaims(subject: string): Record<string, unknown> {
    return this.#claims.get(subject) ?? {};
  }

  /** Signs up each user who proves an address. The subject is random. */
  signUp(address: Address): User {
    const existing = this.userByAddress(address);
    if (existing) return existing;
    const user: User = { subject: randomUUID(), status: 'active' };
    this.addUser(user, [address]);
    return user;
  }
}

function addressKey({ channel, address }: Address): string {
  return `${channel}:${address}`;
}

/** Bytes as text: one character for each. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
