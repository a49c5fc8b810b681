import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressState } from './address_state.js';
import { drive } from './drive.js';
import type { Directory } from './directory.js';
import { documentText, ownBytesOf, readDocument } from './documents.js';
import { ArgumentError, ConfigurationError, OtpGrantError, refusalError, rethrown } from './errors.js';
import { inTurns, type HeadersInput } from './headers.js';
import { MOST_READ, readBody } from './incoming.js';
import { Engine, type ApiRequestParts, type Exchange, type VerificationParts } from './native.js';
import type { Ports } from './questions.js';
import { Reply } from './reply.js';
import type { Store } from './store.js';
import { clockOf, type TestClock } from './testing.js';
import type {
  AccessToken,
  Address,
  AddressState,
  Channel,
  Configuration,
  Deliver,
  Event,
  Route,
  Sign,
  Signing,
  Verdict,
  VerifiedAddress,
} from './types.js';

/** A configuration, and the ports: the parts of the host that the server reaches. */
export interface ServerOptions extends Configuration {
  readonly store: Store;
  readonly directory: Directory;
  readonly deliver: Deliver;
  /** Hears what happens. It is called in the middle of a request, and should return at once. */
  readonly onEvent?: (event: Event) => void;
  /** Hears what a port threw, and which question it was asked: `load`, `swap`, `client`, `deliver`, … */
  readonly onPortError?: (error: unknown, question: string) => void;
  /** For tests: a clock that can be moved. */
  readonly clock?: TestClock;
}

/** A request to answer. */
export interface ServerRequest {
  readonly method: string;
  /** The path. A query is ignored. */
  readonly path: string;
  readonly headers: HeadersInput;
  /** The whole body, as it was sent. A body that was cut short must be refused before. */
  readonly body?: Uint8Array | string | undefined;
  /** What the host knows about the request. The send endpoint reads it, where `sendGuard` is on. Defaults to `none`. */
  readonly verdict?: Verdict | undefined;
}

/** Options of one call. */
export interface CallOptions {
  /**
   * Drops the request between two questions, for instance when the client has gone away. The code is then usable or
   * spent, and never half.
   */
  readonly signal?: AbortSignal | undefined;
}

/** What an access token must satisfy. */
export interface AccessTokenOptions extends CallOptions {
  /** Accepts only tokens of this client. */
  readonly client?: string;
  /** Refuses tokens that lack a part of this scope. */
  readonly scope?: string;
}

/** A request to a route of the host's own. It presents an access token, the proof of a key (RFC 9449), or both. */
export interface ApiRequest {
  readonly method: string;
  /**
   * The URL of the route as clients know it. It comes from the configuration of the host, and never from the `Host`
   * header: not from `request.url` of the Fetch API. Otherwise a proof for a server of an attacker would pass.
   */
  readonly externalUrl: string | URL;
  /** All headers. Give it `request.rawHeaders` of Node: objects such as `request.headers` drop repeated headers. */
  readonly headers: HeadersInput;
}

/** A code of a usage other than login, and what it was sent for. */
export interface Verification extends Address {
  /** The client for which the code was sent. The host has authenticated it. */
  readonly client: string;
  readonly usage: string;
  readonly otpToken: string;
  readonly otp: string;
  /** The verifier, if the code was asked for with a `code_challenge`. */
  readonly codeVerifier?: string | undefined;
  /** The request, if the code was asked for with a DPoP proof. It has a proof of the same key. */
  readonly proof?: ApiRequest | undefined;
  /** The device token of an earlier login to the address. One that is not good counts as none. */
  readonly deviceToken?: string | undefined;
}

/** An authorization server over the ports of a host. */
export class Server {
  readonly #engine: Engine;
  readonly #ports: Ports;
  readonly #mostRead: number;

