// Remembers this device: the device token of an address, in the storage of this browser, under a hash of the address. The
// hash keeps an address out of plain sight. Who reads the storage can try all phone numbers, and find whose it is.
//
// A device token signs nobody in. Whoever copies it gets guesses and messages of their own for the one address, and
// still needs a code. Without it, whoever may send can use up the guesses of an address, and so lock its user out.

import { place, settings } from "./server.js";

/** Whether this browser can remember: a page that came without TLS can't hash. */
export const canRemember = Boolean(globalThis.crypto?.subtle) && canStore();

/** The token of an address, if this device is remembered for it. */
export async function deviceToken(address) {
  return canRemember ? localStorage.getItem(await name(address)) ?? undefined : undefined;
}

/** Keeps the token of a login. */
export async function rememberDevice(address, token) {
  try {
    localStorage.setItem(await name(address), token);
  } catch (error) {
    // Full, most likely. The user is signed in all the same.
    console.warn(error);
  }
}

/** Forgets the token of an address. */
export async function forgetDevice(address) {
  localStorage.removeItem(await name(address));
}

/** One name for the spellings of a number that differ by its country code, where the server says which one it assumes. */
function canonical(address) {
  const number = address.match(/^sms (?:(\+|00)?(\d+))$/);
  if (!number) return address;
  const [, international, digits] = number;
  if (international) return `sms +${digits}`;
  return settings.countryCode ? `sms +${settings.countryCode}${digits.replace(/^0+/, "")}` : address;
}

async function name(address) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${place} ${canonical(address)}`)));
  return `${place} device ${btoa(String.fromCharCode(...bytes))}`;
}

/** Reading alone can fail, where the browser keeps nothing. */
function canStore() {
  try {
    localStorage.getItem(place);
    return true;
  } catch {
    return false;
  }
}
