// A host in C: its records are in a hash table, its one client and its one user in this file.
//
// It answers the requests of a login in one process: a code is sent, redeemed for tokens, the refresh token is used,
// and the session ends. A server would take the requests from its HTTP library instead. README.md says how to build it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otp_grant.h"

// ---------------------------------------------------------------- the store

// A record is found by its key, which is a MAC: any 8 bytes of it are as good as a hash.
struct entry {
    struct entry *next;
    uint8_t key[32], tag[16];
    uint64_t delete_after_ms;
    uint8_t *body;
    size_t body_length;
};

struct store {
    struct entry *buckets[64];
};

static struct entry **find(struct store *store, otp_grant_bytes key)
{
    struct entry **entry = &store->buckets[key.data[0] % 64];
    while (*entry && memcmp((*entry)->key, key.data, 32) != 0)
        entry = &(*entry)->next;
    return entry;
}

static otp_grant_bytes part(otp_grant_exchange exchange, uint32_t name)
{
    otp_grant_bytes bytes;
    // A part that is missing is `{NULL, 0}`.
    otp_grant_exchange_part(exchange, name, &bytes);
    return bytes;
}

static otp_grant_status load(struct store *store, otp_grant_exchange exchange, otp_grant_exchange *next)
{
    const struct entry *entry = *find(store, part(exchange, OTP_GRANT_PART_RECORD_KEY));
    if (!entry)
        return otp_grant_answer_record(exchange, NULL, next);
    otp_grant_record record = {{entry->tag, 16}, entry->delete_after_ms, {entry->body, entry->body_length}};
    return otp_grant_answer_record(exchange, &record, next);
}

// With several threads, all of this would be under one lock: comparing and writing is one step.
static otp_grant_status swap(struct store *store, otp_grant_exchange exchange, otp_grant_exchange *next)
{
    otp_grant_bytes key = part(exchange, OTP_GRANT_PART_RECORD_KEY);
    otp_grant_bytes expected = part(exchange, OTP_GRANT_PART_EXPECTED_TAG);
    struct entry **entry = find(store, key);
    int is_expected = expected.data ? *entry && memcmp((*entry)->tag, expected.data, 16) == 0 : !*entry;
    if (!is_expected)
        return otp_grant_answer_swap(exchange, 0, next);

    otp_grant_bytes body = part(exchange, OTP_GRANT_PART_RECORD_BODY);
    uint8_t *copy = malloc(body.length);
    struct entry *target = *entry ? *entry : calloc(1, sizeof *target);
    if (!copy || !target) {
        free(copy);
        if (target != *entry)
            free(target);
        return otp_grant_fail(exchange, otp_grant_text("no memory"), next);
    }
    *entry = target;
    memcpy(copy, body.data, body.length);
    free((*entry)->body);
    (*entry)->body = copy;
    (*entry)->body_length = body.length;
    memcpy((*entry)->key, key.data, 32);
    memcpy((*entry)->tag, part(exchange, OTP_GRANT_PART_TAG).data, 16);
    otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_DELETE_AFTER_MS, &(*entry)->delete_after_ms);
    return otp_grant_answer_swap(exchange, 1, next);
}

static void free_store(struct store *store)
{
    for (int bucket = 0; bucket < 64; bucket++) {
        for (struct entry *entry = store->buckets[bucket], *next; entry; entry = next) {
            next = entry->next;
            free(entry->body);
            free(entry);
        }
    }
}

// ------------------------------------------------------------ the directory

static int is(otp_grant_bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.data, text, bytes.length) == 0;
}

static const char *the_client =
    "{\"public\":true,\"may_send\":true,\"auth_sources\":[\"sms\"],\"scopes\":\"openid phone\"}";

static const char *the_user = "{\"subject\":\"ada\"}";

// Clients, auth sources and users are JSON documents. NULL is what is unknown.
static const char *look_up(otp_grant_exchange exchange)
{
    switch (otp_grant_exchange_kind(exchange)) {
    case OTP_GRANT_KIND_CLIENT:
        return is(part(exchange, OTP_GRANT_PART_CLIENT_ID), "app") ? the_client : NULL;
    case OTP_GRANT_KIND_AUTH_SOURCE:
        return is(part(exchange, OTP_GRANT_PART_AUTH_SOURCE_ID), "sms") ? "{\"channel\":\"sms\"}" : NULL;
    case OTP_GRANT_KIND_USER_BY_ADDRESS:
        return is(part(exchange, OTP_GRANT_PART_ADDRESS), "+8613612345678") ? the_user : NULL;
    case OTP_GRANT_KIND_USER_BY_SUBJECT:
        return is(part(exchange, OTP_GRANT_PART_SUBJECT), "ada") ? the_user : NULL;
    default: // OTP_GRANT_KIND_USER_CLAIMS
        return "{\"phone_number\":\"+8613612345678\",\"phone_number_verified\":true}";
    }
}

// ------------------------------------------------------------- the exchange

struct host {
    otp_grant_engine engine;
    struct store store;
    // The phone of the user: the last code, and how many messages had it.
    char last_code[16];
    uint64_t last_attempt;
};

