// What was asked for last: the code that a user waits for. It is kept in the tab through a reload, and other tabs can have
// it. Without the code of the message it is worth nothing.

import { after, secondsUntil } from "./clock.js";
import { deviceToken } from "./devices.js";
import { canProve, codeChallenge, newVerifier } from "./proof.js";
import { hasKey, keyInUse, NO_KEY, parsed, place, postJson, reuseKey, settings } from "./server.js";

/**
 * Channel, address, otp_token, the verifier and the thumbprint of the key that it needs, when it and the code end, and
 * when another can be had.
 */
export let challenge = null;
/** The verifier of every code that is asked for one address, also where an answer was lost. */
let drawn = null;
/** The address that a code could not be sent to, the last time. */
let undelivered = null;

export const addressMember = (at, address) => ({ [at === "sms" ? "phone_number" : "email"]: address });

/** An address without what only spells it. The server knows more of that; here it saves a message. */
export function key(at, address) {
  return `${at} ${at === "sms" ? address.replace(/[\s().-]/g, "") : address.toLowerCase()}`;
}

/** Has a code sent. */
export async function requestCode(at, address) {
  if (!(await hasKey())) return NO_KEY;
  const verifier = verifierFor(at, address);
  const device = await deviceToken(key(at, address));
  const answer = await postJson("send", {
    client_id: settings.client,
    ...(device ? { device_token: device } : {}),
    auth_source_id: settings.sources[at],
    usage: "login",
    ...(verifier ? { code_challenge: await codeChallenge(verifier), code_challenge_method: "S256" } : {}),
    ...addressMember(at, address),
  });
  if (answer.ok) {
    const { otp_token, expires_in, code_expires_in, code_length, resend_after } = answer.body;
    await adopt({
      channel: at,
      address,
      otpToken: otp_token,
      verifier,
      jkt: keyInUse(),
      length: code_length,
      endsAt: after(expires_in),
      codeEndsAt: code_expires_in === undefined ? null : after(code_expires_in),
      resendAt: after(resend_after),
    });
    undelivered = null;
  } else if (isFor(challenge, at, address) && answer.retryAfter) {
    challenge.resendAt = after(answer.retryAfter);
    remember();
  }
  return answer;
}

/** The same for each code of one login: with another, the server would send another code. */
function verifierFor(at, address) {
  if (!canProve) return undefined;
  if (isFor(challenge, at, address) && challenge.verifier) return challenge.verifier;
  if (drawn?.of !== key(at, address)) drawn = { of: key(at, address), verifier: newVerifier() };
  return drawn.verifier;
}

/** Whether the last code for this address could not be sent. */
export const wasUndelivered = (at, address) => undelivered === key(at, address);

/** A code that could not be sent is why there is none, if the next request comes too early. */
export function noteFailure(answer, at, address) {
  if (answer.error === "temporarily_unavailable") undelivered = key(at, address);
}

// As it is kept: in the tab, and by other tabs.

export const isLive = (kept) => Boolean(kept) && secondsUntil(kept.endsAt) > 0;
export const isFor = (kept, at, address) => isLive(kept) && key(kept.channel, kept.address) === key(at, address);

const tabs = new BroadcastChannel(place);

/** Takes over what was asked for. */
export async function adopt(other) {
  if (!isLive(other) || typeof other.otpToken !== "string" || !settings.sources[other.channel]) return;
  // Without the key that the code was asked with, it can't be redeemed.
  if (other.jkt && !(await reuseKey(other.jkt))) return;
  challenge = other;
  remember();
}

/** Keeps what was asked for through a reload. A browser that keeps nothing costs just that. */
function remember() {
  try {
    if (isLive(challenge)) sessionStorage.setItem(place, JSON.stringify(challenge));
    else sessionStorage.removeItem(place);
  } catch (error) {
    console.warn(error);
  }
}

/** Finds what was asked for before a reload. */
export async function recall() {
  try {
    await adopt(parsed(sessionStorage.getItem(place)));
  } catch (error) {
    console.warn(error);
  }
  remember();
}

/** Notes how many attempts the code has left. */
export function noteAttempts(left) {
  challenge.attemptsLeft = left;
  remember();
}

/** Tells the other tabs that a code was used. */
export const announceUse = (otpToken) => tabs.postMessage({ used: otpToken });

/** Calls back when the code was used in another tab. */
export function onUsedElsewhere(work) {
  usedElsewhere = work;
}
let usedElsewhere = () => {};

/** Asks the other tabs of this browser what they asked for: a message that was sent for one can be used in each. */
export async function ofOtherTab(at, address) {
  return new Promise((resolve) => {
    waiting = (found) => isFor(found, at, address) && resolve(found);
    tabs.postMessage({ wanted: key(at, address) });
    setTimeout(resolve, 100, null);
  });
}
let waiting = () => {};

tabs.addEventListener("message", ({ data }) => {
  if (data.wanted && isLive(challenge) && key(challenge.channel, challenge.address) === data.wanted) {
    tabs.postMessage({ found: challenge });
  }
  if (data.found) waiting(data.found);
  if (data.used && challenge?.otpToken === data.used) {
    forget();
    usedElsewhere();
  }
});

/** Forgets what was asked for. */
export function forget() {
  challenge = null;
  drawn = null;
  remember();
}
