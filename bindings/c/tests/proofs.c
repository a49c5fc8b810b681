// Proofs of a key (RFC 9449), clients with keys (RFC 7523) and code challenges (RFC 7636). The host is that of the
// example. The command `openssl` makes the keys and signs.

#define main main_of_the_example
#include "../examples/login.c"
#undef main

#include <time.h>
#include <unistd.h>

#define API "https://api.example.com/orders"
#define JWT_BEARER "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define VERIFIER "a-verifier-that-is-long-enough-to-be-one-1234"

static int failures;

#define EXPECT(condition) expect((condition) != 0, #condition, __LINE__)

static void expect(int holds, const char *condition, int line)
{
    if (!holds) {
        fprintf(stderr, "proofs.c:%d: %s does not hold\n", line, condition);
        failures++;
    }
}

// ------------------------------------------------------------------- openssl

static char folder[] = "/tmp/otp-grant-XXXXXX";

static void *given_up(const char *what)
{
    perror(what);
    exit(2);
}

// Runs openssl with an input. Returns how many bytes it has written.
static size_t openssl(const char *arguments, const char *input, uint8_t *output, size_t capacity)
{
    char path[64], command[512];
    snprintf(path, sizeof path, "%s/input", folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(input, 1, strlen(input), file) != strlen(input) || fclose(file) != 0)
        given_up(path);
    snprintf(command, sizeof command, "cd %s && openssl %s", folder, arguments);
    FILE *pipe = popen(command, "r");
    size_t length = pipe ? fread(output, 1, capacity, pipe) : 0;
    if (!pipe || pclose(pipe) != 0)
        given_up(command);
    return length;
}

static void base64url(const uint8_t *bytes, size_t length, char *text)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t at = 0; at < length; at += 3) {
        uint32_t three = (uint32_t)bytes[at] << 16;
        three |= at + 1 < length ? (uint32_t)bytes[at + 1] << 8 : 0;
        three |= at + 2 < length ? (uint32_t)bytes[at + 2] : 0;
        for (size_t digit = 0; digit < 4 && digit <= length - at; digit++)
            *text++ = DIGITS[three >> (18 - 6 * digit) & 63];
    }
    *text = 0;
}

static void sha256(const char *text, char hash[44])
{
    uint8_t bytes[32];
    EXPECT(openssl("dgst -sha256 -binary input", text, bytes, sizeof bytes) == 32);
    base64url(bytes, 32, hash);
}

// The holder of a key.
struct prover {
    const char *file;
    char jwk[128];
};

