// Compiles the TypeScript to CommonJS, and writes a module with the same names beside each entry. So a process that uses
// both `import` and `require` has each class once.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);
const dist = join(here, 'dist');

if (!existsSync(join(dist, 'native.js'))) throw new Error('build the addon first: npm run build:addon');
execFileSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', here], { stdio: 'inherit' });

for (const entry of ['index', 'stores/redis', 'stores/postgres', 'conformance']) {
  const file = `./${entry.split('/').at(-1)}.js`;
  const names = Object.keys(require(join(dist, `${entry}.js`))).filter((name) => name !== '__esModule');
  writeFileSync(join(dist, `${entry}.mjs`), `import all from '${file}';\nexport const { ${names.join(', ')} } = all;\n`);
  writeFileSync(join(dist, `${entry}.d.mts`), `export * from '${file}';\n`);
}
chmodSync(join(dist, 'bin/otp-grant.js'), 0o755);
