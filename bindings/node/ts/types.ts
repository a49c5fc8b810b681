// The documents that go in and out: configuration, clients, auth sources, users, deliveries, tokens.

/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;

/** How codes are sent. */
export type Channel = 'sms' | 'email';

/** The algorithms of signatures. */
export type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA' | 'Ed25519';

/** A duration: `'500ms'`, `'30s'`, `'5m'`, `'24h'`, `'14d'`, or a number of **seconds**. */
export type Duration = string | number;

/** So many times within a duration. */
export interface Quota {
  readonly count: number;
  readonly per: Duration;
}

/** The form and the validity of codes. */
export interface CodePolicy {
  /** How many characters a code has. Defaults to 6. */
  readonly length?: number;
  /** How long a code is valid. Defaults to 3 minutes for a login, and to 60 seconds for other usages. */
  readonly validity?: Duration;
  /** How long an otp_token is valid. Defaults to 5 minutes. */
  readonly tokenValidity?: Duration;
  /** The characters of codes. Defaults to the digits. */
  readonly alphabet?: string;
}

/** A public or private key as JSON (RFC 7517). Its members are not converted. */
export type Jwk = Readonly<Record<string, unknown>>;

/** The secrets behind record keys, codes and sealed tokens. All hosts on one store have the same ones. */
export type Keys =
  | {
      /** The index secret: at least 32 random bytes in base64. If it is lost, every record is lost. */
      readonly index: string;
      /** The sealing secret: at least 32 random bytes in base64. */
      readonly sealing: string;
      /** Further sealing secrets that are accepted, while the sealing secret is being replaced. */
      readonly accepted?: readonly string[];
    }
  | {
      /** Makes secrets that are lost with the process. For a first try in one process. */
      readonly generate: true;
    };

/** Signs the tokens of an external key, for instance in a key service. ES256: returns the 64 bytes of `r` and `s`. */
export type Sign = (
  message: Uint8Array,
  key: { readonly algorithm: Algorithm; readonly keyId: string },
) => Awaitable<Uint8Array>;

/** The key that signs tokens. */
export type ActiveKey =
  /** A private key: the text of a PEM file, or the base64 inside one. */
  | string
  /** Makes a key that is lost with the process. RSA keys can't be made: use `generateKeyPairSync` of Node. */
  | { readonly generate: 'ES256' | 'EdDSA' | 'Ed25519' }
  /** The public key of a private key that is elsewhere, and what signs with it. */
  | { readonly external: Jwk; readonly sign: Sign };

/** The keys that sign tokens, and those that are published beside them. */
export interface Signing {
  readonly active: ActiveKey;
  /**
   * The algorithm of the active key, where its kind has two. An RSA key has `RS256` by default, or `PS256`. An Ed25519
   * key has the name `EdDSA` by default, or `Ed25519`.
   */
  readonly algorithm?: Algorithm;
  /** The name of the active key in tokens. Defaults to its thumbprint (RFC 7638). */
  readonly keyId?: string;
  /** Further keys in the key set, while the active key is being replaced: PEM or JWK. */
  readonly published?: readonly (string | Jwk)[];
}

/** How many unverified messages a destination has until a send needs a reason to be trusted. */
export interface Threshold {
  readonly perDay: number;
  /** At most `perDay`. */
  readonly perHour: number;
  /** How many unverified messages 100 verified ones earn. Defaults to 50. At most 1,000. */
  readonly verifiedPercent?: number;
}

/** The guard against messages that nobody reads. Begin with `observe`. */
export interface SendGuard {
  /**
   * `observe` counts, and tells `onEvent` what it would refuse. `enforce` also refuses. Defaults to `off`.
   */
  readonly mode?: 'off' | 'observe' | 'enforce';
  /** Where messages are sent to: calling codes, or `1` and an area code. The longest code decides. Defaults to everywhere. */
  readonly countries?: { readonly allow: readonly string[]; readonly except?: readonly string[] };
  readonly thresholds?: {
    /** What 10,000 neighbouring numbers must earn. Defaults to 5 messages in 24 hours and 3 in an hour. */
    readonly block?: Threshold;
    /** What a country must earn. Defaults to 20 messages in 24 hours and 3 in an hour. */
    readonly country?: Threshold;
    /** What an e-mail domain must earn. Defaults to nothing. */
    readonly emailDomain?: Threshold;
  };
  /** Over how many records a country and a client are spread. Defaults to 16. */
  readonly shards?: number;
  /**
   * Whether clients can pass a challenge, after which the host gives the verdict `allow`. With `false`, a send that needs
   * a reason to be trusted is answered as if no quota were left. Defaults to true.
   */
  readonly hasChallenge?: boolean;
}

