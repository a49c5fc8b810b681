// What the page says: errors, times and claims in plain words.

/**
 * Explains an answer of the server that is not a success. Where a code was asked for, there is a channel; `undelivered`
 * says that the one before could not be sent to the same address, and `device` that this device is remembered for it.
 */
export function explain(answer, channel, undelivered = false, device = undefined) {
  const { status, error, description, retryAfter, attemptsRemaining } = answer;
  if (status === 0) return "The server can't be reached. Check your connection, and try again.";
  switch (error) {
    case "malformed_phone_number":
      return "That is not a phone number we can read. Write it with + and the country code, such as +86 136 1234 5678.";
    case "malformed_email":
      return "That is not an e-mail address we can read. It should look like name@example.com.";
    case "phone_number_is_used":
      return "This phone number already belongs to an account.";
    case "email_is_used":
      return "This e-mail address already belongs to an account.";
    case "invalid_email":
      return "No message can be sent to this address. Please use another one.";
    case "invalid_phone_number":
      return "No message can be sent to this phone number. Please use another one.";
    case "insufficient_sms_quota":
      return "No more text messages can be sent at the moment. Please try again later, or use e-mail.";
    case "insufficient_email_quota":
      return "No more e-mail can be sent at the moment. Please try again later.";
    case "sms_rate_limit_exceeded":
    case "email_rate_limit_exceeded": {
      const what = error.startsWith("sms") ? "this phone number" : "this e-mail address";
      if (undelivered) return `The code could not be sent to ${what}. You can ask for it again ${inWords(retryAfter)}.`;
      if (retryAfter <= 120) return `We sent a code only just now to ${what}. Please try again ${inWords(retryAfter)}.`;
      return `Signing in with ${what} is locked for now: too many codes were asked for, or tried. You can try again `
        + `${inWords(retryAfter)}${atTime(retryAfter)}.${device ? "" : " A device that remembers you is not locked."}`;
    }
    case "challenge_required":
      return "We can't send a code there from here right now. Please try again later, or with another address.";
    case "temporarily_unavailable": {
      const when = retryAfter > 0 ? inWords(retryAfter) : "in a moment";
      return channel === undefined
        ? `Something does not work on our side. Nothing is lost: please try again ${when}.`
        : `The code could not be sent. Please try again ${when}.`;
    }
    case "invalid_grant":
      return explainGrant(description, attemptsRemaining);
    case "invalid_request":
      // Only a browser that can't make one leaves it out.
      if (description === "code_challenge is missing") return NO_KEY;
      return description === "Mismatched OTP token and OTP sending parameters"
        ? "This code was sent for something else. Please ask for a new one."
        : `The server did not understand the page (${description ?? error}). Please reload it.`;
    case "invalid_auth_source":
    case "invalid_client":
    case "invalid_scope":
    case "unauthorized_client":
    case "unsupported_grant_type":
      return `This page is not set up correctly (${error}). Please tell whoever runs it.`;
    case "invalid_token":
      return "This access token has expired or was revoked. Refresh the tokens, or sign in again.";
    case "insufficient_scope":
      return "This access token does not allow asking who you are.";
    case "no_key":
      return NO_KEY;
    case "invalid_dpop_proof":
    case "use_dpop_nonce":
      return "The server did not accept what this browser proved. Check that the clock of this device is right, and reload the page.";
  }
  if (status === 408) return "The connection is too slow: the server did not wait for it. Please try again.";
  if (status === 429) return "Too many requests come from here. Please wait a little.";
  if (status >= 500) return "Something does not work on our side. Please try again in a moment.";
  return `The server gave an answer that this page does not know (${status}). Please reload it.`;
}

function explainGrant(description, attemptsRemaining) {
  switch (description) {
    case "Unknown or expired OTP":
      return attemptsRemaining === 0
        ? "That code is wrong or too old, and this was the last attempt. Please ask for a new code."
        : "That code is wrong or too old. Please look at it again, or ask for a new one.";
    case "Unknown or expired otp_token":
      return "This code can't be used any more: it is too old, was used, or was guessed at too often. Please ask for a new one.";
    case "User not found":
      return "The code is right, but nobody has an account with this address.";
    case "Abnormal user status":
      return "This account is locked or not active. Please ask for help where you got it.";
    case "Unknown or expired refresh_token":
      return "Your session is over. Please sign in again.";
  }
  return "You can't sign in with this. Please start again.";
}

/** Says how many attempts are left. */
export function attempts(count) {
  if (count === undefined) return "";
  return count === 1 ? "1 attempt left." : `${count} attempts left.`;
}

/** A number of seconds ahead in words: "in 2 minutes". */
function inWords(seconds) {
  if (!Number.isFinite(seconds)) return "later";
  return seconds > 0 ? `in ${duration(seconds)}` : "now";
}

/** A time that lies some seconds ahead, by the clock of this device: ", at 18:05", or ", on Monday at 18:05". */
function atTime(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const [now, then] = [new Date(), new Date(Date.now() + seconds * 1000)];
  const isToday = now.toDateString() === then.toDateString();
  const day = isToday ? "" : `on ${then.toLocaleDateString("en-GB", { weekday: "long" })} `;
  return `, ${day}at ${then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** A number of seconds in words, in the two units that matter. */
export function duration(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 seconds";
  const parts = [];
  let rest = Math.floor(seconds);
  for (const [name, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? "" : "s"}`);
  }
  return parts.join(" ");
}

/**
 * A claim's value as text; a time with how far it is from when the token was issued. Compared with the clock of this
 * machine it would soon be untrue, and where that clock is wrong, at once.
 */
export function claimText(name, value, issued) {
  if (TIMES.has(name) && typeof value === "number") {
    const date = new Date(value * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
    if (typeof issued !== "number" || value === issued) return date;
    return `${date} (${duration(Math.abs(value - issued))} ${value > issued ? "after" : "before"} it was issued)`;
  }
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(", ");
  return JSON.stringify(value);
}

/** What a claim means, where it is one of the usual ones. */
export function claimMeaning(name) {
  return MEANINGS[name];
}

const NO_KEY = "You can't sign in with this browser here: it can't keep the key that signing in needs. Use a window that is not "
  + "private and a browser that is up to date, and open this page with https.";

const TIMES = new Set(["exp", "iat", "nbf", "auth_time", "updated_at"]);

const MEANINGS = {
  alg: "signed with", kid: "key", typ: "type", sub: "who", aud: "for which application", azp: "asked for by",
  iss: "issued by", exp: "expires", iat: "issued", nbf: "valid from", jti: "number of the token", sid: "session",
  scope: "what it allows", cnf: "good only with this key", auth_time: "signed in", amr: "how", client_id: "application", name: "name", email: "e-mail",
  email_verified: "e-mail proved", phone_number: "phone number", phone_number_verified: "phone number proved",
  preferred_username: "user name",
};