static struct prover prover(const char *file)
{
    struct prover made = {file, ""};
    uint8_t der[128];
    char arguments[128], x[44];
    snprintf(arguments, sizeof arguments, "genpkey -algorithm ed25519 -out %s", file);
    openssl(arguments, "", der, sizeof der);
    snprintf(arguments, sizeof arguments, "pkey -in %s -pubout -outform DER", file);
    size_t length = openssl(arguments, "", der, sizeof der);
    EXPECT(length == 44);
    // The key is the end of its DER.
    base64url(der + length - 32, 32, x);
    snprintf(made.jwk, sizeof made.jwk, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", x);
    return made;
}

static void sign(const struct prover *prover, const char *header, const char *claims, char jwt[2048])
{
    uint8_t signature[64];
    char arguments[128];
    base64url((const uint8_t *)header, strlen(header), jwt);
    strcat(jwt, ".");
    base64url((const uint8_t *)claims, strlen(claims), jwt + strlen(jwt));
    snprintf(arguments, sizeof arguments, "pkeyutl -sign -inkey %s -rawin -in input", prover->file);
    EXPECT(openssl(arguments, jwt, signature, sizeof signature) == 64);
    strcat(jwt, ".");
    base64url(signature, 64, jwt + strlen(jwt));
}

static int made;

// A fresh proof, with further claims, which begin with a comma.
static void prove(const struct prover *prover, const char *method, const char *url, const char *further, char jwt[2048])
{
    char header[256], claims[512];
    snprintf(header, sizeof header, "{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"jwk\":%s}", prover->jwk);
    snprintf(claims, sizeof claims, "{\"jti\":\"proof %d\",\"htm\":\"%s\",\"htu\":\"%s\",\"iat\":%lld%s}", made++, method,
             url, (long long)time(NULL), further);
    sign(prover, header, claims, jwt);
}

static void prove_to(const struct prover *prover, const char *path, char jwt[2048])
{
    char url[128];
    snprintf(url, sizeof url, "https://login.example.com%s", path);
    prove(prover, "POST", url, "", jwt);
}

// ------------------------------------------------------------------ requests

static char reply[8192], nonce[256];

// Posts JSON with so many `DPoP` headers. Keeps the reply and its nonce.
static uint64_t post_with(struct host *host, const char *path, const char *body, int proofs, const char *proof)
{
    otp_grant_header headers[3] = {{otp_grant_text("Content-Type"), otp_grant_text("application/json")},
                                   {otp_grant_text("dpop"), otp_grant_text(proof)},
                                   {otp_grant_text("DPoP"), otp_grant_text(proof)}};
    otp_grant_request request = {otp_grant_text("POST"), otp_grant_text(path), headers, 1 + (size_t)proofs,
                                 otp_grant_text(body), OTP_GRANT_VERDICT_NONE};
    otp_grant_exchange exchange;
    uint64_t status = answer(host, &request, &exchange), count = 0;
    snprintf(reply, sizeof reply, "%s", (const char *)part(exchange, OTP_GRANT_PART_REPLY_BODY).data);
    nonce[0] = 0;
    otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_HEADERS, &count);
    for (uint64_t index = 0; index < count; index++) {
        otp_grant_header header;
        otp_grant_exchange_header(exchange, index, &header);
        if (is(header.name, "DPoP-Nonce"))
            snprintf(nonce, sizeof nonce, "%s", (const char *)header.value.data);
    }
    otp_grant_exchange_free(exchange);
    return status;
}

static void member(const char *name, char text[2048])
{
    char begin[64];
    snprintf(begin, sizeof begin, "\"%s\":\"", name);
    const char *found = strstr(reply, begin);
    text[0] = 0;
    if (found)
        sscanf(found + strlen(begin), "%2047[^\"]", text);
}

static int says(const char *text)
{
    return strstr(reply, text) != NULL;
}

#define SEND "{\"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\""

static void login_body(const char *code, const char *otp_token, const char *further, char body[8192])
{
    snprintf(body, 8192,
             "{\"grant_type\":\"http://tencentciam.com/oauth2/grant-type/otp/sms\",\"auth_source_id\":\"sms\","
             "\"phone_number\":\"13612345678\",\"otp_token\":\"%s\",\"otp\":\"%s\"%s}",
             otp_token, code, further);
}

// What an API says of a request with this scheme, token and proof. Returns the code of the refusal, or "".
static const char *check(struct host *host, int is_online, const char *scheme, const char *token, const char *proof)
{
    static char code[64], challenge[256];
    char authorization[2200];
    snprintf(authorization, sizeof authorization, "%s %s", scheme, token);
    otp_grant_header headers[2] = {{otp_grant_text("authorization"), otp_grant_text(authorization)},
                                   {otp_grant_text("dpop"), otp_grant_text(proof)}};
    otp_grant_api_request request = {otp_grant_text("GET"), otp_grant_text(API), headers, proof ? 2 : 1};
    otp_grant_bytes any = {NULL, 0};
    otp_grant_exchange exchange;
    otp_grant_status status = is_online
        ? otp_grant_check_access_token_of(host->engine, &request, any, otp_grant_text("openid"), &exchange)
        : otp_grant_verify_access_token_of(host->engine, &request, any, otp_grant_text("openid"), &exchange);
    while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(exchange) < OTP_GRANT_KIND_REPLY) {
        if (otp_grant_exchange_kind(exchange) == OTP_GRANT_KIND_LOAD)
            status = load(&host->store, exchange, &exchange);
        else
            status = otp_grant_answer_document(exchange, otp_grant_text(look_up(exchange)), &exchange);
    }
    EXPECT(status == OTP_GRANT_STATUS_OK);
    code[0] = challenge[0] = 0;
    if (otp_grant_exchange_kind(exchange) == OTP_GRANT_KIND_REFUSED) {
        snprintf(code, sizeof code, "%s", (const char *)part(exchange, OTP_GRANT_PART_REFUSAL_CODE).data);
        uint64_t of_reply = 0, count = 0;
        otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &of_reply);
        otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_HEADERS, &count);
        EXPECT(of_reply == 401);
        for (uint64_t index = 0; index < count; index++) {
            otp_grant_header header;
            otp_grant_exchange_header(exchange, index, &header);
            if (is(header.name, "WWW-Authenticate"))
                snprintf(challenge, sizeof challenge, "%s", (const char *)header.value.data);
        }
        EXPECT(strstr(challenge, "DPoP ") != NULL);
    } else {
        EXPECT(strstr((const char *)part(exchange, OTP_GRANT_PART_DOCUMENT).data, "\"subject\":\"ada\"") != NULL);
    }
    otp_grant_exchange_free(exchange);
    return code;
}

