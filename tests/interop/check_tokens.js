// Checks the tokens of a running host with the npm package jose: check_tokens.js ISSUER OUTBOX ALGORITHM
//
// Logs in over e-mail. jose has to accept what the host issues and to refuse what is wrong with it; the host has to
// refuse what jose signs with another key.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";

import * as jose from "jose";

// jose expects it; before Node 20 it was not global.
globalThis.crypto ??= webcrypto;

const [issuer, outbox, algorithm] = process.argv.slice(2);
const client = { client_id: "TENANT_CLIENT_ID", client_secret: "TENANT_CLIENT_SECRET" };
const api = { client_id: "API_CLIENT_ID", client_secret: "API_CLIENT_SECRET" };
const required = {
  access_token: ["iss", "aud", "exp", "iat", "sub", "jti", "nbf", "scope", "sid"],
  id_token: ["iss", "aud", "exp", "iat", "sub", "jti", "azp", "auth_time", "amr", "sid"],
};
// How long what the host issues may live, in seconds.
const validity = { access_token: 300, id_token: 1800 };

async function call(url, options = {}) {
  const reply = await fetch(url, { ...options, signal: AbortSignal.timeout(10_000) });
  return [reply.status, await reply.json()];
}

function postJson(url, body) {
  return call(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

function postForm(url, body) {
  return call(url, { method: "POST", body: new URLSearchParams(body) });
}

async function logIn() {
  const source = { auth_source_id: "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", email: "MOCK_USERNAME@example.com" };
  const [status, { otp_token }] = await postJson(server.otp_send_endpoint, { ...client, ...source });
  assert.equal(status, 200, "send");
  const { code } = JSON.parse(readFileSync(outbox, "utf8").trimEnd().split("\n").at(-1));
  const grant_type = server.grant_types_supported.find((name) => name.endsWith("/otp/email"));
  const grant = { grant_type, ...client, ...source, otp_token, otp: code };
  const [granted, tokens] = await postJson(server.token_endpoint, grant);
  assert.equal(granted, 200, "login");
  return tokens;
}

async function refresh({ refresh_token }) {
  const form = { grant_type: "refresh_token", ...client, refresh_token };
  const [status, tokens] = await postForm(server.token_endpoint, form);
  assert.equal(status, 200, "refresh");
  return tokens;
}

/** Verifies as an API would: the key is the one that the token names. */
function verify(name, token, changes = {}) {
  const expected = { issuer, audience: client.client_id, algorithms: [algorithm], typ: "JWT" };
  return jose.jwtVerify(token, keys, { ...expected, requiredClaims: required[name], ...changes });
}

/** jose accepts both tokens. */
async function checkAccepted(tokens) {
  for (const name of Object.keys(required)) {
    const { payload, protectedHeader } = await verify(name, tokens[name]);
    assert.equal(payload.sub, "MOCK_USER_ID");
    assert.equal(payload.exp - payload.iat, validity[name], `validity of the ${name}`);
    const { kid } = protectedHeader;
    assert.deepEqual(protectedHeader, { kid, typ: "JWT", alg: algorithm });
    // The key identifier is the thumbprint of the key (RFC 7638), as jose computes it.
    const jwk = keys.jwks().keys.find((key) => key.kid === kid);
    assert.equal(await jose.calculateJwkThumbprint(jwk), kid, "thumbprint");
  }
}

/** jose refuses altered tokens, and genuine ones where something else is expected. */
async function checkRefused(tokens) {
  for (const name of Object.keys(required)) {
    const token = tokens[name];
    const [header, payload, signature] = token.split(".");
    const claims = jose.decodeJwt(token);
    const otherPayload = jose.base64url.encode(JSON.stringify({ ...claims, sub: "SOMEBODY_ELSE" }));
    // The first character: the last one has bits that mean nothing.
    const otherSignature = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
    for (const altered of [`${header}.${otherPayload}.${signature}`, `${header}.${payload}.${otherSignature}`]) {
      await assert.rejects(verify(name, altered), jose.errors.JWSSignatureVerificationFailed);
    }

    const wrong = (claim) => ({ code: "ERR_JWT_CLAIM_VALIDATION_FAILED", claim });
    await assert.rejects(verify(name, token, { audience: "OTHER" }), wrong("aud"));
    await assert.rejects(verify(name, token, { issuer: `${issuer}/` }), wrong("iss"));
    await assert.rejects(verify(name, token, { typ: "at+jwt" }), wrong("typ"));
    const other = algorithm === "RS256" ? "ES256" : "RS256";
    await assert.rejects(verify(name, token, { algorithms: [other] }), jose.errors.JOSEAlgNotAllowed);
    const later = new Date((claims.exp + 1) * 1000);
    await assert.rejects(verify(name, token, { currentDate: later }), jose.errors.JWTExpired);
  }
}

/** The host refuses what it did not sign, however well it is made. */
async function checkForgeries(tokens) {
  const genuine = tokens.access_token;
  const claims = jose.decodeJwt(genuine);
  assert.deepEqual(await hostSays(genuine), [200, true], "its own token");

  const { privateKey, publicKey } = await jose.generateKeyPair(algorithm, { extractable: true });
  const jwk = await jose.exportJWK(publicKey);
  const { kid } = jose.decodeProtectedHeader(genuine);
  for (const named of [{ kid }, {}, { kid, jwk }]) {
    const header = { alg: algorithm, typ: "JWT", ...named };
    const forged = await new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey);
    // It is a good token, but of another key.
    await jose.jwtVerify(forged, publicKey, { issuer, audience: client.client_id, algorithms: [algorithm] });
    assert.deepEqual(await hostSays(forged), [401, false], `forged with ${Object.keys(named)}`);
    await assert.rejects(verify("access_token", forged), jose.errors.JWSSignatureVerificationFailed);
  }

  // RFC 8725 section 2.1: no signature at all, and the public key as the secret of an HMAC.
  const unsigned = new jose.UnsecuredJWT(claims).encode();
  assert.deepEqual(await hostSays(unsigned), [401, false], "unsigned");
  const published = await jose.importJWK(keys.jwks().keys[0], algorithm, { extractable: true });
  const secret = new TextEncoder().encode(await jose.exportSPKI(published));
  const confused = await new jose.SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT", kid }).sign(secret);
  assert.deepEqual(await hostSays(confused), [401, false], "signed with the public key");
}

/** The status of userinfo, and whether introspection calls the token active. */
async function hostSays(token) {
  const [status] = await call(server.userinfo_endpoint, { headers: { Authorization: `Bearer ${token}` } });
  const [introspected, { active }] = await postForm(server.introspection_endpoint, { ...api, token });
  assert.equal(introspected, 200, "introspection");
  return [status, active];
}

const [, server] = await call(`${issuer}/.well-known/openid-configuration`);
assert.equal(server.issuer, issuer);
assert.deepEqual(server.id_token_signing_alg_values_supported, [algorithm]);
const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));

let tokens = await logIn();
await checkAccepted(tokens);
await checkRefused(tokens);
tokens = await refresh(tokens);
await checkAccepted(tokens);
await checkForgeries(tokens);
console.log(`${algorithm}: jose on Node ${process.version} agrees with the host`);
