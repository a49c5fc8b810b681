// Lives with the tokens of a running host as a client of oauth4webapi does: oauth4webapi.js ISSUER OUTBOX KEY.jwk [nonces-are-required]
//
// A public client proves its key (DPoP), a confidential client signs assertions (private_key_jwt) and proves a key as
// well, and a public client sends a code challenge.

import assert from "node:assert/strict";

import * as oauth from "oauth4webapi";

import { address, api, assertBound, clientKey, emailGrant, issuer, requestCode, user } from "./demo.js";

// The issuer of a test is on the loopback interface.
const http = { [oauth.allowInsecureRequests]: true };
const server = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), http),
);
const inspector = { client_id: api.id };
const inspectorAuth = oauth.ClientSecretBasic(api.secret);

/** Sends a request, and sends it again where the server asks for its nonce. The handle remembers the nonce. */
async function withNonce(request) {
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) {
      throw error;
    }
    return request();
  }
}

async function logIn(client, auth, keyPair, handle, { onSend = {}, onGrant = {} }) {
  const members = { client_id: client.client_id, ...onSend };
  const grant = await requestCode(server.otp_send_endpoint, members, keyPair);
  return withNonce(async () => {
    const form = { ...grant, ...onGrant, scope: "openid email" };
    const reply = await oauth.genericTokenEndpointRequest(server, client, auth, emailGrant(server), form, {
      DPoP: handle,
      ...http,
    });
    return oauth.processGenericTokenEndpointResponse(server, client, reply);
  });
}

function refresh(client, auth, token, handle) {
  return withNonce(async () => {
    const reply = await oauth.refreshTokenGrantRequest(server, client, auth, token, { DPoP: handle, ...http });
    return oauth.processRefreshTokenResponse(server, client, reply);
  });
}

function userinfo(client, accessToken, handle) {
  return withNonce(async () => {
    const reply = await oauth.userInfoRequest(server, client, accessToken, { DPoP: handle, ...http });
    return oauth.processUserInfoResponse(server, client, user, reply);
  });
}

/** A public client may not introspect. An API then asks. */
async function introspect(client, auth, token) {
  const [asking, its] = auth === none ? [inspector, inspectorAuth] : [client, auth];
  const reply = await oauth.introspectionRequest(server, asking, its, token, http);
  return oauth.processIntrospectionResponse(server, asking, reply);
}

async function revoke(client, auth, token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, token, http));
}

/** The life of bound tokens, which ends with their revocation. */
async function live(client, auth, login) {
  const keyPair = await oauth.generateKeyPair("ES256");
  const handle = oauth.DPoP(client, keyPair);
  const first = await logIn(client, auth, keyPair, handle, login);
  assert.equal(first.token_type, "dpop");
  await assertBound(first.access_token, keyPair);
  assert.equal((await userinfo(client, first.access_token, handle)).email, address.email);
  const second = await refresh(client, auth, first.refresh_token, handle);
  assert.equal(second.token_type, "dpop");
  assert.equal((await introspect(client, auth, second.access_token)).cnf.jkt, await handle.calculateThumbprint());

  // Whoever has the tokens alone gets nothing, and the session goes on.
  const thief = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  await assert.rejects(userinfo(client, second.access_token, thief), oauth.WWWAuthenticateChallengeError);
  await assert.rejects(userinfo(client, second.access_token), oauth.WWWAuthenticateChallengeError);
  if (auth === none) {
    const stolen = refresh(client, auth, second.refresh_token, thief);
    await assert.rejects(stolen, (error) => error.error === "invalid_grant");
  }
  const third = await refresh(client, auth, second.refresh_token, handle);
  assert.equal((await userinfo(client, third.access_token, handle)).sub, user);

  // A revocation carries no proof.
  await revoke(client, auth, third.refresh_token);
  assert.equal((await introspect(client, auth, third.access_token)).active, false);
  await assert.rejects(refresh(client, auth, third.refresh_token, handle), (error) => error.error === "invalid_grant");
}

const none = oauth.None();
await live({ client_id: "DPOP_CLIENT_ID" }, none, {});

const keyed = { client_id: "KEYED_CLIENT_ID" };
const keyedAuth = oauth.PrivateKeyJwt(await clientKey());
const assertion = new URLSearchParams();
await keyedAuth(server, keyed, assertion, new Headers());
await live(keyed, keyedAuth, { onSend: Object.fromEntries(assertion) });

const challenger = { client_id: "CHALLENGE_CLIENT_ID" };
const code_verifier = oauth.generateRandomCodeVerifier();
const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier);
const onSend = { code_challenge, code_challenge_method: "S256" };
const withAnother = { onSend, onGrant: { code_verifier: oauth.generateRandomCodeVerifier() } };
await assert.rejects(
  logIn(challenger, none, undefined, undefined, withAnother),
  (error) => error.error_description === "Unknown or expired otp_token",
);
const tokens = await logIn(challenger, none, undefined, undefined, { onSend, onGrant: { code_verifier } });
assert.equal(tokens.token_type, "bearer");
console.log("oauth4webapi: DPoP, private_key_jwt and code challenges are as it expects");