static void a_login_is_bound_to_the_key(struct host *host, const struct prover *own, const struct prover *other)
{
    static char body[8192], proof[2048], otp_token[2048], access_token[2048], refresh_token[2048], further[128], ath[44];
    the_client = "{\"public\":true,\"may_send\":true,\"auth_sources\":[\"sms\"],\"dpop\":\"required\"}";
    const char *send = SEND ",\"client_id\":\"app\"}";
    EXPECT(post_with(host, "/otp/send", send, 0, NULL) == 400 && says("invalid_dpop_proof"));
    prove_to(own, "/otp/send", proof);
    EXPECT(post_with(host, "/otp/send", send, 1, proof) == 200);
    member("otp_token", otp_token);

    login_body(host->last_code, otp_token, ",\"client_id\":\"app\"", body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 400 && says("invalid_dpop_proof"));
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 400 && says("invalid_dpop_proof"));
    prove_to(other, "/oauth2/token", proof);
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 400 && says("invalid_grant"));
    prove_to(own, "/oauth2/token", proof);
    EXPECT(post_with(host, "/oauth2/token", body, 2, proof) == 400 && says("invalid_dpop_proof"));
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 200 && says("\"token_type\":\"DPoP\""));
    member("access_token", access_token);
    member("refresh_token", refresh_token);

    snprintf(body, sizeof body, "{\"grant_type\":\"refresh_token\",\"client_id\":\"app\",\"refresh_token\":\"%s\"}",
             refresh_token);
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 400 && says("invalid_dpop_proof"));
    prove_to(other, "/oauth2/token", proof);
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 400 && says("invalid_grant"));
    prove_to(own, "/oauth2/token", proof);
    EXPECT(post_with(host, "/oauth2/token", body, 1, proof) == 200 && says("\"token_type\":\"DPoP\""));

    sha256(access_token, ath);
    snprintf(further, sizeof further, ",\"ath\":\"%s\"", ath);
    for (int is_online = 0; is_online < 2; is_online++) {
        prove(own, "GET", API, further, proof);
        EXPECT(!*check(host, is_online, "DPoP", access_token, proof));
        EXPECT(!strcmp(check(host, is_online, "Bearer", access_token, proof), "key_bound"));
        EXPECT(!strcmp(check(host, is_online, "DPoP", access_token, NULL), "invalid_dpop_proof"));
        prove(own, "GET", API, "", proof);
        EXPECT(!strcmp(check(host, is_online, "DPoP", access_token, proof), "invalid_dpop_proof"));
        prove(own, "POST", API, further, proof);
        EXPECT(!strcmp(check(host, is_online, "DPoP", access_token, proof), "invalid_dpop_proof"));
        prove(own, "GET", "https://api.example.com/others", further, proof);
        EXPECT(!strcmp(check(host, is_online, "DPoP", access_token, proof), "invalid_dpop_proof"));
        prove(other, "GET", API, further, proof);
        EXPECT(!strcmp(check(host, is_online, "DPoP", access_token, proof), "invalid_dpop_proof"));
    }
    otp_grant_bytes any = {NULL, 0};
    otp_grant_exchange exchange;
    otp_grant_verify_access_token(host->engine, otp_grant_text(access_token), any, any, &exchange);
    EXPECT(is(part(exchange, OTP_GRANT_PART_REFUSAL_CODE), "key_bound"));
    otp_grant_exchange_free(exchange);
}

