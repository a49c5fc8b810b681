import { Clock } from './native.js';

/** For tests: the system's clock, moved. Give it to `Server` and to `MemoryStore`. */
export class TestClock {
  readonly #clock = new Clock();

  /** Moves the clock by so many milliseconds. */
  advance(milliseconds: number): void {
    this.#clock.advance(milliseconds);
  }

  /** The time of this clock, in milliseconds since 1970. */
  now(): number {
    return Date.now() + this.#clock.offset;
  }

  /** @internal */
  static native(clock: TestClock): Clock {
    return clock.#clock;
  }
}

/** @internal */
export function clockOf(clock: TestClock | undefined): Clock | undefined {
  return clock && TestClock.native(clock);
}
