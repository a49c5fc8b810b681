// What the clients here have in common: the send endpoint, which no library knows, and the codes.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";

import * as dpop from "dpop";
import * as jose from "jose";

// The libraries expect it; before Node 20 it was not global.
globalThis.crypto ??= webcrypto;

export const [issuer, outbox, keyFile, proofs] = process.argv.slice(2);
export const api = { id: "API_CLIENT_ID", secret: "API_CLIENT_SECRET" };
export const user = "MOCK_USER_ID";
export const address = { auth_source_id: "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", email: "MOCK_USERNAME@example.com" };

/** The private key of KEYED_CLIENT_ID. */
export async function clientKey() {
  const jwk = JSON.parse(readFileSync(keyFile, "utf8"));
  return { key: await jose.importJWK(jwk, "ES256"), kid: jwk.kid };
}

/**
 * Requests a code, with the members that say which client asks. With `keyPair` the request proves that key, once more
 * where the server has to ask for its nonce. That costs no assertion: the second request can have the same one. Returns
 * the members of the grant.
 */
export async function requestCode(endpoint, members, keyPair) {
  const ask = async (nonce) => {
    const headers = { "Content-Type": "application/json" };
    if (keyPair) {
      headers.DPoP = await dpop.generateProof(keyPair, endpoint, "POST", nonce);
    }
    const body = JSON.stringify({ ...address, ...members });
    return fetch(endpoint, { method: "POST", headers, body, signal: AbortSignal.timeout(10_000) });
  };
  let reply = await ask();
  if (keyPair && proofs === "nonces-are-required") {
    assert.equal((await reply.json()).error, "use_dpop_nonce");
    reply = await ask(reply.headers.get("DPoP-Nonce"));
  }
  const answer = await reply.json();
  assert.equal(reply.status, 200, `send: ${JSON.stringify(answer)}`);
  const { code } = JSON.parse(readFileSync(outbox, "utf8").trimEnd().split("\n").at(-1));
  return { ...address, otp_token: answer.otp_token, otp: code };
}

/** The name of the grant by e-mail, of those that the metadata lists. */
export function emailGrant(metadata) {
  return metadata.grant_types_supported.find((name) => name.endsWith("/otp/email"));
}

/** Refuses a token whose claims do not name the key. */
export async function assertBound(accessToken, keyPair) {
  assert.equal(jose.decodeJwt(accessToken).cnf?.jkt, await dpop.calculateThumbprint(keyPair.publicKey));
}