// Answers one request. Returns its status, or 0 for a path that is not an endpoint's. The caller frees `*exchange`.
static uint64_t answer(struct host *host, const otp_grant_request *request, otp_grant_exchange *exchange)
{
    *exchange = 0;
    otp_grant_status status = otp_grant_begin(host->engine, request, exchange);
    if (status == OTP_GRANT_STATUS_NOT_AN_ENDPOINT)
        return 0;
    while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(*exchange) != OTP_GRANT_KIND_REPLY) {
        const char *document;
        switch (otp_grant_exchange_kind(*exchange)) {
        case OTP_GRANT_KIND_LOAD:
            status = load(&host->store, *exchange, exchange);
            break;
        case OTP_GRANT_KIND_SWAP:
            status = swap(&host->store, *exchange, exchange);
            break;
        case OTP_GRANT_KIND_CLIENT:
        case OTP_GRANT_KIND_AUTH_SOURCE:
        case OTP_GRANT_KIND_USER_BY_ADDRESS:
        case OTP_GRANT_KIND_USER_BY_SUBJECT:
        case OTP_GRANT_KIND_USER_CLAIMS:
            document = look_up(*exchange);
            status = otp_grant_answer_document(*exchange, otp_grant_text(document), exchange);
            break;
        case OTP_GRANT_KIND_DELIVER: {
            otp_grant_bytes code = part(*exchange, OTP_GRANT_PART_CODE);
            snprintf(host->last_code, sizeof host->last_code, "%s", (const char *)code.data);
            otp_grant_exchange_number(*exchange, OTP_GRANT_NUMBER_ATTEMPT, &host->last_attempt);
            status = otp_grant_accept_delivery(*exchange, exchange);
            break;
        }
        default: // This host narrows no scopes, adds no claims, refuses sign-ups and has its key in the engine.
            status = otp_grant_refuse(*exchange, exchange);
        }
    }
    uint64_t reply = 503;
    if (status == OTP_GRANT_STATUS_OK)
        otp_grant_exchange_number(*exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &reply);
    return reply;
}

// Posts JSON or a form, prints the status, and copies the texts of two members of the reply.
static uint64_t post(struct host *host, const char *path, const char *sent, const char *members[2], char texts[2][2048])
{
    const char *type = sent[0] == '{' ? "application/json" : "application/x-www-form-urlencoded";
    otp_grant_header header = {otp_grant_text("Content-Type"), otp_grant_text(type)};
    otp_grant_request request = {otp_grant_text("POST"), otp_grant_text(path), &header, 1, otp_grant_text(sent),
                                 OTP_GRANT_VERDICT_NONE}; // A captcha of the host's would have another one.
    otp_grant_exchange exchange;
    uint64_t status = answer(host, &request, &exchange);
    const char *body = (const char *)part(exchange, OTP_GRANT_PART_REPLY_BODY).data;
    printf("POST %s: %llu\n", path, (unsigned long long)status);
    for (int i = 0; i < 2; i++) {
        char begin[64];
        snprintf(begin, sizeof begin, "\"%s\":\"", members[i] ? members[i] : "");
        const char *found = body && members[i] ? strstr(body, begin) : NULL;
        texts[i][0] = 0;
        if (found)
            sscanf(found + strlen(begin), "%2047[^\"]", texts[i]);
    }
    otp_grant_exchange_free(exchange);
    return status;
}

static const char CONFIGURATION[] =
    "{"
    "  \"issuer\": \"https://login.example.com\","
    "  \"keys\": {\"generate\": true},"
    "  \"signing\": {\"active\": {\"generate\": \"ES256\"}},"
    "  \"addresses\": {\"country_code\": \"86\"}"
    "}";

static int failed(const char *what)
{
    char text[256];
    otp_grant_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s\n", what, text);
    return 1;
}

int main(void)
{
    if (otp_grant_abi_version() != OTP_GRANT_ABI_VERSION)
        return failed("the library is not the one of this header");
    static struct host host;
    if (otp_grant_engine_new(otp_grant_text(CONFIGURATION), NULL, &host.engine) != OTP_GRANT_STATUS_OK)
        return failed("otp_grant_engine_new");

    static char json[8192], form[4096], texts[2][2048];
    const char *of_send[2] = {"otp_token", NULL}, *of_login[2] = {"access_token", "refresh_token"}, *none[2] = {NULL};

    const char *send = "{\"client_id\":\"app\",\"auth_source_id\":\"sms\",\"phone_number\":\"136 1234 5678\"}";
    if (post(&host, "/otp/send", send, of_send, texts) != 200)
        return failed("send");
    printf("the code is %s\n", host.last_code);

    snprintf(json, sizeof json,
             "{\"grant_type\":\"http://tencentciam.com/oauth2/grant-type/otp/sms\",\"client_id\":\"app\","
             "\"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\",\"otp_token\":\"%s\",\"otp\":\"%s\"}",
             texts[0], host.last_code);
    if (post(&host, "/oauth2/token", json, of_login, texts) != 200)
        return failed("login");
    printf("the access token is %.20s...\n", texts[0]);

    snprintf(json, sizeof json, "{\"grant_type\":\"refresh_token\",\"client_id\":\"app\",\"refresh_token\":\"%s\"}",
             texts[1]);
    if (post(&host, "/oauth2/token", json, of_login, texts) != 200)
        return failed("refresh");

    otp_grant_exchange exchange;
    otp_grant_bytes any = {NULL, 0};
    if (otp_grant_verify_access_token(host.engine, otp_grant_text(texts[0]), any, any, &exchange) != OTP_GRANT_STATUS_OK)
        return failed("otp_grant_verify_access_token");
    printf("its claims: %s\n", (const char *)part(exchange, OTP_GRANT_PART_DOCUMENT).data);
    int is_good = otp_grant_exchange_kind(exchange) == OTP_GRANT_KIND_DOCUMENT;
    otp_grant_exchange_free(exchange);

    snprintf(form, sizeof form, "client_id=app&token=%s", texts[1]);
    if (post(&host, "/oauth2/revoke", form, none, texts) != 200)
        return failed("sign-out");

    otp_grant_engine_free(host.engine);
    free_store(&host.store);
    return is_good ? 0 : 1;
}
