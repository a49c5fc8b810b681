// Asks the server, and proves each time that the same browser asks.

import { askWithProof, findKey, forgetKey, openKey } from "./proof.js";

export const settings = JSON.parse(document.body.dataset.settings);

/** Only the page of this client and these endpoints. */
export const place = `otp-grant ${settings.endpoints.send} ${settings.client}`;

/** The key of this browser, once something was asked with it. */
let ownKey = null;

/** The answer of a page that can't ask. */
export const NO_KEY = { ok: false, error: "no_key" };

// Requests.

async function post(endpoint, body, type) {
  return ask(endpoint, { method: "POST", headers: { "Content-Type": type }, body });
}

export const postJson = (endpoint, members) => post(endpoint, JSON.stringify(members), "application/json");
export const postForm = (endpoint, members) =>
  post(endpoint, new URLSearchParams(members).toString(), "application/x-www-form-urlencoded");

export const askUserinfo = (tokens) => ask("userinfo", { method: "GET" }, tokens);

/** Sends a request, with a proof of the key where there is one. Signing out needs none, and must work without. */
async function exchange(endpoint, options, tokens) {
  const signal = AbortSignal.timeout(30000);
  const send = (headers) => fetch(settings.endpoints[endpoint], {
    credentials: "omit", cache: "no-store", redirect: "error", signal, ...options, headers: { ...options.headers, ...headers },
  });
  if (tokens?.token_type === "Bearer") return send({ Authorization: `Bearer ${tokens.access_token}` });
  if (!ownKey || endpoint === "revoke") return send({});
  // The proof is for the URL that the server knows itself by, at whatever address this page was opened.
  const { method } = options;
  return askWithProof(ownKey, { method, url: settings.urls[endpoint], accessToken: tokens?.access_token }, send);
}

/** Gives the answer; status 0 where there was none. */
async function ask(endpoint, options, tokens) {
  try {
    const reply = await exchange(endpoint, options, tokens);
    const text = await reply.text();
    const body = parsed(text);
    return {
      ok: reply.ok,
      status: reply.status,
      body,
      error: body?.error ?? challengeOf(reply.headers.get("WWW-Authenticate")),
      description: body?.error_description,
      attemptsRemaining: body?.attempts_remaining,
      retryAfter: Number.parseInt(reply.headers.get("Retry-After") ?? "", 10),
    };
  } catch {
    return { ok: false, status: 0 };
  }
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The error that a resource names in its header (RFC 6750 section 3). */
function challengeOf(header) {
  return header?.match(/error="([^"]*)"/)?.[1];
}

// The key.

/** Gets the key of this browser, before something is asked with it. False where there has to be one and can't. */
export async function hasKey() {
  if (settings.dpop !== "off") ownKey ??= await openKey(place);
  return ownKey !== null || settings.dpop !== "required";
}

/** Takes the key with this thumbprint, for what was asked with it. False where it is gone. */
export async function reuseKey(thumbprint) {
  if (settings.dpop === "off") return false;
  if (ownKey?.thumbprint !== thumbprint) {
    const kept = await findKey(place);
    if (kept?.thumbprint !== thumbprint) return false;
    ownKey = kept;
  }
  return true;
}

/** The thumbprint of the key that requests are proved with. */
export const keyInUse = () => ownKey?.thumbprint;

/** Stops using the key. Another tab may still have a use for it. */
export function releaseKey() {
  ownKey = null;
}

/** Forgets the key for good. */
export async function discardKey() {
  const used = ownKey;
  ownKey = null;
  if (used) await forgetKey(place, used);
}