/**
 * What the host knows about a request for a code, from a captcha, a device attestation or the reputation of a network:
 * nothing; it comes from a person, as far as the host can tell; the client must pass a challenge; it is refused.
 */
export type Verdict = 'none' | 'allow' | 'challenge' | 'refuse';

/**
 * The budgets of each device that a user had remembered with a login. An address has at most 3 devices. The address and
 * its devices can have 100 guesses in 24 hours.
 */
export interface DevicePolicy {
  /** Defaults to 10 in 24 hours. */
  readonly guesses?: Quota;
  /** Defaults to once in 30 seconds and 10 times in 24 hours. */
  readonly sends?: readonly Quota[];
  /** For how long a device is known after its latest login. Defaults to 90 days. */
  readonly validity?: Duration;
}

/**
 * An address that logs in with a fixed code, for the review of an app and for tests of a whole service. Nothing is
 * delivered to it. The directory has a user with the address and `isTest`. The session ends with the test identity, and
 * its tokens say `"amr": ["test"]`.
 */
export type TestIdentity = ({ readonly phoneNumber: string } | { readonly email: string }) & {
  /** As many characters as other codes have. */
  readonly code: string;
  /** The clients at which the code is good. */
  readonly clients: readonly string[];
  /** At most 90 days away: a `Date`, or milliseconds since 1970. */
  readonly endsAt: Date | number;
};

/** What a server is configured with. Everything but `issuer`, `keys` and `signing` has a default. */
export interface Configuration {
  /** The URL of the issuer, as tokens name it. */
  readonly issuer: string;
  readonly keys: Keys;
  readonly signing: Signing;
  readonly quotas?: {
    /** How often one address is sent to. Every quota holds. Defaults to once in 30 seconds and 50 times in a day. */
    readonly sends?: readonly Quota[];
    /** Guesses per code. Defaults to 5. */
    readonly guessesPerCode?: number;
    /** Guesses per address. Defaults to 25 in a day. */
    readonly guessesPerAddress?: Quota;
  };
  /** The budgets of devices that users log in with. `false` remembers no device. */
  readonly devices?: DevicePolicy | false;
  readonly sendGuard?: SendGuard;
  /** The addresses that log in with a fixed code. */
  readonly testIdentities?: readonly TestIdentity[];
  readonly validity?: {
    /** Defaults to 5 minutes. */
    readonly accessToken?: Duration;
    /** Defaults to 30 minutes. */
    readonly idToken?: Duration;
    /** How long a session lives without a refresh. Defaults to 14 days. */
    readonly sessionIdle?: Duration;
    /** How long a session lives in all. Defaults to 30 days. */
    readonly session?: Duration;
    /** How long the key set may be cached. Defaults to 5 minutes. */
    readonly keySet?: Duration;
    /** How long the same answer is given again to a right code. At most 60 seconds. Defaults to 0. */
    readonly repeatAnswerWithin?: Duration;
  };
  /** The codes of usages other than login. */
  readonly codes?: CodePolicy;
  /** Usages of the host's own, whose codes it redeems with `Server.verify`. */
  readonly usages?: readonly string[];
  readonly addresses?: {
    /** The country code of national phone numbers, without `+`. */
    readonly countryCode?: string;
    /** Accepts letters beyond ASCII before the `@`. Defaults to false. */
    readonly internationalLocalParts?: boolean;
  };
  readonly accessTokens?: {
    /** Makes access tokens as RFC 9068 says, for this audience. */
    readonly rfc9068Audience?: string;
    /** Access tokens say when and how the user logged in. Defaults to false. */
    readonly authenticationClaims?: boolean;
  };
  /**
   * Whether the server reads DPoP proofs (RFC 9449). `strict` accepts a proof only once also at `/userinfo` and in
   * `checkAccessToken`, for one more write. Defaults to `off`.
   */
  readonly dpop?: 'off' | 'on' | 'strict';
  /** Clients with `keys` can authenticate, by assertions that they sign (`private_key_jwt`). Defaults to false. */
  readonly clientAssertions?: boolean;
  /** Further values of `grant_type`: URIs and their channels. The URIs are not converted. */
  readonly grantTypes?: Readonly<Record<string, Channel>>;
  readonly discovery?: {
    /** The user claims that the metadata names. */
    readonly claims?: readonly string[];
    /** The scopes that the metadata names. Defaults to `openid`. */
    readonly scopes?: string;
  };
  /** The paths of the endpoints. `false` removes an endpoint. */
  readonly endpoints?: {
    readonly otpSend?: string | false;
    readonly token?: string;
    readonly revocation?: string | false;
    readonly introspection?: string | false;
    readonly userinfo?: string | false;
    readonly jwks?: string;
  };
  readonly limits?: {
    /** The largest body in bytes. Defaults to 16384. */
    readonly body?: number;
  };
  /** Settings that weaken a default. */
  readonly danger?: {
    /** Lifts the send quotas. For load tests only: an attacker can flood a phone at the host's expense. */
    readonly withoutSendQuotas?: boolean;
    /** Tells each client that may send codes which addresses have a user. */
    readonly discloseUsedAddresses?: boolean;
  };
}

