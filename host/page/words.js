// What the page says, in the language of its user: errors, times and claims in plain words.

import ar from "./words_ar.js";
import en from "./words_en.js";
import { settings } from "./server.js";

const LANGUAGES = { en, ar };

/** The language of the page: that of the settings, or the first that the browser asks for. */
const language = settings.locale !== "auto" ? settings.locale
  : navigator.languages.map((tag) => tag.split("-")[0].toLowerCase()).find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
export const words = LANGUAGES[language];

/** Writes the words into the document. The title and the hint are the operator's. */
export function writeWords() {
  document.documentElement.lang = language;
  document.documentElement.dir = words.direction;
  for (const element of document.querySelectorAll("[data-words]")) element.textContent = words.page[element.dataset.words];
  const title = settings.title ?? words.page.title;
  document.title = title;
  document.getElementById("title").textContent = title;
}

/**
 * Explains an answer of the server that is not a success. Where a code was asked for, there is a channel; `undelivered`
 * says that the one before could not be sent to the same address, and `device` that this device is remembered for it.
 */
export function explain(answer, channel, undelivered = false, device = undefined) {
  const { status, error, description, retryAfter, attemptsRemaining } = answer;
  if (status === 0) return words.unreachable;
  if (status === 429) return words.tooMany;
  switch (error) {
    case "sms_rate_limit_exceeded":
    case "email_rate_limit_exceeded": {
      const what = error.startsWith("sms") ? words.thisPhone : words.thisEmail;
      const when = inWords(retryAfter);
      if (undelivered) return words.undelivered(what, when);
      if (retryAfter <= 120) return words.justSent(what, when);
      return words.locked(what, when, atTime(retryAfter), Boolean(device));
    }
    case "temporarily_unavailable": {
      const when = retryAfter > 0 ? inWords(retryAfter) : words.inAMoment;
      return channel === undefined ? words.unavailable(when) : words.notSent(when);
    }
    case "invalid_grant":
      if (description === "Unknown or expired OTP" && attemptsRemaining === 0) return words.lastAttempt;
      return words.grants[description] ?? words.otherGrant;
    case "invalid_request":
      // Only a browser that can't make one leaves it out.
      if (description === "code_challenge is missing") return words.errors.no_key;
      if (description === "Mismatched OTP token and OTP sending parameters") return words.mismatch;
      return words.notUnderstood(description ?? error);
    case "invalid_auth_source":
    case "invalid_client":
    case "invalid_scope":
    case "unauthorized_client":
    case "unsupported_grant_type":
      return words.misconfigured(error);
  }
  if (Object.hasOwn(words.errors, error ?? "")) return words.errors[error];
  if (status === 408) return words.tooSlow;
  if (status >= 500) return words.serverError;
  return words.unknownStatus(status);
}

/** Says how many attempts are left. */
export function attempts(count) {
  return count === undefined ? "" : counted(words.attempts, count);
}

/** A number with what it counts, in the form that the language has for this number. */
export function counted(forms, count) {
  return (forms[plurals.select(count)] ?? forms.other).replace("#", count);
}
const plurals = new Intl.PluralRules(words.locale);

/** A number of seconds ahead in words: "in 2 minutes". */
function inWords(seconds) {
  if (!Number.isFinite(seconds)) return words.later;
  return seconds > 0 ? words.in(duration(seconds)) : words.now;
}

/** A time that lies some seconds ahead, by the clock of this device: ", at 18:05", or ", on Monday at 18:05". */
function atTime(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const [now, then] = [new Date(), new Date(Date.now() + seconds * 1000)];
  const isToday = now.toDateString() === then.toDateString();
  const weekday = isToday ? null : then.toLocaleDateString(words.locale, { weekday: "long" });
  return words.at(then.toLocaleTimeString(words.locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }), weekday);
}

/** A number of seconds in words, in the two units that matter. */
export function duration(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return counted(words.units.second, 0);
  const parts = [];
  let rest = Math.floor(seconds);
  for (const [name, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(counted(words.units[name], count));
  }
  return parts.join(words.and);
}

/**
 * A claim's value as text; a time with how far it is from when the token was issued. Compared with the clock of this
 * machine it would soon be untrue, and where that clock is wrong, at once.
 */
export function claimText(name, value, issued) {
  if (TIMES.has(name) && typeof value === "number") {
    const date = new Date(value * 1000).toLocaleString(words.locale, { dateStyle: "medium", timeStyle: "medium" });
    if (typeof issued !== "number" || value === issued) return date;
    return words.issued(date, duration(Math.abs(value - issued)), value > issued);
  }
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? words.yes : words.no;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(", ");
  return JSON.stringify(value);
}

/** What a claim means, where it is one of the usual ones. */
export function claimMeaning(name) {
  return Object.hasOwn(words.claims, name) ? words.claims[name] : undefined;
}

const TIMES = new Set(["exp", "iat", "nbf", "auth_time", "updated_at"]);
