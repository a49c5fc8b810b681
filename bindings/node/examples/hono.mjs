// A complete host on Hono: node hono.mjs --listen 127.0.0.1:8080
//
// [--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]
// [--store redis://…|postgres://…|memory] [--workers N]

import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { readBody, RefusedError, Server, UnavailableError } from 'otp-grant';
import { run } from './support.mjs';

/** @typedef {{ Bindings: import('@hono/node-server').HttpBindings }} Environment */

await run(({ server: options, listen, algorithm }) => {
  const server = new Server(options);
  const app = /** @type {Hono<Environment>} */ (new Hono());

  // A route of the host's own. It greets the user of an access token that has the scope `profile`.
  app.get('/greeting', async (context) => {
    const externalUrl = `${server.issuer}/greeting`;
    const presented = { method: context.req.method, externalUrl, headers: context.env.incoming.rawHeaders };
    try {
      const { subject } = await server.checkAccessToken(presented, { scope: 'profile' });
      return context.text(`Hello, ${subject}!\n`);
    } catch (error) {
      if (!(error instanceof RefusedError || error instanceof UnavailableError)) throw error;
      return error.reply.toResponse();
    }
  });

  // Every endpoint. `Headers` would join headers that are repeated, so those of Node are passed on.
  app.all('*', async (context) => {
    const { method, path } = context.req;
    const { incoming } = context.env;
    const body = await readBody(incoming);
    if (body === undefined) return context.body(null, 400);
    const reply = await server.handle({ method, path, headers: incoming.rawHeaders, body });
    return reply?.toResponse() ?? context.body(null, 404);
  });

  serve({ fetch: app.fetch, hostname: listen.host, port: listen.port }, ({ address, port }) => {
    console.log(`listening on http://${address}:${port} (${algorithm})`);
  });
});