/** A client: an application that logs users in. It has `public`, `secret`, `secretSha256` or `keys`. */
export interface Client {
  readonly id: string;
  /** The client has no secret. */
  readonly public?: boolean;
  /** The secret of a confidential client. */
  readonly secret?: string;
  /** The SHA-256 of the secret in hex, so that the directory need not keep the secret. */
  readonly secretSha256?: string;
  /** The public keys of a client that signs assertions in place of a secret. Needs `clientAssertions`. */
  readonly keys?: readonly Jwk[];
  /** The only method by which the client authenticates. A client with a secret may otherwise send it in both ways. */
  readonly authMethod?: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none';
  /** What the client proves by DPoP. Defaults to `off`. One that requires proofs needs `dpop` of the server. */
  readonly dpop?: 'off' | 'accepted' | 'required' | 'required_with_nonce';
  /** Each request for a code needs a `code_challenge`. Defaults to false. */
  readonly codeChallengeRequired?: boolean;
  /** A public client may send codes. Confidential clients always may. */
  readonly maySend?: boolean;
  /** The client may sign users up. Defaults to true. */
  readonly maySignUp?: boolean;
  /** The identifiers of the auth sources that the client may use. */
  readonly authSources?: readonly string[];
  /** The scopes that the client may request, separated by spaces. Defaults to `openid`. */
  readonly scopes?: string;
  /** The scope of a request that names none. Defaults to `openid`. */
  readonly defaultScopes?: string;
  /** Defaults to all. */
  readonly grants?: readonly ('sms' | 'email' | 'refresh_token')[];
  /** Whether a refresh gives a new refresh token. Defaults to `rotate`. */
  readonly refresh?: 'rotate' | 'stable';
  /** How long the predecessor of a refresh token gets the same successor again. Defaults to 10 seconds. */
  readonly retryWindow?: Duration;
  /** The client may introspect the tokens of all clients. For APIs. */
  readonly introspectsEveryToken?: boolean;
  /** How many messages the client can send while `sendGuard` is on. Defaults to no limit. */
  readonly messageBudget?: { readonly perHour: number; readonly perDay: number };
}

/** An auth source: one channel, with the form and the validity of its login codes. */
export interface AuthSource {
  readonly id: string;
  readonly channel: Channel;
  readonly code?: CodePolicy;
}

/** A user, as the directory knows them. */
export interface User {
  /** The name of the user towards clients. */
  readonly subject: string;
  /** Defaults to `active`. Others can't log in. */
  readonly status?: 'active' | 'locked' | 'frozen' | 'inactive';
  /**
   * Sessions that began before this instant are over: a `Date`, or milliseconds since 1970. To sign a user out
   * everywhere, set it to the current time.
   */
  readonly tokensValidAfter?: Date | number | null;
  /** The user exists for tests, and logs in only by a {@link TestIdentity}. Defaults to false. */
  readonly isTest?: boolean | null;
}

/** A phone number or an e-mail address in its normal form. */
export interface Address {
  readonly channel: Channel;
  readonly address: string;
}

