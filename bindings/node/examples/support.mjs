// What the example hosts share beside the package: the arguments, the sample directory, the keys, the store, the outbox
// and the workers.

import cluster from 'node:cluster';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MemoryDirectory, MemoryStore } from 'otp-grant';

const SCOPES = 'openid profile email phone offline_access';
const ALGORITHMS = /** @type {const} */ (['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']);

/**
 * Reads the arguments, and runs a host: in this process, or in `--workers` processes that share the port, the keys and a
 * store in Redis or PostgreSQL.
 *
 * @param {(settings: Settings) => unknown} host
 */
export async function run(host) {
  const options = readArguments();
  if (cluster.isPrimary && options.workers > 1) {
    const secrets = JSON.stringify(newSecrets(options));
    for (let left = options.workers; left > 0; left -= 1) cluster.fork({ SAMPLE_SECRETS: secrets });
    cluster.on('exit', () => process.exit(1));
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
      process.on(signal, () => {
        for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill(signal);
        process.exit();
      });
    }
    return;
  }
  const shared = process.env.SAMPLE_SECRETS;
  await host(await settings(options, shared ? JSON.parse(shared) : newSecrets(options)));
}

/** @typedef {Awaited<ReturnType<typeof settings>>} Settings */

/**
 * @param {ReturnType<typeof readArguments>} options
 * @param {ReturnType<typeof newSecrets>} secrets
 */
async function settings(options, secrets) {
  const { outbox } = options;
  return {
    listen: options.listen,
    algorithm: options.algorithm,
    /** @satisfies {import('otp-grant').ServerOptions} */
    server: {
      issuer: options.issuer,
      keys: secrets.keys,
      signing: secrets.signing,
      discovery: {
        scopes: SCOPES,
        claims: ['name', 'preferred_username', 'email', 'email_verified', 'phone_number', 'phone_number_verified'],
      },
      danger: { withoutSendQuotas: !options.sendQuota },
      store: await openStore(options.store),
      directory: sampleDirectory(),
      /**
       * Stands for the SMS and mail providers: prints the codes, and appends them to a file as JSON lines. A real host
       * would put the message into a queue.
       * @type {import('otp-grant').Deliver}
       */
      deliver: ({ address: to, code, usage, validFor }) => {
        console.log(`to ${to}: ${code} is your code for ${usage}, valid for ${validFor} seconds`);
        if (outbox) appendFileSync(outbox, `${JSON.stringify({ to, code, usage })}\n`);
      },
      /** @type {(error: unknown, question: string) => void} */
      onPortError: (error, question) => console.error(`${question}: ${error}`),
    },
  };
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        listen: { type: 'string', default: '127.0.0.1:8080' },
        issuer: { type: 'string', default: 'https://sample.portal.example.com' },
        alg: { type: 'string', default: 'RS256' },
        key: { type: 'string' },
        outbox: { type: 'string' },
        'send-quota': { type: 'string', default: 'on' },
        store: { type: 'string', default: 'memory' },
        workers: { type: 'string', default: '1' },
      },
    });
    const [, host, port] = /^(?:\[?([^\]]+?)\]?):(\d{1,5})$/.exec(values.listen) ?? wrong('--listen', values.listen);
    const algorithm = ALGORITHMS.find((name) => name === values.alg) ?? wrong('--alg', values.alg);
    if (!['on', 'off'].includes(values['send-quota'])) wrong('--send-quota', values['send-quota']);
    if (!/^(memory$|rediss?:|postgres(ql)?:)/.test(values.store)) wrong('--store', values.store);
    const workers = Number(values.workers);
    if (!(workers >= 1 && workers <= 64)) wrong('--workers', values.workers);
    if (workers > 1 && values.store === 'memory') throw new Error('--workers needs a --store that they share');
    return {
      listen: { host: String(host), port: Number(port) },
      issuer: values.issuer,
      algorithm,
      key: values.key,
      outbox: values.outbox,
      sendQuota: values['send-quota'] === 'on',
      store: values.store,
      workers,
    };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

/**
 * @param {string} name
 * @param {string} value
 * @returns {never}
 */
