#!/usr/bin/env node
// A login to try: `npx otp-grant [--listen 127.0.0.1:8080]`. Everything is in memory, and codes are printed here.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { MemoryDirectory, MemoryStore, Server } from '../index.js';
import { PAGE } from './page.js';

const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:8080' } } });
const at = values.listen.lastIndexOf(':');
const [host, port] = [values.listen.slice(0, at).replace(/^\[|\]$/g, ''), Number(values.listen.slice(at + 1))];
if (at <= 0 || !Number.isInteger(port)) {
  console.error(`--listen cannot be ${JSON.stringify(values.listen)}`);
  process.exit(2);
}

// The page is a public client: it has no secret, and may send codes. A user who proves an address is signed up.
const directory = new MemoryDirectory()
  .addAuthSource({ id: 'sms', channel: 'sms' })
  .addAuthSource({ id: 'email', channel: 'email' })
  .addClient({ id: 'demo', public: true, maySend: true, authSources: ['sms', 'email'], scopes: 'openid email phone' });

const web = createServer();
web.on('error', (error) => {
  console.error(`cannot listen on ${values.listen}: ${error.message}`);
  process.exit(1);
});
web.listen(port, host, () => {
  const { port } = web.address() as AddressInfo;
  const origin = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const server = new Server({
    issuer: origin,
    keys: { generate: true },
    signing: { active: { generate: 'ES256' } },
    store: new MemoryStore(),
    directory,
    deliver: ({ address, code, usage, validFor }) => {
      console.log(`to ${address}: ${code} is your code for ${usage}, valid for ${validFor} seconds`);
    },
  });
  web.on('request', (request, response) => {
    if (request.url !== '/') return void server.middleware(request, response);
    response.writeHead(200, { 'Content-Type': 'text/html;charset=UTF-8' }).end(PAGE);
  });
  console.log(`A login to try: open ${origin} in a browser. Codes are printed here. Or with curl:

  curl -s ${origin}/otp/send --json '{"client_id":"demo","auth_source_id":"email","email":"ada@example.com"}'

  curl -s ${origin}/oauth2/token --json '{"client_id":"demo","auth_source_id":"email","email":"ada@example.com",
    "grant_type":"http://tencentciam.com/oauth2/grant-type/otp/email","auto_signup":true,
    "otp_token":"…","otp":"…"}'
`);
});
