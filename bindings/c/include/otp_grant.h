// otp-grant for C: one-time-code logins, OAuth 2.0 and OpenID Connect tokens.
//
// This file is made from the sources. Do not edit it.
//
// An engine is made from a JSON document. `otp_grant_begin` begins to answer a request, and gives an exchange. An
// exchange is at a question, which the host answers, or it is over. Each answer gives the exchange its next handle:
//
//     otp_grant_exchange exchange = 0;
//     otp_grant_status status = otp_grant_begin(engine, &request, &exchange);
//     if (status == OTP_GRANT_STATUS_NOT_AN_ENDPOINT) ... answer 404 and return ...
//     while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(exchange) != OTP_GRANT_KIND_REPLY) {
//         switch (otp_grant_exchange_kind(exchange)) {
//         case OTP_GRANT_KIND_LOAD: status = otp_grant_answer_record(exchange, ..., &exchange); break;
//         ...
//         default: status = otp_grant_refuse(exchange, &exchange);
//         }
//     }
//     if (status == OTP_GRANT_STATUS_OK) ... write the reply out ...
//     else ... answer 503 ...
//     otp_grant_exchange_free(exchange);
//
// Memory. The caller owns the bytes that it passes in, and the library reads them during the call alone. The library
// owns the bytes that it passes out. They stay as they are until their exchange is freed. There is one function that
// frees an engine, and one that frees an exchange. Nothing else is to be freed.
//
// Threads. Every function can be called on any thread. An engine is for any number of threads at once. An exchange is
// for one thread at a time, and can move between threads. A second call at the same time returns BUSY.
//
// Errors. Every function that can fail returns a status, and `otp_grant_last_error` has a text for it. A handle that
// was freed or answered, NULL, an answer of the wrong kind and a number that means nothing are errors, and change
// nothing. What the library can't find out is a pointer to memory that is not there, or a length that is too large:
// that is for the caller to guarantee, also for the bytes of an exchange that was freed.

#ifndef OTP_GRANT_H
#define OTP_GRANT_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The version of this ABI. It changes when a program that was compiled against an earlier header would not work.
#define OTP_GRANT_ABI_VERSION 3

// What became of a call. `otp_grant_last_error` has the text of anything but `OK`.
enum otp_grant_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The call did what it says.
  OTP_GRANT_STATUS_OK = 0,
  // A pointer is NULL or misaligned, a length is too large, a text is not UTF-8, or a number is out of range.
  OTP_GRANT_STATUS_INVALID_ARGUMENT = 1,
  // The handle is 0, was freed, or is that of a question that was answered.
  OTP_GRANT_STATUS_BAD_HANDLE = 2,
  // Another thread is in a call with this exchange, or an observer calls back with the exchange that it observes.
  OTP_GRANT_STATUS_BUSY = 3,
  // The configuration can't be used. The text names the member.
  OTP_GRANT_STATUS_CONFIGURATION = 4,
  // The path is not the path of an endpoint. There is no exchange.
  OTP_GRANT_STATUS_NOT_AN_ENDPOINT = 5,
  // It is not an answer to this kind of question, which is still to be answered.
  OTP_GRANT_STATUS_WRONG_KIND = 6,
  // The answer can't be read. The question is still to be answered.
  OTP_GRANT_STATUS_MALFORMED = 7,
  // The exchange is over, so there is no question to answer.
  OTP_GRANT_STATUS_OVER = 8,
  // The question or the end has no such part.
  OTP_GRANT_STATUS_NO_SUCH_PART = 9,
  // There are more than 16 million engines or exchanges.
  OTP_GRANT_STATUS_TOO_MANY = 10,
  // A fault of the library. The exchange can only be freed.
  OTP_GRANT_STATUS_INTERNAL = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_status otp_grant_status;
