// The loop: asks the ports what an exchange asks, until it ends.

import type { Exchange } from './native.js';
import { QUESTIONS, type Ports } from './questions.js';

/**
 * Answers all questions of an exchange, and returns it when it has ended. A port that throws, or that returns what is no
 * answer, has failed: the client gets 503. An aborted request is dropped before its next question.
 */
export async function drive(exchange: Exchange, ports: Ports, signal?: AbortSignal): Promise<Exchange> {
  for (ports.observe?.(); exchange.kind !== 0; ports.observe?.()) {
    if (signal?.aborted) {
      exchange.drop();
      throw signal.reason;
    }
    const question = QUESTIONS[exchange.kind];
    if (question === undefined) {
      exchange.refuse();
      continue;
    }
    try {
      const asked = question.ask(exchange, ports);
      // A port that answers at once need not wait for its turn.
      question.answer(exchange, isPromise(asked) ? await asked : asked);
    } catch (error) {
      ports.failed?.(error, question.name);
      exchange.fail(textOf(error));
    }
  }
  return exchange;
}

/** The text of what was thrown, whatever it is: JavaScript lets anything be thrown, also what has no text. */
function textOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'a port threw what has no text';
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}
