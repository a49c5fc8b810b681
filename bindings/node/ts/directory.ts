import { PreparedAuthSource as NativeAuthSource, PreparedClient as NativeClient } from './native.js';
import { documentText } from './documents.js';
import { ConfigurationError, rethrown } from './errors.js';
import type { Address, AuthSource, Awaitable, Client, User } from './types.js';

/** A client or an auth source that was read and checked once. A directory can return it in place of the document. */
export class Prepared<T extends Client | AuthSource> {
  readonly #document: T;
  /** @internal */
  readonly native: T extends Client ? NativeClient : NativeAuthSource;

  private constructor(document: T, native: NativeClient | NativeAuthSource) {
    this.#document = document;
    this.native = native as typeof this.native;
  }

  get id(): string {
    return this.#document.id;
  }

  /** @internal */
  static of<T extends Client | AuthSource>(document: T, read: new (text: string) => NativeClient | NativeAuthSource) {
    try {
      return new Prepared<T>(document, new read(documentText(document)));
    } catch (error) {
      throw rethrown(error, (place, reason) => new ConfigurationError(place, reason));
    }
  }
}

/**
 * Reads a client once. Use it for clients of a configuration file: each request then saves some microseconds.
 *
 * @throws {@link ConfigurationError} if a member is wrong.
 */
export function prepareClient(client: Client): Prepared<Client> {
  return Prepared.of(client, NativeClient);
}

/**
 * Reads an auth source once, as {@link prepareClient} reads a client.
 *
 * @throws {@link ConfigurationError} if a member is wrong.
 */
export function prepareAuthSource(source: AuthSource): Prepared<AuthSource> {
  return Prepared.of(source, NativeAuthSource);
}

/**
 * Knows clients, auth sources and users. `null` and `undefined` mean that there is none. A method that throws leads to
 * 503, and a guess that was charged is given back.
 *
 * Addresses arrive in their normal form. Keep yours in the same form ({@link Server.normaliseAddress}). If the directory
 * finds one user by several forms of one address, an attacker has guesses for each form.
 */
export interface Directory {
  /** `SELECT … FROM clients WHERE id = $1` */
  client(id: string): Awaitable<Client | Prepared<Client> | null | undefined>;

  /** `SELECT … FROM auth_sources WHERE id = $1` */
  authSource(id: string): Awaitable<AuthSource | Prepared<AuthSource> | null | undefined>;

  /**
   * `SELECT subject, status FROM users WHERE phone_number = $1`. For a login, called only after the caller proved the
   * address.
   */
  userByAddress(address: Address): Awaitable<User | null | undefined>;

  /** `SELECT subject, status FROM users WHERE subject = $1`. Called at each refresh, introspection and userinfo. */
  userBySubject(subject: string): Awaitable<User | null | undefined>;

  /**
   * Returns the claims of a user that a client may see. The standard claims are filtered by `scope` afterwards, so this
   * may return all of them. It must return only those other claims that `client` may see.
   */
  userClaims(subject: string, client: string, scope: string): Awaitable<Record<string, unknown> | null | undefined>;

  /**
   * Creates the user of an address, or returns the existing one. Two calls for one address must give one user. `null`
   * and `undefined` refuse the sign-up. Without this method every sign-up is refused.
   */
  signUp?(address: Address): Awaitable<User | null | undefined>;

  /**
   * Returns the part of the requested scope that a user is granted, or nothing. It can only narrow the scope. Without
   * this method all of it is granted.
   */
  grantedScope?(user: User, client: string, requested: string): Awaitable<string | null | undefined>;

  /** Returns claims that are added to access tokens, such as the tenant. Each holder of a token can read them. */
  accessTokenClaims?(
    subject: string,
    client: string,
    scope: string,
  ): Awaitable<Record<string, unknown> | null | undefined>;
}