#else
typedef uint32_t otp_grant_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an exchange is at.
enum otp_grant_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The handle names no exchange, another thread is in a call with the exchange, or a fault of the library has taken
  // the question.
  OTP_GRANT_KIND_NONE = 0,
  // Load the record with the key `RECORD_KEY`. Answer: `answer_record`.
  OTP_GRANT_KIND_LOAD = 1,
  // Store the record `TAG`, `DELETE_AFTER_MS`, `RECORD_BODY` under `RECORD_KEY`, in one atomic step, if the stored
  // record has the tag `EXPECTED_TAG`, or without that part if nothing is stored. Answer: `answer_swap`.
  OTP_GRANT_KIND_SWAP = 2,
  // Look up the client `CLIENT_ID`. Answer: `answer_document`.
  OTP_GRANT_KIND_CLIENT = 3,
  // Look up the auth source `AUTH_SOURCE_ID`. Answer: `answer_document`.
  OTP_GRANT_KIND_AUTH_SOURCE = 4,
  // Look up the user with the `ADDRESS`. Answer: `answer_document`.
  OTP_GRANT_KIND_USER_BY_ADDRESS = 5,
  // Look up the user with the `SUBJECT`. Answer: `answer_document`.
  OTP_GRANT_KIND_USER_BY_SUBJECT = 6,
  // Return the claims of the `SUBJECT` that the client `CLIENT_ID` may see. Answer: `answer_document`.
  OTP_GRANT_KIND_USER_CLAIMS = 7,
  // Create the user of the `ADDRESS`, or return the user who exists. Answer: `answer_document`.
  OTP_GRANT_KIND_SIGN_UP = 8,
  // Narrow the `SCOPE` that the `SUBJECT` is granted. Answer: `answer_document`, or `refuse` to grant all of it.
  OTP_GRANT_KIND_GRANTED_SCOPE = 9,
  // Return the claims that access tokens of the `SUBJECT` get. Answer: `answer_document`, or `refuse` for none.
  OTP_GRANT_KIND_ACCESS_TOKEN_CLAIMS = 10,
  // Sign the `MESSAGE` with the external key. Answer: `answer_signature`.
  OTP_GRANT_KIND_SIGN = 11,
  // Send the `CODE` to the `ADDRESS`. Answer: `accept_delivery` or `fail_delivery`.
  OTP_GRANT_KIND_DELIVER = 12,
  // Over: the reply to the request is there.
  OTP_GRANT_KIND_REPLY = 100,
  // Over: the `DOCUMENT` is there.
  OTP_GRANT_KIND_DOCUMENT = 101,
  // Over: refused, for the `REFUSAL_CODE`. The refusal of an access token also has a reply.
  OTP_GRANT_KIND_REFUSED = 102,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_kind otp_grant_kind;
#else
typedef uint32_t otp_grant_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The parts of a question or an end that are bytes. Texts are UTF-8.
enum otp_grant_part
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The key of a record: 32 bytes.
  OTP_GRANT_PART_RECORD_KEY = 1,
  // The tag that the stored record must have: 16 bytes. Missing where nothing may be stored.
  OTP_GRANT_PART_EXPECTED_TAG = 2,
  // The tag of the record to store: 16 bytes.
  OTP_GRANT_PART_TAG = 3,
  // The body of the record to store, JSON.
  OTP_GRANT_PART_RECORD_BODY = 4,
  // What to sign.
  OTP_GRANT_PART_MESSAGE = 5,
  // A client.
  OTP_GRANT_PART_CLIENT_ID = 6,
  // An auth source. Missing in a delivery for a usage other than login.
  OTP_GRANT_PART_AUTH_SOURCE_ID = 7,
  // `sms` or `email`.
  OTP_GRANT_PART_CHANNEL = 8,
  // An address.
  OTP_GRANT_PART_ADDRESS = 9,
  // A user.
  OTP_GRANT_PART_SUBJECT = 10,
  // The granted scope, or the requested scope of `GRANTED_SCOPE`.
  OTP_GRANT_PART_SCOPE = 11,
  // The code to deliver. It is wiped when the exchange is freed.
  OTP_GRANT_PART_CODE = 12,
  // What the code is for.
  OTP_GRANT_PART_USAGE = 13,
  // The question or the end as a JSON object, or the array of `otp_grant_routes`. Every kind but `REPLY` has it.
  OTP_GRANT_PART_DOCUMENT = 14,
  // The body of the reply.
  OTP_GRANT_PART_REPLY_BODY = 15,
  // Why a verb was refused, such as `expired`.
  OTP_GRANT_PART_REFUSAL_CODE = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_part otp_grant_part;