function wrong(name, value) {
  throw new Error(`${name} cannot be ${JSON.stringify(value)}`);
}

/**
 * Secrets that live as long as the process. A host whose sessions outlive the process reads them from its configuration.
 *
 * @param {ReturnType<typeof readArguments>} options
 */
function newSecrets({ key, algorithm }) {
  const secret = () => randomBytes(32).toString('base64');
  const signing = key ? { active: readFileSync(key, 'utf8') } : { active: newKey(algorithm), algorithm };
  return { keys: { index: secret(), sealing: secret() }, signing };
}

/** @param {string} algorithm */
function newKey(algorithm) {
  const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed25519 = () => generateKeyPairSync('ed25519');
  const make = {
    RS256: rsa,
    PS256: rsa,
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: ed25519,
    Ed25519: ed25519,
  }[algorithm];
  return String(make?.().privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/**
 * @param {string} url
 * @returns {Promise<import('otp-grant').Store>}
 */
async function openStore(url) {
  if (url.startsWith('redis')) {
    const { RedisStore } = await import('otp-grant/stores/redis');
    return new RedisStore(url);
  }
  if (url.startsWith('postgres')) {
    const { PostgresStore } = await import('otp-grant/stores/postgres');
    const store = new PostgresStore(url);
    await store.migrate();
    setInterval(() => store.purge().catch((error) => console.error(`purge: ${error}`)), 60_000).unref();
    return store;
  }
  return new MemoryStore();
}

/** The clients, auth sources and users of the contract's samples, and an API that introspects tokens. */
function sampleDirectory() {
  const tenant = {
    authSources: ['MOCK_SMS_OTP_AUTH_SOURCE_ID', 'MOCK_EMAIL_OTP_AUTH_SOURCE_ID'],
    scopes: SCOPES,
    defaultScopes: 'openid',
  };
  const user = {
    name: 'Mock User',
    preferred_username: 'MOCK_USERNAME',
    email: 'MOCK_USERNAME@example.com',
    email_verified: true,
    phone_number: '+8613612345678',
    phone_number_verified: true,
  };
  return new SampleDirectory()
    .addAuthSource({ id: 'MOCK_SMS_OTP_AUTH_SOURCE_ID', channel: 'sms' })
    .addAuthSource({ id: 'MOCK_EMAIL_OTP_AUTH_SOURCE_ID', channel: 'email' })
    .addClient({ id: 'TENANT_CLIENT_ID', secret: 'TENANT_CLIENT_SECRET', ...tenant })
    .addClient({ id: 'TENANT_SPA_CLIENT_ID', public: true, maySend: true, ...tenant })
    .addClient({ id: 'OTHER_CLIENT_ID', secret: 'OTHER_CLIENT_SECRET' })
    .addClient({ id: 'API_CLIENT_ID', secret: 'API_CLIENT_SECRET', grants: [], introspectsEveryToken: true })
    .addUser({ subject: 'MOCK_USER_ID' }, addresses('13612345678', 'mock_username@example.com'), user)
    .addUser({ subject: 'LOCKED_USER_ID', status: 'locked' }, addresses('13600000000', 'locked@example.com'));
}

/**
 * Workers share no memory. So each derives the subject of a user who signs up from the address, and knows it. A real host
 * keeps its users in a database.
 */
class SampleDirectory extends MemoryDirectory {
  /** @param {import('otp-grant').Address} address */
  signUp(address) {
    const digest = createHash('sha256').update(`${address.channel}:${address.address}`).digest('base64url');
    return this.userByAddress(address) ?? { subject: `${SIGNED_UP}${digest}` };
  }

  /** @param {string} subject */
  userBySubject(subject) {
    return super.userBySubject(subject) ?? (subject.startsWith(SIGNED_UP) ? { subject } : undefined);
  }
}

const SIGNED_UP = 'signed-up-';

/**
 * Addresses in their normal form, as `Server.normaliseAddress` gives it.
 *
 * @param {string} phone
 * @param {string} email
 * @returns {import('otp-grant').Address[]}
 */
function addresses(phone, email) {
  return [
    { channel: 'sms', address: phone },
    { channel: 'email', address: email },
  ];
}
