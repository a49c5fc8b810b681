// Makes the key of KEYED_CLIENT_ID: make_key.js PRIVATE.jwk PUBLIC.jwk

import { webcrypto } from "node:crypto";
import { writeFileSync } from "node:fs";

import * as jose from "jose";

// jose expects it; before Node 20 it was not global.
globalThis.crypto ??= webcrypto;

const { privateKey, publicKey } = await jose.generateKeyPair("ES256", { extractable: true });
const named = { kid: "first", alg: "ES256", use: "sig" };
const [privateFile, publicFile] = process.argv.slice(2);
writeFileSync(privateFile, JSON.stringify({ ...(await jose.exportJWK(privateKey)), ...named }), { mode: 0o600 });
writeFileSync(publicFile, JSON.stringify({ ...(await jose.exportJWK(publicKey)), ...named }));
