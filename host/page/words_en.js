// The words of the page in English. words_ar.js has the same members.
//
// A `#` in a counted form stands for the number. The forms are those of Intl.PluralRules.

const noKey = "You can't sign in with this browser here: it can't keep the key that signing in needs. Use a window that is not "
  + "private and a browser that is up to date, and open this page with https.";
const wrongProof =
  "The server did not accept what this browser proved. Check that the clock of this device is right, and reload the page.";

export default {
  locale: "en-GB",
  direction: "ltr",

  /** The texts of elements: `data-words` names them. */
  page: {
    title: "Sign in",
    channels: "How should we send your code?",
    sms: "Text message",
    email: "E-mail",
    phoneLabel: "Phone number",
    phoneHelp: "With the country code, such as +86 136 1234 5678.",
    emailLabel: "E-mail address",
    send: "Send me a code",
    codeLabel: "Code",
    rememberLabel: "Remember this device",
    rememberHelp: "Nobody else can then lock you out here. Not for a device that others use.",
    signIn: "Sign in",
    signUp: "Your code is right, but nobody has signed in with this address before. Do you want to create an account?",
    create: "Create an account",
    resend: "Send a new code",
    change: "Use another address",
    signedIn: "You are signed in",
    refresh: "Refresh tokens",
    userinfo: "Ask who I am",
    forgetDevice: "Forget this device",
    signOut: "Sign out",
    profile: "What userinfo says",
    memory: "The tokens are in the memory of this tab and nowhere else. Close or reload it, and they are gone.",
    bound: "This browser keeps a key that no script can read. The access token and the refresh token are worth nothing without "
      + "it. Signing out forgets the key.",
  },

  // The address.
  phoneSuchAs: (example) => `Such as ${example}, or with + and the country code.`,
  phoneAssumes: (countryCode) => `With the country code; without it, +${countryCode} is assumed.`,
  enterPhone: "Please enter your phone number.",
  enterEmail: "Please enter your e-mail address.",
  sending: "Sending…",

  // The code.
  sent: (shape) => [`We sent a code of ${shape} to `, "."],
  digits: { one: "# digit", other: "# digits" },
  characters: { one: "# character", other: "# characters" },
  onItsWay: "The code is on its way.",
  onItsWayAgain: "A code is on its way once more. It may be the same as before.",
  sentAlready: "A code was sent there a moment ago. Please enter it.",
  codeHas: (shape) => `The code has ${shape}.`,
  goodFor: (time) => `The code is good for ${time}.`,
  tooOld: "The code is too old now. Please ask for a new one.",
  attempts: { one: "# attempt left.", other: "# attempts left." },
  resendIn: (seconds) => `New code in ${seconds} s`,
  canResend: "You can ask for a new code now.",
  usedElsewhere: "This code was used in another tab.",
  checking: "Checking…",
  creating: "Creating…",

  // The tokens.
  idToken: "ID token",
  idTokenIs: "Tells this page who signed in.",
  accessToken: "Access token",
  accessTokenIs: "What this page shows to APIs.",
  boundAccessTokenIs: "What this page shows to APIs, with a proof of its key.",
  refreshToken: "Refresh token",
  refreshTokenIs: (length) => `${length} characters that mean something to the server alone.`,
  header: "Header",
  claimsOf: "Claims",
  itself: "The token itself",
  accessGoodFor: (time) => `The access token is good for ${time}.`,
  accessExpired: "The access token has expired. Refresh the tokens to go on.",
  fresh: "The tokens are fresh.",
  stillSignedIn: (why) => `You are still signed in. ${why}`,
  signedOut: "You are signed out.",
  forgotten: "This browser does not remember you any more.",
  refreshing: "Refreshing…",
  asking: "Asking…",
  forgetting: "Forgetting…",
  signingOut: "Signing out…",

  // Times and values.
  units: {
    day: { one: "# day", other: "# days" },
    hour: { one: "# hour", other: "# hours" },
    minute: { one: "# minute", other: "# minutes" },
    second: { one: "# second", other: "# seconds" },
  },
  and: " ",
  in: (time) => `in ${time}`,
  now: "now",
  later: "later",
  inAMoment: "in a moment",
  at: (time, weekday) => (weekday ? `, on ${weekday} at ${time}` : `, at ${time}`),
  issued: (date, time, isLater) => `${date} (${time} ${isLater ? "after" : "before"} it was issued)`,
  yes: "yes",
  no: "no",

  // Errors.
  thisPhone: "this phone number",
  thisEmail: "this e-mail address",
  undelivered: (what, when) => `The code could not be sent to ${what}. You can ask for it again ${when}.`,
  justSent: (what, when) => `We sent a code only just now to ${what}. Please try again ${when}.`,
  locked: (what, when, at, isRemembered) =>
    `Signing in with ${what} is locked for now: too many codes were asked for, or tried. You can try again ${when}${at}.`
      + `${isRemembered ? "" : " A device that remembers you is not locked."}`,
  unavailable: (when) => `Something does not work on our side. Nothing is lost: please try again ${when}.`,
  notSent: (when) => `The code could not be sent. Please try again ${when}.`,
  unreachable: "The server can't be reached. Check your connection, and try again.",
  nonsense: "That did not work: the answer makes no sense. Please try again.",
  mismatch: "This code was sent for something else. Please ask for a new one.",
  notUnderstood: (why) => `The server did not understand the page (${why}). Please reload it.`,
  misconfigured: (error) => `This page is not set up correctly (${error}). Please tell whoever runs it.`,
  tooSlow: "The connection is too slow: the server did not wait for it. Please try again.",
  tooMany: "Too many requests come from here. Please wait a little.",
  serverError: "Something does not work on our side. Please try again in a moment.",
  unknownStatus: (status) => `The server gave an answer that this page does not know (${status}). Please reload it.`,
  errors: {
    malformed_phone_number:
      "That is not a phone number we can read. Write it with + and the country code, such as +86 136 1234 5678.",
    malformed_email: "That is not an e-mail address we can read. It should look like name@example.com.",
    phone_number_is_used: "This phone number already belongs to an account.",
    email_is_used: "This e-mail address already belongs to an account.",
    invalid_email: "No message can be sent to this address. Please use another one.",
    invalid_phone_number: "No message can be sent to this phone number. Please use another one.",
    insufficient_sms_quota: "No more text messages can be sent at the moment. Please try again later, or use e-mail.",
    insufficient_email_quota: "No more e-mail can be sent at the moment. Please try again later.",
    challenge_required: "We can't send a code there from here right now. Please try again later, or with another address.",
    invalid_token: "This access token has expired or was revoked. Refresh the tokens, or sign in again.",
    insufficient_scope: "This access token does not allow asking who you are.",
    no_key: noKey,
    invalid_dpop_proof: wrongProof,
    use_dpop_nonce: wrongProof,
  },
  lastAttempt: "That code is wrong or too old, and this was the last attempt. Please ask for a new code.",
  /** By the description of `invalid_grant`. */
  grants: {
    "Unknown or expired OTP": "That code is wrong or too old. Please look at it again, or ask for a new one.",
    "Unknown or expired otp_token":
      "This code can't be used any more: it is too old, was used, or was guessed at too often. Please ask for a new one.",
    "User not found": "The code is right, but nobody has an account with this address.",
    "Abnormal user status": "This account is locked or not active. Please ask for help where you got it.",
    "Unknown or expired refresh_token": "Your session is over. Please sign in again.",
  },
  otherGrant: "You can't sign in with this. Please start again.",

  /** What the usual claims mean. */
  claims: {
    alg: "signed with", kid: "key", typ: "type", sub: "who", aud: "for which application", azp: "asked for by",
    iss: "issued by", exp: "expires", iat: "issued", nbf: "valid from", jti: "number of the token", sid: "session",
    scope: "what it allows", cnf: "good only with this key", auth_time: "signed in", amr: "how", client_id: "application",
    name: "name", email: "e-mail", email_verified: "e-mail proved", phone_number: "phone number",
    phone_number_verified: "phone number proved", preferred_username: "user name",
  },
};
