// A complete host on Fastify: node fastify.mjs --listen 127.0.0.1:8080
//
// [--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]
// [--store redis://…|postgres://…|memory] [--workers N]

import fastify from 'fastify';
import { RefusedError, Server, UnavailableError } from 'otp-grant';
import { run } from './support.mjs';

await run(async ({ server: options, listen, algorithm }) => {
  const server = new Server(options);
  const app = fastify();

  // Every endpoint, before Fastify reads the body. The hook goes on only for other paths.
  app.addHook('onRequest', (request, reply, next) => {
    void server.middleware(request.raw, reply.raw, (error) => next(/** @type {Error | undefined} */ (error)));
  });

  // A route of the host's own. It greets the user of an access token that has the scope `profile`.
  app.get('/greeting', async (request, reply) => {
    const externalUrl = `${server.issuer}/greeting`;
    const presented = { method: request.method, externalUrl, headers: request.raw.rawHeaders };
    try {
      const { subject } = await server.checkAccessToken(presented, { scope: 'profile' });
      return `Hello, ${subject}!\n`;
    } catch (error) {
      if (!(error instanceof RefusedError || error instanceof UnavailableError)) throw error;
      const { status, headers, body } = error.reply;
      return reply.code(status).headers(Object.fromEntries(headers)).send(body);
    }
  });

  console.log(`listening on ${await app.listen(listen)} (${algorithm})`);
});
