// Lives with the tokens of a running host as a client of openid-client does: openid_client.js ISSUER OUTBOX KEY.jwk [nonces-are-required]
//
// A public client proves its key (DPoP), and a confidential client signs assertions (private_key_jwt) and proves a key
// as well. The library repeats a request by itself where the server asks for its nonce.

import assert from "node:assert/strict";

import * as client from "openid-client";

import { address, api, assertBound, clientKey, emailGrant, issuer, requestCode, user } from "./demo.js";

function discover(id, auth) {
  // The issuer of a test is on the loopback interface.
  return client.discovery(new URL(issuer), id, undefined, auth, { execute: [client.allowInsecureRequests] });
}

// A public client may not introspect. An API then asks.
const inspector = await discover(api.id, client.ClientSecretPost(api.secret));
const refused = (error) => error.error === "invalid_grant";

async function live(config, members, inspector) {
  const metadata = config.serverMetadata();
  const keyPair = await client.randomDPoPKeyPair("ES256");
  const DPoP = client.getDPoPHandle(config, keyPair);
  const grant = await requestCode(metadata.otp_send_endpoint, members, keyPair);
  const form = { ...grant, scope: "openid email" };
  const first = await client.genericGrantRequest(config, emailGrant(metadata), form, { DPoP });
  assert.equal(first.token_type, "dpop");
  await assertBound(first.access_token, keyPair);
  const claims = await client.fetchUserInfo(config, first.access_token, user, { DPoP });
  assert.equal(claims.email, address.email);

  const second = await client.refreshTokenGrant(config, first.refresh_token, undefined, { DPoP });
  const introspected = await client.tokenIntrospection(inspector, second.access_token);
  assert.equal(introspected.cnf.jkt, await DPoP.calculateThumbprint());
  await assert.rejects(client.fetchUserInfo(config, second.access_token, user), client.WWWAuthenticateChallengeError);
  await client.tokenRevocation(config, second.refresh_token);
  assert.equal((await client.tokenIntrospection(inspector, second.access_token)).active, false);
  await assert.rejects(client.refreshTokenGrant(config, second.refresh_token, undefined, { DPoP }), refused);
}

await live(await discover("DPOP_CLIENT_ID", client.None()), { client_id: "DPOP_CLIENT_ID" }, inspector);

const auth = client.PrivateKeyJwt(await clientKey());
const keyed = await discover("KEYED_CLIENT_ID", auth);
const body = new URLSearchParams();
await auth(keyed.serverMetadata(), keyed.clientMetadata(), body, new Headers());
await live(keyed, { client_id: "KEYED_CLIENT_ID", ...Object.fromEntries(body) }, keyed);
console.log("openid-client: DPoP and private_key_jwt are as it expects");
