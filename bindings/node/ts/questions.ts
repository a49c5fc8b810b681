// The questions of an exchange: which port is asked, and how its answer is passed on.

import { types } from 'node:util';
import { Prepared, type Directory } from './directory.js';
import { bytesOf, documentText, ownBytesOf, readDocument } from './documents.js';
import { PreparedClient, type Exchange, type PreparedAuthSource } from './native.js';
import type { Store } from './store.js';
import type { Address, Algorithm, AuthSource, Client, Deliver, Delivery, Sign, User } from './types.js';

/** What answers the questions, and who hears of events and failures. */
export interface Ports {
  readonly store: Store;
  readonly directory: Directory;
  readonly deliver: Deliver;
  readonly sign?: Sign | undefined;
  readonly observe?: (() => void) | undefined;
  readonly failed?: ((error: unknown, question: string) => void) | undefined;
}

/** One kind of question. */
export interface Question {
  readonly name: string;
  /** Asks the port. */
  ask(exchange: Exchange, ports: Ports): unknown;
  /** Passes its answer on, and throws if it is none. */
  answer(exchange: Exchange, answer: unknown): void;
}

interface ClaimsParts {
  readonly subject: string;
  readonly client: string;
  readonly scope: string;
}

/** By the numbers that the addon gives the kinds of questions. */
export const QUESTIONS: readonly (Question | undefined)[] = [
  undefined,
  {
    name: 'load',
    ask: (exchange, { store }) => store.load(bytesOf(exchange.recordKey())),
    answer: (exchange, value) => exchange.answerRecord(value as Uint8Array | undefined),
  },
  {
    name: 'swap',
    ask: (exchange, { store }) => {
      const expected = exchange.expectedTag();
      const [tag, value] = [bytesOf(exchange.tag()), bytesOf(exchange.recordValue())];
      const next = { tag, deleteAfter: exchange.deleteAfter(), value };
      return store.swap(bytesOf(exchange.recordKey()), expected === null ? undefined : bytesOf(expected), next);
    },
    answer: (exchange, stored) => exchange.answerSwap(stored as boolean),
  },
  {
    name: 'client',
    ask: (exchange, { directory }) => directory.client(exchange.clientId()),
    answer: answerPrepared,
  },
  {
    name: 'authSource',
    ask: (exchange, { directory }) => directory.authSource(exchange.authSourceId()),
    answer: answerPrepared,
  },
  {
    name: 'userByAddress',
    ask: (exchange, { directory }) => directory.userByAddress(parts<Address>(exchange)),
    answer: answerUser,
  },
  {
    name: 'userBySubject',
    ask: (exchange, { directory }) => directory.userBySubject(parts<{ subject: string }>(exchange).subject),
    answer: answerUser,
  },
  {
    name: 'userClaims',
    ask: (exchange, { directory }) => {
      const { subject, client, scope } = parts<ClaimsParts>(exchange);
      return directory.userClaims(subject, client, scope);
    },
    answer: answerClaims,
  },
  {
    name: 'signUp',
    ask: (exchange, { directory }) => directory.signUp?.(parts<Address>(exchange)),
    answer: answerUser,
  },
  {
    name: 'grantedScope',
    ask: (exchange, { directory }) => {
      if (directory.grantedScope === undefined) return UNANSWERED;
      const asked = JSON.parse(exchange.document()) as { user: object; client: string; requested: string };
      const user = readDocument<User>(JSON.stringify(asked.user), ['tokensValidAfter']);
      return directory.grantedScope(user, asked.client, asked.requested);
    },
    answer: (exchange, scope) =>
      scope === UNANSWERED ? exchange.refuse() : exchange.answerScope(scope as string | undefined),
  },
  {
    name: 'accessTokenClaims',
    ask: (exchange, { directory }) => {
      if (directory.accessTokenClaims === undefined) return UNANSWERED;
      const { subject, client, scope } = parts<ClaimsParts>(exchange);
      return directory.accessTokenClaims(subject, client, scope);
    },
    answer: (exchange, claims) => (claims === UNANSWERED ? exchange.refuse() : answerClaims(exchange, claims)),
  },
  {
    name: 'sign',
    ask: (exchange, { sign }) => {
      if (sign === undefined) throw new TypeError('the signing key is external, and there is no function that signs');
      return sign(ownBytesOf(exchange.message()), parts<{ algorithm: Algorithm; keyId: string }>(exchange));
    },
    answer: (exchange, signature) => exchange.answerSignature(signature as Uint8Array),
  },
  {
    name: 'deliver',
    ask: (exchange, { deliver }) => deliver(parts<Delivery>(exchange)),
    answer: (exchange, failure) =>
      failure === undefined ? exchange.acceptDelivery() : exchange.failDelivery(failure as string),
  },
];

/** Stands for the answer of a method that a directory does not have. */
const UNANSWERED = Symbol('unanswered');

function parts<T>(exchange: Exchange): T {
  return readDocument<T>(exchange.document());
}

function answerPrepared(exchange: Exchange, answer: unknown): void {
  if (answer instanceof Prepared) {
    const native: PreparedClient | PreparedAuthSource = answer.native;
    if (native instanceof PreparedClient) exchange.answerClient(native);
    else exchange.answerAuthSource(native);
  } else {
    exchange.answerDocument(isNothing(answer) ? undefined : documentText(object<Client | AuthSource>(answer)));
  }
}

function answerUser(exchange: Exchange, answer: unknown): void {
  if (isNothing(answer)) return exchange.answerDocument();
  // A status of `null`, as a column can have it, is none that may log in.
  const { subject, status = 'active', tokensValidAfter, isTest } = object<User>(answer);
  exchange.answerUser(subject, status, isTest ?? false, isNothing(tokensValidAfter) ? undefined : millis(tokensValidAfter));
}

/** What `Number` and Node-API read as 0 is refused: no session would end. */
function millis(instant: unknown): number {
  const isInstant = types.isDate(instant) || typeof instant === 'number' || typeof instant === 'bigint';
  const millis = isInstant ? Number(instant) : NaN;
  if (!Number.isFinite(millis)) throw new TypeError('tokensValidAfter is not an instant');
  return millis;
}

function answerClaims(exchange: Exchange, answer: unknown): void {
  exchange.answerDocument(isNothing(answer) ? undefined : JSON.stringify(object(answer)));
}

function object<T extends object>(answer: unknown): T {
  if (typeof answer !== 'object') throw new TypeError('a port returned what is no object');
  return answer as T;
}

function isNothing(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}