#else
typedef uint32_t otp_grant_part;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The parts of a question or an end that are numbers.
enum otp_grant_number
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // From when on the record to store may be deleted: milliseconds since 1970.
  OTP_GRANT_NUMBER_DELETE_AFTER_MS = 1,
  // How long the code to deliver is still valid, in milliseconds.
  OTP_GRANT_NUMBER_VALID_FOR_MS = 2,
  // The status of the reply.
  OTP_GRANT_NUMBER_REPLY_STATUS = 3,
  // How many headers the reply has.
  OTP_GRANT_NUMBER_REPLY_HEADERS = 4,
  // The number of the message to deliver among those with the same code, beginning with 1.
  OTP_GRANT_NUMBER_ATTEMPT = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_number otp_grant_number;
#else
typedef uint32_t otp_grant_number;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why the host could not deliver a code.
enum otp_grant_failure
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The provider refused the address.
  OTP_GRANT_FAILURE_ADDRESS_REFUSED = 1,
  // The host has no quota left with the provider.
  OTP_GRANT_FAILURE_INSUFFICIENT_QUOTA = 2,
  // Any other failure. The client may try again at once.
  OTP_GRANT_FAILURE_UNDELIVERABLE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_failure otp_grant_failure;
#else
typedef uint32_t otp_grant_failure;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the host knows about a request for a code: from a captcha, a device attestation or the reputation of a network.
enum otp_grant_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The host knows nothing.
  OTP_GRANT_VERDICT_NONE = 0,
  // The request comes from a person, as far as the host can tell. It is a reason to trust the send.
  OTP_GRANT_VERDICT_ALLOW = 1,
  // The client must pass a challenge. Where the guard enforces, the send is answered with `challenge_required`.
  OTP_GRANT_VERDICT_CHALLENGE = 2,
  // Where the guard enforces, the send is refused as if no quota were left.
  OTP_GRANT_VERDICT_REFUSE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum otp_grant_verdict otp_grant_verdict;
#else
typedef uint32_t otp_grant_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Bytes that belong to another. `{NULL, 0}` is no bytes.
//
// Bytes that are passed in are read during the call alone. Bytes that are passed out stay as they are until their
// exchange is freed, or until the observer returns. A zero byte follows them, which `length` does not count.
typedef struct otp_grant_bytes {
  // The first byte.
  const uint8_t *data;
  // How many bytes there are.
  size_t length;
} otp_grant_bytes;

// What an engine has besides its configuration. All members can be 0.
typedef struct otp_grant_options {
  // Called with each event, a JSON object, in the middle of the call that answers a request, on its thread. Several
  // threads can call it at once. It must return at once.
  void (*observer)(void *context, struct otp_grant_bytes event);
  // Passed to `observer`. It must be there until the engine and all of its exchanges are freed.
  void *context;
  // 1 lets `otp_grant_engine_advance_clock` move the clock. For tests only.
  uint32_t has_test_clock;
} otp_grant_options;

// A server without its store and directory. 0 is none.
typedef uint64_t otp_grant_engine;

// A header of a request.
typedef struct otp_grant_header {
  // The name, in any case.
  struct otp_grant_bytes name;
  // The value.
  struct otp_grant_bytes value;
} otp_grant_header;

// A request. A header that is repeated is given repeatedly.
typedef struct otp_grant_request {
  // The method, such as `POST`.
  struct otp_grant_bytes method;
  // The path, without the query.
  struct otp_grant_bytes path;
  // The headers.
  const struct otp_grant_header *headers;
  // How many headers there are.
  size_t header_count;
  // The body.
  struct otp_grant_bytes body;
  // What the host knows about the request: one of `enum otp_grant_verdict`. 0 is nothing. The send endpoint reads
  // it, where the send guard is on.
  uint32_t verdict;
} otp_grant_request;

