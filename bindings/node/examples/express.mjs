// A complete host on Express: node express.mjs --listen 127.0.0.1:8080
//
// [--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]
// [--store redis://…|postgres://…|memory] [--workers N]

import express from 'express';
import { RefusedError, Server, UnavailableError } from 'otp-grant';
import { run } from './support.mjs';

await run(({ server: options, listen, algorithm }) => {
  const server = new Server(options);
  const app = express();

  // A route of the host's own. It greets the user of an access token that has the scope `profile`.
  app.get('/greeting', async (request, response) => {
    const externalUrl = `${server.issuer}/greeting`;
    const presented = { method: request.method, externalUrl, headers: request.rawHeaders };
    try {
      const { subject } = await server.checkAccessToken(presented, { scope: 'profile' });
      response.type('text').send(`Hello, ${subject}!\n`);
    } catch (error) {
      if (!(error instanceof RefusedError || error instanceof UnavailableError)) throw error;
      error.reply.writeTo(response);
    }
  });

  // Every endpoint. It reads the body itself: no `express.json()` before it.
  app.use(server.middleware);
  app.use((_, response) => void response.status(404).end());

  const listener = app.listen(listen.port, listen.host, () => {
    const address = /** @type {import('node:net').AddressInfo} */ (listener.address());
    console.log(`listening on http://${address.address}:${address.port} (${algorithm})`);
  });
});
