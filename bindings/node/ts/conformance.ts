// The suite that every store must pass, for the tests of a store.

import { Conformance, type Operation } from './native.js';
import { OtpGrantError } from './errors.js';
import { bytesOf, readDocument } from './documents.js';
import type { Store } from './store.js';
import type { Awaitable } from './types.js';

/** What a run saw. */
export interface ConformanceReport {
  /** The promises of which nothing was seen, for instance since the store deletes later than the suite waits. */
  readonly notObserved: readonly string[];
}

/** A store breaks a promise. */
export class ConformanceError extends OtpGrantError {
  /** The check that found it. */
  readonly check: string;
  /** The promise. `null`: a call failed. */
  readonly promise: string | null;

  /** @internal */
  constructor(check: string, promise: string | null, message: string) {
    super('violation', `${check}: ${message}`);
    this.check = check;
    this.promise = promise;
  }
}

/** Options of a run. */
export interface ConformanceOptions {
  /** How long the store takes to delete what may be deleted, in milliseconds. Defaults to 2000. */
  readonly deletesWithin?: number;
}

/**
 * Runs the suite. `open` makes stores on the same records, each with a connection of its own, as several hosts have. The
 * suite runs up to 64 operations at once, and takes about 10 seconds and the time of 180,000 calls. It leaves 10,300
 * records, which may be deleted an hour later. The suite drops some operations before their end: the calls of the store
 * go on, since a promise can't be cancelled, and their answers are ignored.
 *
 * @throws {@link ConformanceError} if the store breaks a promise.
 */
export async function conformance(
  open: () => Awaitable<Store>,
  options: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const run = new Conformance(options.deletesWithin);
  const stores: Store[] = [];
  const answer = async (operation: Operation): Promise<void> => {
    const { id, instance, kind } = operation;
    try {
      if (kind === 'open') {
        stores[instance] = await open();
        return run.answerOpened(id);
      }
      const store = stores[instance] as Store;
      const key = bytesOf(operation.key as string);
      if (kind === 'load') return run.answerRecord(id, (await store.load(key)) ?? undefined);
      const next = {
        tag: bytesOf(operation.tag as string),
        deleteAfter: operation.deleteAfter as number,
        value: bytesOf(operation.value as string),
      };
      const expected = typeof operation.expected === 'string' ? bytesOf(operation.expected) : undefined;
      return run.answerSwap(id, await store.swap(key, expected, next));
    } catch (error) {
      run.fail(id, error instanceof Error ? error.message : String(error));
    }
  };

  await new Promise<void>((resolve, reject) => {
    let isDue = false;
    // Answers that come in one turn of the event loop are passed on together.
    const goOnSoon = (): void => {
      if (isDue) return;
      isDue = true;
      setImmediate(goOn);
    };
    const goOn = (): void => {
      isDue = false;
      try {
        for (const operation of run.operations()) answer(operation).then(goOnSoon, reject);
        if (run.report() !== null) resolve();
      } catch (error) {
        reject(error);
      }
    };
    goOn();
  });
  const report = readDocument<{
    passed: boolean;
    check: string;
    promise: string | null;
    message: string;
    notObserved: string[];
  }>(run.report() as string);
  if (!report.passed) throw new ConformanceError(report.check, report.promise, report.message);
  return { notObserved: report.notObserved };
}
