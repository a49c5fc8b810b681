// Proves to a server that the same browser asks again: DPoP (RFC 9449) and code challenges (RFC 7636).
//
// Nothing here is about the login page. Another page can copy this file. It has no dependency, and needs a secure
// context (https, or a loopback address), WebCrypto and IndexedDB. A page uses it like this:
//
//   const key = await openKey("my-page");      // Null: this browser can't make or keep a key.
//   const reply = await askWithProof(key, { method: "POST", url: tokenUrl }, (headers) =>
//     fetch(tokenUrl, { method: "POST", body: form, headers }));
//   const { access_token, token_type } = await reply.json();       // The token_type of a bound token is "DPoP".
//   await askWithProof(key, { method: "GET", url: apiUrl, accessToken: access_token }, (headers) =>
//     fetch(apiUrl, { headers }));
//   await forgetKey("my-page", key);           // When the user signs out.
//
// What this gives: the server binds the tokens to the key, and each request proves that its sender has the key. A token
// that was stolen from a log, a proxy or the memory of the page is worth nothing on another machine.
//
// What it does not give: a script that was injected into the page can't read the key, but can sign with it for as long
// as it runs, and can make proofs for later. Proofs are good for a minute, and a server that wants nonces takes none
// that was made too early. A Content-Security-Policy has to keep such scripts out in the first place.

/** Whether this browser can sign and hash here. It can't on a page that was loaded over plain http. */
export const canProve = Boolean(globalThis.crypto?.subtle);

// The key.

/**
 * Gives the key of this name, and makes it where there is none: the same in each tab, and after a reload. Null where
 * there can be none: without WebCrypto or IndexedDB, and in private windows that store no key.
 */
export async function openKey(name) {
  if (!canProve) return null;
  try {
    const kept = await findKey(name);
    if (kept) return kept;
    const made = await newKey();
    // A transaction ends while it waits for anything but itself, so the key is made before. If another tab was faster,
    // its key is the one for both.
    return await withKeys(name, "readwrite", async (keys) => {
      const found = await done(keys.get(ONLY));
      if (isKey(found)) return found;
      await done(keys.put(made, ONLY));
      return made;
    });
  } catch (error) {
    console.warn(error);
    return null;
  }
}

/** Gives the key of this name, or null where there is none. */
export async function findKey(name) {
  if (!canProve) return null;
  try {
    const found = await withKeys(name, "readonly", (keys) => done(keys.get(ONLY)));
    return isKey(found) ? found : null;
  } catch (error) {
    console.warn(error);
    return null;
  }
}

/** Forgets a key. The key that another tab made under this name meanwhile stays. */
export async function forgetKey(name, key) {
  try {
    await withKeys(name, "readwrite", async (keys) => {
      const found = await done(keys.get(ONLY));
      if (found?.thumbprint === key.thumbprint) await done(keys.delete(ONLY));
    });
  } catch (error) {
    console.warn(error);
  }
}

/** Makes a key whose private half never leaves the browser: `false` says that no script can export it. */
async function newKey() {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    { name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"],
  );
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  // RFC 7638: these members in this order. The server names the key in the tokens by the same thumbprint (`cnf.jkt`).
  const thumbprint = await sha256(JSON.stringify({ crv, kty, x, y }));
  return { privateKey, jwk: { kty, crv, x, y }, thumbprint };
}

const isKey = (kept) => kept?.privateKey instanceof CryptoKey;

/**
 * Does some work on the stored keys in one transaction, and waits for its end. IndexedDB can store a key that can't be
 * exported, as a handle. Local storage can't: it has only text.
 */
async function withKeys(name, mode, work) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
  const database = await done(opening);
  try {
    const transaction = database.transaction("keys", mode);
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const [result] = await Promise.all([work(transaction.objectStore("keys")), ended]);
    return result;
  } finally {
    database.close();
  }
}

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const ONLY = "dpop";

// Proofs.

/** The newest nonce of each server. */
const nonces = new Map();
/** How many seconds the clock of each server is ahead of the one here, where that matters. */
const clocks = new Map();

/**
 * Sends a request with a fresh proof. `send` gets the headers and does the request; it is called again where the server
 * wants a proof with a nonce, or one that fits its clock. Both are refused before anything is done, so that repeating is
 * safe. With an access token the proof is for it, and the headers have both.
 *
 * For a server of another origin, its CORS has to allow the header DPoP, and to expose DPoP-Nonce, Date and
 * WWW-Authenticate.
 */
export async function askWithProof(key, { method, url, accessToken }, send) {
  const server = new URL(url).origin;
  const repeated = new Set();
  for (;;) {
    const issuedAt = Math.floor(Date.now() / 1000) + (clocks.get(server) ?? 0);
    const proof = await proofOf(key, { method, url, accessToken, issuedAt, nonce: nonces.get(server) });
    const reply = await send({ DPoP: proof, ...(accessToken ? { Authorization: `DPoP ${accessToken}` } : {}) });
    const nonce = reply.headers.get("DPoP-Nonce");
    if (nonce) nonces.set(server, nonce);
    const error = reply.ok ? null : await errorOf(reply);
    // Once for each reason: a server that is never content must not be asked for ever.
    if (repeated.has(error)) return reply;
    repeated.add(error);
    const canMend = (error === "use_dpop_nonce" && nonce)
      || (error === "invalid_dpop_proof" && setClock(server, reply, issuedAt));
    if (!canMend) return reply;
    // Read to its end, its connection can be used for the next.
    await reply.text();
  }
}

/** Builds a proof for one request: a JWT that the key signs, with its public half in the header. */
export async function proofOf(key, { method, url, accessToken, issuedAt, nonce }) {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk };
  const claims = {
    // No two proofs are the same: a server refuses one that it has seen.
    jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
    htm: method,
    // The URL as the server knows itself, without query and fragment.
    htu: url.split(/[?#]/)[0],
    iat: issuedAt,
    // JSON leaves out what is undefined.
    nonce,
    ath: accessToken && await sha256(accessToken),
  };
  const signed = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  // WebCrypto signs in the form that a JWS has: r and s, 32 bytes each.
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, utf8(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

/** The error of a reply: in the header of an API, or in the body of an authorization server. */
async function errorOf(reply) {
  const named = reply.headers.get("WWW-Authenticate")?.match(/DPoP .*?error="([^"]*)"/)?.[1];
  if (named) return named;
  try {
    // The caller reads the body as well.
    return (await reply.clone().json()).error;
  } catch {
    return undefined;
  }
}

/**
 * Learns the clock of a server that refused a proof. Many clocks of users are wrong by more than the seconds that a
 * server accepts. Tells whether a proof of another time can help.
 */
function setClock(server, reply, issuedAt) {
  const theirs = Math.floor(Date.parse(reply.headers.get("Date") ?? "") / 1000);
  if (!Number.isFinite(theirs) || Math.abs(theirs - issuedAt) < 3) return false;
  clocks.set(server, theirs - Math.floor(Date.now() / 1000));
  return true;
}

// Code challenges.

/** Draws a code verifier. Whoever asks for a code keeps it, and shows it when they redeem the code. */
export const newVerifier = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** The challenge of a verifier, of the method S256. */
export const codeChallenge = (verifier) => sha256(verifier);

// Bytes.

const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (text) => base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text))));
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
