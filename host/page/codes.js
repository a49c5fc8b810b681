// What people type and paste, read as a code or as a phone number.

/**
 * The code in a text: typed, pasted with blanks or dashes in it, or pasted with the message around it. Null where there
 * is none, or more than one that could be it. What can't be a code is not sent, since each attempt counts.
 */
export function readCode(text, length, alphabet) {
  const folded = foldCase(plain(text), alphabet);
  const isCode = (part) => part.length === length && [...part].every((character) => alphabet.includes(character));
  const whole = folded.replace(BETWEEN, "");
  if (isCode(whole)) return whole;
  const runs = folded.match(/[\p{L}\p{N}]+/gu) ?? [];
  // "123 456" in the middle of a message.
  const groups = (folded.match(/[0-9](?:[\s\p{Cf}\p{Pd}]?[0-9])*/gu) ?? []).map((group) => group.replace(BETWEEN, ""));
  for (const parts of [runs, groups]) {
    const codes = new Set(parts.filter(isCode));
    if (codes.size > 0) return codes.size === 1 ? [...codes][0] : null;
  }
  return null;
}

/** A text with the digits of every script as ASCII digits, and wide or styled characters as plain ones. */
export function plain(text) {
  return text.normalize("NFKC").replace(/\p{Nd}/gu, (digit) => String(digitValue(digit)));
}

/** Unicode has the digits of each script in order, from zero to nine, and nothing but such tens in a row. */
function digitValue(digit) {
  const at = digit.codePointAt(0);
  let first = at;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
  return (at - first) % 10;
}

function foldCase(text, alphabet) {
  if (!/[A-Za-z]/.test(alphabet)) return text;
  if (!/[a-z]/.test(alphabet)) return text.toUpperCase();
  return /[A-Z]/.test(alphabet) ? text : text.toLowerCase();
}

/** Blanks, dashes, and what can't be seen. */
const BETWEEN = /[\s\p{Cf}\p{Pd}]/gu;