static void a_nonce_comes_in_a_header(struct host *host, const struct prover *own)
{
    static char proof[2048], further[300];
    the_client = "{\"public\":true,\"may_send\":true,\"auth_sources\":[\"sms\"],\"dpop\":\"required_with_nonce\"}";
    const char *send = SEND ",\"client_id\":\"app\"}";
    prove_to(own, "/otp/send", proof);
    EXPECT(post_with(host, "/otp/send", send, 1, proof) == 400 && says("use_dpop_nonce") && *nonce);
    snprintf(further, sizeof further, ",\"nonce\":\"%s\"", nonce);
    prove(own, "POST", "https://login.example.com/otp/send", further, proof);
    EXPECT(post_with(host, "/otp/send", send, 1, proof) == 200 && *nonce);
}

static void assertion(const struct prover *prover, char member[2500])
{
    char claims[512], jwt[2048];
    snprintf(claims, sizeof claims,
             "{\"iss\":\"app\",\"sub\":\"app\",\"aud\":\"https://login.example.com\",\"exp\":%lld,\"jti\":\"jwt %d\"}",
             (long long)time(NULL) + 60, made++);
    sign(prover, "{\"alg\":\"EdDSA\"}", claims, jwt);
    snprintf(member, 2500, ",\"client_assertion_type\":\"" JWT_BEARER "\",\"client_assertion\":\"%s\"", jwt);
}

static void a_client_signs_assertions(struct host *host, const struct prover *own, const struct prover *other)
{
    static char document[256], body[8192], further[2500], otp_token[2048];
    snprintf(document, sizeof document, "{\"auth_sources\":[\"sms\"],\"keys\":[%s]}", own->jwk);
    the_client = document;
    assertion(other, further);
    snprintf(body, sizeof body, SEND "%s}", further);
    EXPECT(post_with(host, "/otp/send", body, 0, NULL) == 401 && says("invalid_client"));
    EXPECT(post_with(host, "/otp/send", SEND ",\"client_id\":\"app\"}", 0, NULL) == 401);
    assertion(own, further);
    snprintf(body, sizeof body, SEND "%s}", further);
    EXPECT(post_with(host, "/otp/send", body, 0, NULL) == 200);
    member("otp_token", otp_token);
    login_body(host->last_code, otp_token, further, body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 401); // It was used.
    assertion(own, further);
    login_body(host->last_code, otp_token, further, body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 200 && says("access_token"));
}

static const char *verify(struct host *host, const char *otp_token, const char *verifier, const char *proof)
{
    static char code[64];
    otp_grant_header header = {otp_grant_text("DPoP"), otp_grant_text(proof)};
    otp_grant_api_request request = {otp_grant_text("POST"), otp_grant_text(API), &header, 1};
    otp_grant_code given = {
        otp_grant_text("app"),       otp_grant_text("signup"),         otp_grant_text("sms"),
        otp_grant_text("13612345678"), otp_grant_text(otp_token),      otp_grant_text(host->last_code),
        otp_grant_text(verifier),    proof ? &request : NULL,          {NULL, 0},
    };
    otp_grant_exchange exchange;
    otp_grant_status status = otp_grant_verify(host->engine, &given, &exchange);
    while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(exchange) < OTP_GRANT_KIND_REPLY) {
        if (otp_grant_exchange_kind(exchange) == OTP_GRANT_KIND_LOAD)
            status = load(&host->store, exchange, &exchange);
        else
            status = swap(&host->store, exchange, &exchange);
    }
    EXPECT(status == OTP_GRANT_STATUS_OK);
    otp_grant_bytes refusal = part(exchange, OTP_GRANT_PART_REFUSAL_CODE);
    snprintf(code, sizeof code, "%s", refusal.data ? (const char *)refusal.data : "");
    otp_grant_exchange_free(exchange);
    return code;
}

