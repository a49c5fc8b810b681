// The hosts' own route, which needs an access token with the scope `profile`; and their arguments.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const EXPRESS = fileURLToPath(new URL('../examples/express.mjs', import.meta.url));

for (const name of ['express', 'fastify', 'hono']) {
  const host = fileURLToPath(new URL(`../examples/${name}.mjs`, import.meta.url));

  describe(name, () => {
    test('greets users who are logged in', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'otp-grant-greeting-'));
      const outbox = join(folder, 'outbox');
      writeFileSync(outbox, '');
      const options = ['--listen', '127.0.0.1:0', '--alg', 'EdDSA', '--outbox', outbox, '--send-quota', 'off'];
      const child = spawn(process.execPath, [host, ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        const url = await listening(child);
        const greet = (headers) => fetch(`${url}/greeting`, { headers });
        const token = await logIn(url, outbox, 'openid profile');
        const greeted = await greet({ Authorization: `Bearer ${token}` });
        assert.deepEqual([greeted.status, await greeted.text()], [200, 'Hello, MOCK_USER_ID!\n']);

        for (const [headers, challenge] of [
          [{}, /^Bearer, DPoP algs=/],
          [{ Authorization: `Basic ${token}` }, /^Bearer, DPoP algs=/],
          [{ Authorization: 'Bearer x' }, /^Bearer error="invalid_token"/],
          [{ Authorization: `DPoP ${token}` }, /^DPoP error="invalid_dpop_proof"/],
        ]) {
          const refused = await greet(headers);
          assert.equal(refused.status, 401);
          assert.match(refused.headers.get('www-authenticate'), challenge);
        }
        // Which of two counts is not for the host to guess.
        for (const values of [[`Bearer ${token}`, 'Bearer x'], ['Basic YTpi', `Bearer ${token}`]]) {
          const refused = await withHeaders(`${url}/greeting`, { Authorization: values });
          assert.equal(refused.statusCode, 401);
        }
        const without = await greet({ Authorization: `Bearer ${await logIn(url, outbox, 'openid')}` });
        assert.equal(without.status, 403);
        assert.match(without.headers.get('www-authenticate'), /, scope="profile"$/);
      } finally {
        child.kill();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}

test('says in one line which argument it does not take', () => {
  for (const options of [
    ['--listen', 'nowhere'],
    ['--alg', 'HS256'],
    ['--send-quota', 'maybe'],
    ['--store', 'mysql://x'],
    ['--workers', '2'],
    ['--colour', 'red'],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [EXPRESS, ...options], { encoding: 'utf8', timeout: 20_000 });
    assert.equal(status, 2, stderr);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert(stderr.includes(options[0]), stderr);
  }
});

async function logIn(url, outbox, scope) {
  const post = async (path, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const reply = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(reply.status, 200);
    return reply.json();
  };
  const about = {
    client_id: 'TENANT_CLIENT_ID',
    client_secret: 'TENANT_CLIENT_SECRET',
    auth_source_id: 'MOCK_SMS_OTP_AUTH_SOURCE_ID',
    phone_number: '13612345678',
  };
  const { otp_token } = await post('/otp/send', about);
  const otp = JSON.parse(readFileSync(outbox, 'utf8').trim().split('\n').at(-1)).code;
  const grant_type = 'http://tencentciam.com/oauth2/grant-type/otp/sms';
  return (await post('/oauth2/token', { ...about, grant_type, otp_token, otp, scope })).access_token;
}

/** `fetch` joins headers that are repeated. */
function withHeaders(url, headers) {
  return new Promise((resolve, reject) => {
    get(url, { headers }, (reply) => resolve(reply.resume())).on('error', reject);
  });
}

function listening(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => reject(new Error(`the host ended with ${code}: ${text}`)));
    child.stdout.on('data', (data) => {
      text += data;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text);
      if (found) resolve(found[0]);
    });
  });
}
