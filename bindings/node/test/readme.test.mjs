// The complete host of the README runs as it is printed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './servers.mjs';

const readme = join(dirname(createRequire(import.meta.url).resolve('otp-grant/package.json')), 'README.md');

test('the complete host of the README', async () => {
  const [, code] = /## A complete host\n.*?```js\n(.*?)```/s.exec(readFileSync(readme, 'utf8'));
  const port = await freePort();
  const file = fileURLToPath(new URL(`readme_host_${port}.mjs`, import.meta.url));
  assert(code.includes('listen(8080,'));
  writeFileSync(file, code.replace('listen(8080,', `listen(${port},`));
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (data) => (printed += data));
  try {
    const post = async (path, body) => {
      const headers = { 'Content-Type': 'application/json' };
      const reply = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      assert.equal(reply.status, 200);
      return reply.json();
    };
    const about = {
      client_id: 'web',
      client_secret: 'a long random value',
      auth_source_id: 'sms',
      phone_number: '+86 136 1234 5678',
    };
    const sent = await until(() => post('/otp/send', about));
    const otp = await until(() => /to \+8613612345678: (\d{6})/.exec(printed)[1]);
    const grant = { grant_type: 'http://tencentciam.com/oauth2/grant-type/otp/sms', scope: 'openid profile' };
    const tokens = await post('/oauth2/token', { ...about, ...grant, otp_token: sent.otp_token, otp });
    const headers = { Authorization: `Bearer ${tokens.access_token}` };
    const greeted = await fetch(`http://127.0.0.1:${port}/greeting`, { headers });
    assert.equal(await greeted.text(), 'Hello, user-4711!');
    assert.match(printed, /kind: 'logged_in'/);
  } finally {
    child.kill();
    rmSync(file);
  }
});

async function until(attempt) {
  for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