  /** @throws {@link ConfigurationError} if the configuration is wrong. */
  constructor(options: ServerOptions) {
    const { store, directory, deliver, onEvent, onPortError, clock, ...configuration } = options;
    const { sign, text } = configurationText(configuration);
    try {
      this.#engine = new Engine(text, onEvent !== undefined, clockOf(clock));
    } catch (error) {
      throw rethrown(error, (place, reason) => new ConfigurationError(place, reason));
    }
    this.#mostRead = Math.max(MOST_READ, (configuration.limits?.body ?? 0) + 1);
    const observe = onEvent && (() => this.#tell(onEvent));
    const failed =
      onPortError && ((error: unknown, question: string) => listen(() => onPortError(error, question)));
    this.#ports = { store, directory, deliver, sign, observe, failed };
  }

  /**
   * Answers a request. Returns `undefined` where the path is not that of an endpoint.
   *
   * @throws {@link ArgumentError} if there is no such verdict.
   */
  async handle(request: ServerRequest, options: CallOptions = {}): Promise<Reply | undefined> {
    const { method, path, headers, body = '', verdict = 'none' } = request;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const own = path.split('?', 1)[0] as string;
    const exchange = called(() => this.#engine.begin(method, own, inTurns(headers), bytes, verdict));
    if (exchange === null) return undefined;
    const ended = await drive(exchange, this.#ports, options.signal);
    const reply = new Reply(ended.status(), ended.headers(), ownBytesOf(ended.body()));
    // Frees what the exchange holds now, and not when it is collected.
    ended.drop();
    return reply;
  }

  /**
   * Answers a request of `node:http`, Express or Connect, whose body nothing has read before. It can be passed on as it
   * is: `app.use(server.middleware)`. Calls `next`, or answers 404, where the path is not that of an endpoint.
   *
   * The host knows nothing about the request. One that has a verdict passes it to {@link handle}, with {@link readBody}.
   *
   * Reads at most 64 KiB of a body, or `limits.body` if that is more, for at most 10 seconds. Refuses a body that was cut
   * short.
   */
  readonly middleware = async (
    request: IncomingMessage,
    response: ServerResponse,
    next?: (error?: unknown) => void,
  ): Promise<void> => {
    try {
      const path = (request.url ?? '').split('?', 1)[0] as string;
      if (!this.#paths().has(path)) {
        if (next !== undefined) return next();
        response.writeHead(404).end();
        return;
      }
      const body = await readBody(request, this.#mostRead);
      if (body === undefined) {
        response.writeHead(400, { Connection: 'close' }).end();
        return;
      }
      const reply = await this.handle({ method: request.method ?? '', path, headers: request.rawHeaders, body });
      if (!request.complete) response.setHeader('Connection', 'close');
      reply?.writeTo(response);
    } catch (error) {
      if (next !== undefined) return next(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
      throw error;
    }
  };

  /**
   * Checks an access token, also against the store and the directory. A token is refused at once after a sign-out.
   *
   * A text is a bearer token alone. A token that is bound to a key needs the request with its proof.
   *
   * @throws {@link RefusedError} if the token is refused, {@link UnavailableError} if a port failed.
   */
  async checkAccessToken(token: string | ApiRequest, options: AccessTokenOptions = {}): Promise<AccessToken> {
    const { client, scope, signal } = options;
    const begin = (): Exchange =>
      typeof token === 'object'
        ? this.#engine.checkRequest(apiRequest(token), client, scope)
        : this.#engine.checkAccessToken(token, client, scope);
    const text = await this.#outcome(begin, signal);
    return readDocument(text, TOKEN_INSTANTS);
  }

  /**
   * Checks an access token offline: signature, type, issuer, audience and expiry. A sign-out is not noticed. Neither is
   * a proof that was used before, and the nonce of a proof is not looked at.
   *
   * @throws {@link RefusedError} if the token is refused.
   */
  verifyAccessToken(token: string | ApiRequest, options: Omit<AccessTokenOptions, 'signal'> = {}): AccessToken {
    const { client, scope } = options;
    const verdict = called(() =>
      typeof token === 'object'
        ? this.#engine.verifyRequest(apiRequest(token), client, scope)
        : this.#engine.verifyAccessToken(token, client, scope),
    );
    if (verdict.refusal) throw refusalError(verdict.refusal);
    return readDocument(verdict.document as string, TOKEN_INSTANTS);
  }

  /**
   * Redeems a code of a usage other than login. The host has authenticated the client.
   *
   * The client is not looked up. If it has `codeChallengeRequired`, the host refuses a request without a `codeVerifier`
   * itself.
   *
   * @throws {@link RefusedError} if the code is refused, {@link UnavailableError} if a port failed.
   */
  async verify(verification: Verification, options: CallOptions = {}): Promise<VerifiedAddress> {
    const { client, usage, channel, address, otpToken, otp, codeVerifier, proof, deviceToken } = verification;
    const parts = (): VerificationParts => ({
      ...{ client, usage, channel, address, otpToken, otp },
      ...(codeVerifier === undefined ? {} : { codeVerifier }),
      ...(proof === undefined ? {} : { proof: apiRequest(proof) }),
      ...(deviceToken === undefined ? {} : { deviceToken }),
    });
    const text = await this.#outcome(() => this.#engine.verify(parts()), options.signal);
    return readDocument(text, ['verifiedAt']);
  }

  /**
   * Tells what an address has left, for the host's support staff. The address can have any spelling.
   *
   * @throws {@link ArgumentError} if there is no such address, {@link UnavailableError} if the store failed.
   */
  async explain({ channel, address }: Address, options: CallOptions = {}): Promise<AddressState> {
    return addressState(await this.#outcome(() => this.#engine.explain(channel, address), options.signal));
  }

  /**
   * Clears the counted guesses and sends of an address and of its devices. The guesses of each code still count. Whoever
   * locked the address can lock it again. A known device is not affected by that.
   *
   * @throws {@link ArgumentError} if there is no such address, {@link UnavailableError} if the store failed.
   */
  async unlock({ channel, address }: Address, options: CallOptions = {}): Promise<void> {
    await this.#outcome(() => this.#engine.unlock(channel, address), options.signal);
  }

  /**
   * Makes an address forget its devices, after one was lost or stolen. What they have used up still counts.
   *
   * @throws {@link ArgumentError} if there is no such address, {@link UnavailableError} if the store failed.
   */
  async forgetDevices({ channel, address }: Address, options: CallOptions = {}): Promise<void> {
    await this.#outcome(() => this.#engine.forgetDevices(channel, address), options.signal);
  }

  /**
   * Ends a session: the `session` of an access token or of an event. It succeeds also if the session has ended before.
   *
   * @throws {@link UnavailableError} if the store failed. Call it again.
   */
  async revokeSession(session: string, options: CallOptions = {}): Promise<void> {
    await this.#outcome(() => this.#engine.revokeSession(session), options.signal);
  }

  /**
   * Compares the secrets with those of the other hosts on the store. Call it at each start. `lacks_a_peers_key` means
   * that another host seals with a secret that this host does not accept.
   *
   * @throws {@link ConfigurationError} if the secrets are others, {@link UnavailableError} if the store failed.
   */
  async checkKeyring(options: CallOptions = {}): Promise<'agrees' | 'lacks_a_peers_key'> {
    const text = await this.#outcome(() => this.#engine.checkKeyring(), options.signal);
    return readDocument<{ keyring: 'agrees' | 'lacks_a_peers_key' }>(text).keyring;
  }

  /**
   * Tells the store that the secrets of this host replace all others, for instance after a loss.
   *
   * @throws {@link UnavailableError} if the store failed.
   */
  async announceNewKeyring(options: CallOptions = {}): Promise<void> {
    await this.#outcome(() => this.#engine.announceNewKeyring(), options.signal);
  }

  /** The issuer of the tokens. */
  get issuer(): string {
    return this.#engine.issuer;
  }

  /** The endpoints. */
  get routes(): Route[] {
    return JSON.parse(this.#engine.routes()) as Route[];
  }

  /** The public keys (RFC 7517). */
  get keySet(): { keys: Record<string, unknown>[] } {
    return JSON.parse(this.#engine.keySet()) as { keys: Record<string, unknown>[] };
  }

  /**
   * The form in which an address reaches the directory, and the budget of its guesses and sends.
   *
   * @throws {@link ArgumentError} if it is no address of the channel.
   */
  normaliseAddress(channel: Channel, address: string): Address & { readonly budget: string } {
    return readDocument(called(() => this.#engine.normaliseAddress(channel, address)));
  }

  async #outcome(begin: () => Exchange, signal: AbortSignal | undefined): Promise<string> {
    const exchange = await drive(called(begin), this.#ports, signal);
    const [refusal, outcome] = [exchange.refusal(), exchange.outcome()];
    exchange.drop();
    if (refusal) throw refusalError(refusal);
    return outcome as string;
  }

  #tell(onEvent: (event: Event) => void): void {
    for (const event of this.#engine.takeEvents()) {
      listen(() => onEvent(readDocument<Event>(event)));
    }
  }

  #known: ReadonlySet<string> | undefined;

  #paths(): ReadonlySet<string> {
    return (this.#known ??= new Set(this.routes.map((route) => route.path)));
  }
}

const TOKEN_INSTANTS = ['issuedAt', 'expiresAt', 'authTime'];

function configurationText(configuration: Configuration): { sign: Sign | undefined; text: string } {
  const active = (configuration.signing as Signing | undefined)?.active;
  if (typeof active !== 'object' || active === null || !('external' in active)) {
    return { sign: undefined, text: documentText(configuration) };
  }
  const { sign, ...key } = active;
  if (typeof sign !== 'function') throw new ConfigurationError('signing.active.sign', 'must be a function that signs');
  return { sign, text: documentText({ ...configuration, signing: { ...configuration.signing, active: key } }) };
}

/** A request as the addon reads it. A URL that is missing is refused there. */
function apiRequest({ method, externalUrl, headers }: ApiRequest): ApiRequestParts {
  return { method, externalUrl: String(externalUrl ?? ''), headers: inTurns(headers) };
}

/** Calls a listener. One that throws is a fault of the host, as with any emitter. The request goes on. */
function listen(call: () => void): void {
  try {
    call();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

function called<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const own = (argument: string): string => (argument === 'neededScope' ? 'scope' : argument);
    throw rethrown(error, (argument, reason): OtpGrantError => new ArgumentError(own(argument), reason));
  }
}
