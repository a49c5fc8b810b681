// A redis-server and a PostgreSQL of the tests' own, on loopback, in a temporary folder.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export async function startRedis(...more) {
  const folder = mkdtempSync(join(tmpdir(), 'otp-grant-redis-'));
  const port = await freePort();
  const arguments_ = ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'];
  const command = ['redis-server', ...arguments_, '--maxmemory-policy', 'noeviction', ...more].map(String);
  const server = new TestServer(command, {}, port, folder, `redis://127.0.0.1:${port}`);
  await server.start();
  return server;
}

/** A Redis that takes connections over TLS only. `ca` is the certificate that vouches for it. */
export async function startRedisOverTls() {
  const folder = mkdtempSync(join(tmpdir(), 'otp-grant-redis-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const about = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', '-nodes', ...made, ...about], { stdio: 'ignore' });
  const port = await freePort();
  const tls = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-auth-clients', 'no'];
  const command = ['redis-server', '--port', '0', '--tls-port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...tls];
  const server = new TestServer([...command, '--save', ''], {}, port, folder, `rediss://127.0.0.1:${port}`);
  server.ca = readFileSync(certificate, 'utf8');
  await server.start();
  return server;
}

/** A Sentinel that watches a server, and makes a replica of it the primary as soon as the server is lost. */
export async function startSentinel(primary) {
  const folder = mkdtempSync(join(tmpdir(), 'otp-grant-sentinel-'));
  const port = await freePort();
  const configuration = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor login 127.0.0.1 ${primary.port} 1`,
    'sentinel down-after-milliseconds login 300',
    'sentinel failover-timeout login 1000',
  ];
  writeFileSync(join(folder, 'sentinel.conf'), configuration.join('\n'));
  const command = ['redis-server', join(folder, 'sentinel.conf'), '--sentinel'];
  const server = new TestServer(command, { cwd: folder }, port, folder);
  await server.start();
  return server;
}

export async function startPostgres() {
  const folder = mkdtempSync(join(tmpdir(), 'otp-grant-postgres-'));
  const data = join(folder, 'data');
  const port = await freePort();
  // PostgreSQL refuses to run as root.
  const user = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  chmodSync(folder, 0o755);
  mkdirSync(data);
  if (user.length > 0) execFileSync('chown', ['postgres:postgres', data]);
  const versions = readdirSync('/usr/lib/postgresql').sort((one, other) => Number(one) - Number(other));
  const programs = `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  const run = ([program, ...rest]) => execFileSync(program, rest, { cwd: '/', stdio: 'ignore' });
  run([...user, `${programs}/initdb`, '-D', data, '-U', 'otp', '--auth=trust', '-E', 'UTF8', '--no-sync']);
  const settings = ['unix_socket_directories=', 'listen_addresses=127.0.0.1', 'max_connections=200', 'fsync=off'];
  const command = [...user, `${programs}/postgres`, '-D', data, '-p', String(port)];
  for (const setting of settings) command.push('-c', setting);
  const server = new TestServer(command, { cwd: '/' }, port, folder, `postgres://otp@127.0.0.1:${port}/postgres`);
  server.isReady = () => run([`${programs}/pg_isready`, '-q', '-h', '127.0.0.1', '-p', String(port)]);
  await server.start();
  return server;
}

class TestServer {
  isReady = () => {};
  #child;

  constructor(command, options, port, folder, url) {
    Object.assign(this, { command, options, port, folder, url });
  }

  async start() {
    const [program, ...rest] = this.command;
    this.#child = spawn(program, rest, { ...this.options, stdio: 'ignore' });
    for (const deadline = Date.now() + 30_000; ; await sleep(20)) {
      try {
        await canConnect(this.port);
        this.isReady();
        return;
      } catch (error) {
        if (Date.now() > deadline || this.#child.exitCode !== null) throw error;
      }
    }
  }

  /** Ends the server at once, with its children. */
  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    // PostgreSQL ends its children itself.
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(this.command.includes('redis-server') ? 'SIGKILL' : 'SIGQUIT');
    await ended;
  }

  /** Lets the server hang, and go on. */
  signal(name) {
    this.#child.kill(name);
  }

  async stop() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function canConnect(port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy()));
    socket.on('error', reject);
  });
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