static void who_redeems_is_who_asked(struct host *host, const struct prover *own, const struct prover *other)
{
    static char body[8192], further[512], otp_token[2048], hash[44], proof[2048];
    the_client = "{\"public\":true,\"may_send\":true,\"auth_sources\":[\"sms\"],\"code_challenge_required\":true,"
             "\"dpop\":\"accepted\"}";
    sha256(VERIFIER, hash);
    EXPECT(post_with(host, "/otp/send", SEND ",\"client_id\":\"app\"}", 0, NULL) == 400 && says("code_challenge"));
    snprintf(body, sizeof body, SEND ",\"client_id\":\"app\",\"code_challenge\":\"%s\",\"code_challenge_method\":\"S256\"}",
             hash);
    EXPECT(post_with(host, "/otp/send", body, 0, NULL) == 200);
    member("otp_token", otp_token);
    login_body(host->last_code, otp_token, ",\"client_id\":\"app\"", body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 400 && says("invalid_grant"));
    snprintf(further, sizeof further, ",\"client_id\":\"app\",\"code_verifier\":\"another-%s\"", VERIFIER);
    login_body(host->last_code, otp_token, further, body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 400 && says("invalid_grant"));
    login_body(host->last_code, otp_token, ",\"client_id\":\"app\",\"code_verifier\":\"" VERIFIER "\"", body);
    EXPECT(post_with(host, "/oauth2/token", body, 0, NULL) == 200 && says("access_token"));

    snprintf(body, sizeof body,
             "{\"phone_number\":\"13612345678\",\"usage\":\"signup\",\"client_id\":\"app\",\"code_challenge\":\"%s\","
             "\"code_challenge_method\":\"S256\"}",
             hash);
    prove_to(own, "/otp/send", proof);
    EXPECT(post_with(host, "/otp/send", body, 1, proof) == 200);
    member("otp_token", otp_token);
    EXPECT(!strcmp(verify(host, otp_token, VERIFIER, NULL), "unknown_otp_token"));
    EXPECT(!strcmp(verify(host, otp_token, VERIFIER, proof), "invalid_dpop_proof"));
    prove(other, "POST", API, "", proof);
    EXPECT(!strcmp(verify(host, otp_token, VERIFIER, proof), "unknown_otp_token"));
    prove(own, "POST", API, "", proof);
    EXPECT(!strcmp(verify(host, otp_token, NULL, proof), "unknown_otp_token"));
    EXPECT(!strcmp(verify(host, otp_token, VERIFIER, proof), ""));
}

static const char WITH_PROOFS[] =
    "{\"issuer\":\"https://login.example.com\",\"keys\":{\"generate\":true},\"addresses\":{\"country_code\":\"86\"},"
    "\"signing\":{\"active\":{\"generate\":\"ES256\"}},\"danger\":{\"without_send_quotas\":true},\"dpop\":\"on\","
    "\"client_assertions\":true}";

int main(void)
{
    static struct host host;
    if (!mkdtemp(folder))
        given_up(folder);
    if (otp_grant_engine_new(otp_grant_text(WITH_PROOFS), NULL, &host.engine) != OTP_GRANT_STATUS_OK)
        return failed("otp_grant_engine_new");
    struct prover own = prover("own.pem"), other = prover("other.pem");
    a_login_is_bound_to_the_key(&host, &own, &other);
    a_nonce_comes_in_a_header(&host, &own);
    a_client_signs_assertions(&host, &own, &other);
    who_redeems_is_who_asked(&host, &own, &other);
    otp_grant_engine_free(host.engine);
    free_store(&host.store);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        given_up(command);
    if (failures == 0)
        printf("proofs: tokens are bound to keys, clients prove theirs, and who redeems is who asked\n");
    return failures != 0;
}
