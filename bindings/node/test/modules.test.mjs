// The package can be imported and required, and both give the same classes.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const require = createRequire(import.meta.url);

for (const entry of ['otp-grant', 'otp-grant/conformance', 'otp-grant/stores/redis', 'otp-grant/stores/postgres']) {
  test(entry, async () => {
    const imported = await import(entry);
    const required = require(entry);
    assert(Object.keys(imported).length > 0);
    assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort());
    for (const name of Object.keys(imported)) assert.equal(imported[name], required[name]);
  });
}

test('what is inside the package is not exported', async () => {
  await assert.rejects(import('otp-grant/dist/native.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
});
