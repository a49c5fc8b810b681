import type { RefusalParts } from './native.js';
import { camelPlace, camelReason } from './names.js';
import { Reply } from './reply.js';

/** The base of this package's errors. The classes say who is at fault. `code` is stable, and `message` is not. */
export class OtpGrantError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The host's configuration is wrong, or a client or an auth source in it. It never repeats a secret. */
export class ConfigurationError extends OtpGrantError {
  /** The member, for instance `signing.active`. Empty for the whole. */
  readonly place: string;

  constructor(place: string, reason: string, code = 'configuration') {
    super(code, place === '' ? reason : `${place}: ${reason}`);
    this.place = place;
  }
}

/** The calling code is at fault: an argument can't be what it should be. */
export class ArgumentError extends OtpGrantError {
  readonly argument: string;

  constructor(argument: string, reason: string) {
    super('argument', `${argument}: ${reason}`);
    this.argument = argument;
  }
}

/** The caller of the host is at fault: the token or the code that they presented is refused. */
export class RefusedError extends OtpGrantError {
  /** How many guesses are left after a wrong code. */
  readonly attemptsRemaining: number | undefined;
  /** What an API answers: 401 with `WWW-Authenticate`, or 403. For a code: 400 without a body, which is the host's. */
  readonly reply: Reply;

  /** @internal */
  constructor(refusal: RefusalParts) {
    super(refusal.code, refusal.message);
    this.attemptsRemaining = refusal.attemptsRemaining ?? undefined;
    this.reply = replyOf(refusal);
  }
}

/** A part of the host failed: its store, its directory or its signer. The call can be repeated. */
export class UnavailableError extends OtpGrantError {
  /** What an API answers: 503. */
  readonly reply: Reply;

  /** @internal */
  constructor(refusal: RefusalParts) {
    super(refusal.code, refusal.message);
    this.reply = replyOf(refusal);
  }
}

/** @internal */
export function refusalError(refusal: RefusalParts): OtpGrantError {
  if (refusal.isTemporary) return new UnavailableError(refusal);
  // What `checkKeyring` refuses is in the configuration, and is no matter of a client.
  if (KEYRING.has(refusal.code)) return new ConfigurationError('keys', refusal.message, refusal.code);
  return new RefusedError(refusal);
}

/** Makes an error class of what the addon threw: its message is a place and a reason in two lines. @internal */
export function rethrown(error: unknown, make: (place: string, reason: string) => OtpGrantError): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code === undefined || message === undefined || !['configuration', 'document', 'argument'].includes(code)) {
    return error;
  }
  const at = message.indexOf('\n');
  return make(camelPlace(message.slice(0, at)), camelReason(message.slice(at + 1)));
}

function replyOf({ reply, isTemporary }: RefusalParts): Reply {
  if (!reply) return new Reply(isTemporary ? 503 : 400, [], Buffer.alloc(0));
  return new Reply(reply.status, reply.headers, Buffer.from(reply.body));
}

const KEYRING = new Set(['other_index_secret', 'no_shared_sealing_secret']);