// An exchange at its present step. 0 is none. Each answer gives the exchange another number.
typedef uint64_t otp_grant_exchange;

// A record, as the store has kept it.
typedef struct otp_grant_record {
  // The tag: 16 bytes.
  struct otp_grant_bytes tag;
  // From when on the record may be deleted: milliseconds since 1970.
  uint64_t delete_after_ms;
  // The body, unchanged.
  struct otp_grant_bytes body;
} otp_grant_record;

// A request to a route of the host's own. It presents an access token, the proof of a key (RFC 9449), or both.
typedef struct otp_grant_api_request {
  // The method, such as `GET`.
  struct otp_grant_bytes method;
  // The URL of the route as clients know it. It comes from the configuration of the host, never from the `Host`
  // header. Otherwise a proof for a server of an attacker would pass.
  struct otp_grant_bytes external_url;
  // All headers. A header that is repeated is given repeatedly.
  const struct otp_grant_header *headers;
  // How many headers there are.
  size_t header_count;
} otp_grant_api_request;

// A code of a usage other than login, to be redeemed. The host has authenticated the client.
typedef struct otp_grant_code {
  // The client that requested the code.
  struct otp_grant_bytes client;
  // What the code was requested for.
  struct otp_grant_bytes usage;
  // `sms` or `email`.
  struct otp_grant_bytes channel;
  // The address, in any spelling.
  struct otp_grant_bytes address;
  // The otp_token that came with the code.
  struct otp_grant_bytes otp_token;
  // The code.
  struct otp_grant_bytes otp;
  // The verifier of the code challenge that came with the request for the code. `{NULL, 0}` if there was none.
  struct otp_grant_bytes code_verifier;
  // The request, with the proof of the key that the code was requested with. NULL if there was none.
  const struct otp_grant_api_request *proof;
  // The device token of an earlier login to this address. `{NULL, 0}` if there is none. One that is not good counts
  // as none.
  struct otp_grant_bytes device_token;
} otp_grant_code;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns `OTP_GRANT_ABI_VERSION` as it was when the library was compiled. Compare the two when the program starts.
uint32_t otp_grant_abi_version(void);

// Copies the text of the last call of this thread that did not return `OK`, and a zero byte. Returns how many bytes
// the text has, without that byte. A text that does not fit is cut. `buffer` can be NULL if `capacity` is 0.
size_t otp_grant_last_error(char *buffer,
                            size_t capacity);

// Makes an engine from a JSON document. `options` can be NULL.
otp_grant_status otp_grant_engine_new(struct otp_grant_bytes config,
                                      const struct otp_grant_options *options,
                                      otp_grant_engine *engine);

// Frees an engine. Its exchanges go on.
otp_grant_status otp_grant_engine_free(otp_grant_engine engine);

// Moves the clock of an engine that has a test clock, backwards if `ms` is negative.
otp_grant_status otp_grant_engine_advance_clock(otp_grant_engine engine, int64_t ms);

// Begins to answer a request. `NOT_AN_ENDPOINT` means that the host answers itself, such as with 404.
otp_grant_status otp_grant_begin(otp_grant_engine engine,
                                 const struct otp_grant_request *request,
                                 otp_grant_exchange *exchange);

// Begins to end a session. The exchange ends with `DOCUMENT` or `REFUSED`.
otp_grant_status otp_grant_revoke_session(otp_grant_engine engine,
                                          struct otp_grant_bytes session,
                                          otp_grant_exchange *exchange);

// Begins to compare the keys with those of the other hosts on the store. The exchange ends with `DOCUMENT` or
// `REFUSED`.
otp_grant_status otp_grant_check_keyring(otp_grant_engine engine, otp_grant_exchange *exchange);

// Begins to announce keys that replace those of the other hosts. The exchange ends with `DOCUMENT` or `REFUSED`.
otp_grant_status otp_grant_announce_new_keyring(otp_grant_engine engine,
                                                otp_grant_exchange *exchange);