/** A code to send. */
export interface Delivery extends Address {
  /** The code. Do not log it in production. */
  readonly code: string;
  /** What the code is for: `login`, `signup`, `update_userinfo`, `reset_password` or a usage of the host's own. */
  readonly usage: string;
  readonly client: string;
  /** The auth source of a login. */
  readonly authSource?: string;
  /** How many seconds the code is valid, rounded up. */
  readonly validFor: number;
  /** The number of this message among those with the same code, beginning with 1. A later one can take another route. */
  readonly attempt: number;
}

/**
 * Why a code can't be delivered, which the client learns: the address is refused or blocked; no message is left in the
 * quota; anything else, which can pass.
 */
export type DeliveryFailure = 'address_refused' | 'insufficient_quota' | 'undeliverable';

/**
 * Sends a code. Returns nothing when the message was accepted, or a {@link DeliveryFailure}. If it throws, the client
 * gets 503. After `undeliverable`, or if it throws, the client need not wait for the shortest quota of sends.
 *
 * Put the message into a queue and return at once: the client can measure how long this takes.
 */
export type Deliver = (delivery: Delivery) => Awaitable<DeliveryFailure | void>;

/** What an access token says. */
export interface AccessToken {
  readonly subject: string;
  readonly client: string;
  /** The granted scope, separated by spaces. */
  readonly scope: string;
  readonly tokenId: string;
  /** The session (`sid`), for {@link Server.revokeSession}. */
  readonly session: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** When the user logged in, if the token says so. */
  readonly authTime?: Date;
  /** How the user logged in, if the token says so. */
  readonly amr?: readonly string[];
  /** The thumbprint (RFC 7638) of the key that the token is bound to, if it is bound. */
  readonly key?: string;
  /** The claims that the directory added. */
  readonly custom: Readonly<Record<string, unknown>>;
}

/** The outcome of {@link Server.verify}: the address is the user's. */
export interface VerifiedAddress extends Address {
  readonly usage: string;
  readonly verifiedAt: Date;
}

/** What is left of a budget. */
export interface BudgetState {
  /** How many are left in the longest window. Missing where there is no limit. */
  readonly left?: number;
  /** When the next one is possible, if it is not possible now. */
  readonly availableAt?: Date;
}

/** What an address has left. It names no code and no identifier. */
export interface AddressState {
  /** Nobody without a device token has a guess left. */
  readonly isLocked: boolean;
  readonly guesses: BudgetState;
  readonly sends: BudgetState;
  /** The challenges whose otp_token is still good. The oldest comes first. */
  readonly challenges: readonly {
    /** The code can have expired before its otp_token. */
    readonly codeExpiresAt: Date;
    readonly expiresAt: Date;
    readonly guessesLeft: number;
  }[];
  /** The devices that the address knows. */
  readonly devices: readonly {
    /** Until when the device is known without a further login. */
    readonly knownUntil: Date;
    readonly guesses: BudgetState;
    readonly sends: BudgetState;
  }[];
}

/** What happened, for logs and metrics. `kind` says which of the members are there. */
export interface Event {
  /**
   * `sent`, `delivery_failed`, `throttled`, `locked_out`, `send_would_be_refused`, `send_challenged`, `send_refused`,
   * `client_budget_half_used`, `client_budget_used`, `client_refused`, `wrong_code`, `exhausted`, `logged_in`,
   * `login_repeated`, `signed_up`, `test_identity_used`, `device_remembered`, `unlocked`, `devices_forgotten`, `verified`,
   * `refreshed`, `reuse_detected`, `proof_replayed`, `key_not_proven`, `session_revoked`, `access_token_revoked`,
   * `store_failed`, `directory_failed` or `faulted`.
   */
  readonly kind: string;
  /** Why the send guard decided so: `country_not_allowed`, `verdict`, `block`, `country`, `email_domain`, `client_budget`. */
  readonly cause?: string;
  readonly client?: string;
  /** Stands for the address: the key of its record, in hex. */
  readonly address?: string;
  readonly subject?: string;
  readonly session?: string;
  /** The text of what a port threw. */
  readonly error?: string;
  readonly [member: string]: unknown;
}

/** An endpoint, and where it is. */
export interface Route {
  readonly endpoint: string;
  readonly path: string;
  readonly url: string;
  readonly methods: readonly string[];
}
