// What an address has left, as the addon tells it.

import type { AddressState, BudgetState } from './types.js';

interface Budget {
  readonly left: number | null;
  readonly available_at: number | null;
}

interface Document {
  readonly is_locked: boolean;
  readonly guesses: Budget;
  readonly sends: Budget;
  readonly challenges: { readonly code_expires_at: number; readonly expires_at: number; readonly guesses_left: number }[];
  readonly devices: { readonly known_until: number; readonly guesses: Budget; readonly sends: Budget }[];
}

/** Reads the document of the addon. */
export function addressState(text: string): AddressState {
  const { is_locked, guesses, sends, challenges, devices } = JSON.parse(text) as Document;
  return {
    isLocked: is_locked,
    guesses: budget(guesses),
    sends: budget(sends),
    challenges: challenges.map(({ code_expires_at, expires_at, guesses_left }) => ({
      codeExpiresAt: new Date(code_expires_at),
      expiresAt: new Date(expires_at),
      guessesLeft: guesses_left,
    })),
    devices: devices.map(({ known_until, guesses, sends }) => ({
      knownUntil: new Date(known_until),
      guesses: budget(guesses),
      sends: budget(sends),
    })),
  };
}

function budget({ left, available_at }: Budget): BudgetState {
  return { ...(left === null ? {} : { left }), ...(available_at === null ? {} : { availableAt: new Date(available_at) }) };
}
