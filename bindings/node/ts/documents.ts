// Documents for the addon, and of the addon.

import { types } from 'node:util';
import { ConfigurationError } from './errors.js';
import { camelCase, snakeCase } from './names.js';

/** Members whose own members are not converted: they are named by URIs, or by the standard for JWKs. */
const KEPT = new Set(['grantTypes', 'external', 'published']);

/** Writes a document for the addon: instants in milliseconds since 1970. Refuses names that are not in camelCase: a member would otherwise have two names. */
export function documentText(document: object): string {
  return JSON.stringify(converted(document, ''));
}

/** Reads a document of the addon: names in camelCase, no `null`, and the instants among its members as `Date`. */
export function readDocument<T>(text: string, instants: readonly string[] = []): T {
  const read: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(JSON.parse(text) as Record<string, unknown>)) {
    if (member === null) continue;
    const camel = camelCase(name);
    read[camel] = instants.includes(camel) && typeof member === 'number' ? new Date(member) : member;
  }
  return read as T;
}

/** Reads bytes of the addon, which passes each as one character. They are a view of Node's pool, as most buffers are. */
export function bytesOf(characters: string): Buffer {
  return Buffer.from(characters, 'latin1');
}

/** Reads bytes into memory of their own, for what a host can pass on as a whole: its `buffer` has nothing else in it. */
export function ownBytesOf(characters: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(characters.length);
  bytes.write(characters, 'latin1');
  return bytes;
}

function converted(value: unknown, place: string): unknown {
  if (Array.isArray(value)) return value.map((element, at) => converted(element, `${place}[${at}]`));
  if (typeof value !== 'object' || value === null) return value;
  if (types.isDate(value)) return value.getTime();
  const members: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const at = place === '' ? name : `${place}.${name}`;
    if (name.includes('_')) throw new ConfigurationError(at, 'unknown: names are in camelCase');
    // The keys of a client are JWKs. The keys of a server are an object.
    const isKept = KEPT.has(name) || (name === 'keys' && Array.isArray(member));
    if (member !== undefined) members[snakeCase(name)] = isKept ? member : converted(member, at);
  }
  return members;
}
