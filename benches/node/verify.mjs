// Checks JWTs against a key set: verify.mjs ALGORITHM JWKS_URL JWT ...

import { createRemoteJWKSet, jwtVerify } from 'jose';

const [algorithm, url, ...tokens] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(url));
for (const token of tokens) {
  const { payload } = await jwtVerify(token, keys, { algorithms: [algorithm] });
  if (!payload.sub.startsWith('user-')) throw new Error(`a token for ${payload.sub}`);
}
process.exit(0);