// Gives the endpoints as a `DOCUMENT`, a JSON array of `endpoint`, `path`, `url` and `methods`.
otp_grant_status otp_grant_routes(otp_grant_engine engine, otp_grant_exchange *exchange);

// Gives the public keys as a `DOCUMENT` (RFC 7517).
otp_grant_status otp_grant_key_set(otp_grant_engine engine, otp_grant_exchange *exchange);

// Gives the form in which the directory is asked for an address, as a `DOCUMENT` with `channel`, `address` and
// `budget`. Addresses that have one budget share guesses and sends.
otp_grant_status otp_grant_normalise_address(otp_grant_engine engine,
                                             struct otp_grant_bytes channel,
                                             struct otp_grant_bytes address,
                                             otp_grant_exchange *exchange);

// Returns what the exchange is at.
otp_grant_kind otp_grant_exchange_kind(otp_grant_exchange exchange);

// Gives a part that is bytes: one of `enum otp_grant_part`. `bytes` is `{NULL, 0}` after any status but `OK`.
otp_grant_status otp_grant_exchange_part(otp_grant_exchange exchange,
                                         uint32_t part,
                                         struct otp_grant_bytes *bytes);

// Gives a part that is a number: one of `enum otp_grant_number`. `value` is 0 after any status but `OK`.
otp_grant_status otp_grant_exchange_number(otp_grant_exchange exchange, uint32_t number, uint64_t *value);

// Gives a header of the reply. `header` is `{{NULL, 0}, {NULL, 0}}` after any status but `OK`.
otp_grant_status otp_grant_exchange_header(otp_grant_exchange exchange,
                                           size_t index,
                                           struct otp_grant_header *header);

// Answers `LOAD`. `record` is NULL if nothing is stored. Each answer writes the next handle of the exchange to `next`,
// and the handle that was answered is good for nothing. After any status but `OK`, `next` is not written, and the
// question is still to be answered.
otp_grant_status otp_grant_answer_record(otp_grant_exchange exchange,
                                         const struct otp_grant_record *record,
                                         otp_grant_exchange *next);

// Answers `SWAP`: 1 if the record is in place, 0 if another one was stored than expected.
otp_grant_status otp_grant_answer_swap(otp_grant_exchange exchange,
                                       uint32_t stored,
                                       otp_grant_exchange *next);

// Answers a question of the directory with a JSON document, or with `{NULL, 0}` for what is unknown.
//
// CLIENT and AUTH_SOURCE: a client or an auth source. USER_BY_ADDRESS, USER_BY_SUBJECT and SIGN_UP: a user, or
// `{NULL, 0}` for a refused sign-up. USER_CLAIMS and ACCESS_TOKEN_CLAIMS: an object of claims. GRANTED_SCOPE:
// `{"scope":"openid"}`, or `{NULL, 0}` to grant nothing.
otp_grant_status otp_grant_answer_document(otp_grant_exchange exchange,
                                           struct otp_grant_bytes document,
                                           otp_grant_exchange *next);

// Answers `SIGN` with the signature in the form of a JWS (ES256: r and s, 64 bytes).
otp_grant_status otp_grant_answer_signature(otp_grant_exchange exchange,
                                            struct otp_grant_bytes signature,
                                            otp_grant_exchange *next);

// Answers `DELIVER`: the code was sent or queued.
otp_grant_status otp_grant_accept_delivery(otp_grant_exchange exchange, otp_grant_exchange *next);

// Answers `DELIVER`: the code could not be sent, for one of `enum otp_grant_failure`.
otp_grant_status otp_grant_fail_delivery(otp_grant_exchange exchange,
                                         uint32_t failure,
                                         otp_grant_exchange *next);

// Says that the part of the host that should answer has failed, whatever the question is. The client mostly gets 503.
// The observer receives the message, which is UTF-8. A delivery that fails in this way is undeliverable, and the
// observer does not receive the message.
otp_grant_status otp_grant_fail(otp_grant_exchange exchange,
                                struct otp_grant_bytes message,
                                otp_grant_exchange *next);

