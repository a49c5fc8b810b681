// The core of an authorization server, for a service to embed: logins with one-time codes, and tokens.

export { prepareAuthSource, prepareClient, type Directory, type Prepared } from './directory.js';
export { ArgumentError, ConfigurationError, OtpGrantError, RefusedError, UnavailableError } from './errors.js';
export { bearerToken, type HeadersInput } from './headers.js';
export { readBody } from './incoming.js';
export { MemoryDirectory, MemoryStore } from './memory.js';
export { Reply } from './reply.js';
export {
  Server,
  type AccessTokenOptions,
  type ApiRequest,
  type CallOptions,
  type ServerOptions,
  type ServerRequest,
  type Verification,
} from './server.js';
export { StoreError } from './store_error.js';
export type { Store, StoredRecord } from './store.js';
export { TestClock } from './testing.js';
export type * from './types.js';
