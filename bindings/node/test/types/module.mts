// The types of the package for those who import it: what a host writes compiles, and what it must not write does not.

import { createServer } from 'node:http';
import {
  type AccessToken,
  type Address,
  type AddressState,
  type ApiRequest,
  ArgumentError,
  type Client,
  ConfigurationError,
  type Delivery,
  type DeliveryFailure,
  type Directory,
  MemoryDirectory,
  MemoryStore,
  OtpGrantError,
  prepareClient,
  RefusedError,
  type Reply,
  Server,
  type Signing,
  type Store,
  type StoredRecord,
  UnavailableError,
  type User,
} from 'otp-grant';
import { conformance } from 'otp-grant/conformance';
import { PostgresStore } from 'otp-grant/stores/postgres';
import { RedisStore } from 'otp-grant/stores/redis';

/** A store whose methods return promises. */
class OwnStore implements Store {
  readonly records = new Map<string, StoredRecord>();

  async load(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.records.get(Buffer.from(key).toString('hex'))?.value;
  }

  async swap(key: Uint8Array, expected: Uint8Array | undefined, next: StoredRecord): Promise<boolean> {
    const name = Buffer.from(key).toString('hex');
    const stored = this.records.get(name)?.tag;
    if (stored && expected ? Buffer.compare(stored, expected) !== 0 : stored !== expected) return false;
    this.records.set(name, next);
    return true;
  }
}

/** A directory whose methods return values, or rows in which a member is null. */
class OwnDirectory implements Directory {
  readonly web = prepareClient({ id: 'web', secret: 'x', authSources: ['sms'], retryWindow: '10s' });

  client(id: string) {
    return id === 'web' ? this.web : null;
  }

  async authSource(id: string) {
    return id === 'sms' ? { id, channel: 'sms' as const } : null;
  }

  userByAddress({ channel, address }: Address): User | undefined {
    return channel === 'sms' && address.startsWith('+86') ? { subject: 'u', tokensValidAfter: null } : undefined;
  }

  userBySubject(subject: string): User {
    return { subject, status: 'active', tokensValidAfter: new Date() };
  }

  userClaims(): Record<string, unknown> {
    return { name: 'Ada' };
  }
}

function deliver({ code, validFor, authSource, attempt }: Delivery): DeliveryFailure | void {
  const sent: [string, number, string | undefined] = [code, validFor, authSource];
  if (sent[0] === '' || attempt > 3) return 'undeliverable';
}

const server = new Server({
  issuer: 'https://login.example.com',
  keys: { index: 'x', sealing: 'y', accepted: [] },
  signing: { active: { external: { kty: 'EC' }, sign: async (message, { algorithm }) => (algorithm ? message : message) } },
  quotas: { sends: [{ count: 1, per: '30s' }], guessesPerCode: 5, guessesPerAddress: { count: 25, per: 86_400 } },
  grantTypes: { 'https://example.com/otp_sms': 'sms' },
  endpoints: { otpSend: '/send', introspection: false },
  dpop: 'strict',
  clientAssertions: true,
  devices: { guesses: { count: 5, per: '24h' }, validity: '30d' },
  sendGuard: {
    mode: 'enforce',
    countries: { allow: ['86'], except: ['1876'] },
    thresholds: { block: { perDay: 5, perHour: 3 }, emailDomain: { perDay: 100, perHour: 20, verifiedPercent: 10 } },
    shards: 4,
    hasChallenge: false,
  },
  testIdentities: [{ phoneNumber: '+8613600000001', code: '246810', clients: ['web'], endsAt: new Date() }],
  store: new OwnStore(),
  directory: new OwnDirectory(),
  deliver,
  onEvent: ({ kind, subject }) => console.log(kind, subject),
});

createServer(async (request, response) => {
  const { method = '', rawHeaders: headers } = request;
  const presented: ApiRequest = { method, externalUrl: 'https://api.example.com/orders', headers };
  const { key }: { readonly key?: string } = await server.checkAccessToken(presented);
  const about = { client: 'web', usage: 'signup', channel: 'sms', address: '1', otpToken: 'x', otp: 'y' } as const;
  await server.verify({ ...about, codeVerifier: key, proof: presented, deviceToken: undefined });
  // @ts-expect-error the URL of a request of the Fetch API comes from the caller
  server.verifyAccessToken(new Request('https://api.example.com/orders'));
  await server.middleware(request, response);
});
const reply: Reply | undefined = await server.handle({ method: 'GET', path: '/', headers: new Headers(), verdict: 'allow' });
const state: AddressState = await server.explain({ channel: 'sms', address: '1' });
const again: Date | undefined = state.guesses.availableAt ?? state.devices[0]?.knownUntil;
await server.unlock({ channel: 'sms', address: '1' });
await server.forgetDevices({ channel: 'email', address: 'a@example.com' });
// @ts-expect-error there is no such verdict
await server.handle({ method: 'GET', path: '/', headers: [], verdict: 'maybe' });
const response: Response | undefined = reply?.toResponse();
const token: AccessToken = await server.checkAccessToken('x', { scope: 'profile' });
const expiry: number = token.expiresAt.getTime();
try {
  await server.revokeSession(token.session);
} catch (error) {
  if (error instanceof RefusedError || error instanceof UnavailableError) error.reply.status satisfies number;
  else if (error instanceof ConfigurationError) error.place satisfies string;
  else if (error instanceof ArgumentError) error.argument satisfies string;
  else if (error instanceof OtpGrantError) error.code satisfies string;
}
await conformance(() => new RedisStore({ host: '127.0.0.1', tls: {} }, { prefix: 'login:' }));
await conformance(() => new PostgresStore('postgres://127.0.0.1/login'), { deletesWithin: 70_000 });
new MemoryDirectory().addClient({ id: 'app', public: true, maySend: true }).addUser({ subject: 'u' });
new MemoryDirectory()
  .addClient({ id: 'keyed', keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x' }], authMethod: 'private_key_jwt' })
  .addClient({ id: 'page', public: true, dpop: 'required_with_nonce', codeChallengeRequired: true })
  .addClient({ id: 'paid', public: true, messageBudget: { perHour: 100, perDay: 500 } })
  .addUser({ subject: 'reviewer', isTest: true });

// @ts-expect-error a server needs a store
new Server({ issuer: 'x', keys: { generate: true }, signing: { active: 'x' }, directory: new OwnDirectory(), deliver });
// @ts-expect-error names are in camelCase
const client: Client = { id: 'web', may_send: true };
// @ts-expect-error a swap says whether it was stored
const store: Store = { load: () => undefined, swap: () => undefined };
// @ts-expect-error there is no such method
const mtls: Client = { id: 'web', authMethod: 'tls_client_auth' };
// @ts-expect-error `on` is for the server
const bound: Client = { id: 'web', public: true, dpop: 'on' };
// @ts-expect-error there is no such status
const user: User = { subject: 'u', status: 'happy' };
// @ts-expect-error an RS256 key is not generated
const signing: Signing = { active: { generate: 'RS256' } };
const pss: Signing = { active: 'PEM', algorithm: 'PS256' };
// @ts-expect-error there is no such algorithm
const hmac: Signing = { active: 'PEM', algorithm: 'HS256' };

export { again, bound, client, expiry, hmac, MemoryStore, mtls, pss, response, signing, store, user };