// Says that the host does not answer questions of this kind. GRANTED_SCOPE then grants all that is requested,
// ACCESS_TOKEN_CLAIMS adds nothing and SIGN_UP refuses. Any other question fails.
otp_grant_status otp_grant_refuse(otp_grant_exchange exchange, otp_grant_exchange *next);

// Frees an exchange, at any step. To free a question is to drop the request, as if the client had hung up.
otp_grant_status otp_grant_exchange_free(otp_grant_exchange exchange);

// Checks an access token offline. The exchange is over at once, with `DOCUMENT` or `REFUSED`. `client` and
// `needed_scope` can be `{NULL, 0}`. A token that is bound to a key is refused.
otp_grant_status otp_grant_verify_access_token(otp_grant_engine engine,
                                               struct otp_grant_bytes token,
                                               struct otp_grant_bytes client,
                                               struct otp_grant_bytes needed_scope,
                                               otp_grant_exchange *exchange);

// Begins to check an access token online. The exchange ends with `DOCUMENT` or `REFUSED`. `client` and `needed_scope`
// can be `{NULL, 0}`. A token that is bound to a key is refused.
otp_grant_status otp_grant_check_access_token(otp_grant_engine engine,
                                              struct otp_grant_bytes token,
                                              struct otp_grant_bytes client,
                                              struct otp_grant_bytes needed_scope,
                                              otp_grant_exchange *exchange);

// Checks the access token of a request offline: alone, or with the proof of its key (RFC 9449). The exchange is over
// at once, as after `otp_grant_verify_access_token`. Whether the proof was used before is not known, and its nonce is
// not looked at.
otp_grant_status otp_grant_verify_access_token_of(otp_grant_engine engine,
                                                  const struct otp_grant_api_request *request,
                                                  struct otp_grant_bytes client,
                                                  struct otp_grant_bytes needed_scope,
                                                  otp_grant_exchange *exchange);

// Begins to check the access token of a request online: alone, or with the proof of its key (RFC 9449). The exchange
// ends as after `otp_grant_check_access_token`. The reply of a refusal has the challenge and, where it is needed, the
// nonce.
otp_grant_status otp_grant_check_access_token_of(otp_grant_engine engine,
                                                 const struct otp_grant_api_request *request,
                                                 struct otp_grant_bytes client,
                                                 struct otp_grant_bytes needed_scope,
                                                 otp_grant_exchange *exchange);

// Begins to redeem a code of a usage other than login. The exchange ends with `DOCUMENT` or `REFUSED`.
otp_grant_status otp_grant_verify(otp_grant_engine engine,
                                  const struct otp_grant_code *code,
                                  otp_grant_exchange *exchange);

// Begins to tell what an address has left: guesses and sends, live challenges and devices. `channel` is `sms` or
// `email`, and the address has any spelling. The exchange ends with `DOCUMENT` or `REFUSED`.
otp_grant_status otp_grant_explain(otp_grant_engine engine,
                                   struct otp_grant_bytes channel,
                                   struct otp_grant_bytes address,
                                   otp_grant_exchange *exchange);

// Begins to clear the counted guesses and sends of an address and of its devices. The guesses of each code still
// count. The exchange ends with `DOCUMENT` or `REFUSED`.
otp_grant_status otp_grant_unlock(otp_grant_engine engine,
                                  struct otp_grant_bytes channel,
                                  struct otp_grant_bytes address,
                                  otp_grant_exchange *exchange);

// Begins to make an address forget its devices, after one was lost or stolen. The exchange ends with `DOCUMENT` or
// `REFUSED`.
otp_grant_status otp_grant_forget_devices(otp_grant_engine engine,
                                          struct otp_grant_bytes channel,
                                          struct otp_grant_bytes address,
                                          otp_grant_exchange *exchange);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

// The bytes of a text that ends with a zero byte. NULL is `{NULL, 0}`.
static inline otp_grant_bytes otp_grant_text(const char *text)
{
    otp_grant_bytes bytes = {(const uint8_t *)text, text ? strlen(text) : 0};
    return bytes;
}

#endif // OTP_GRANT_H
