// A known device logs in to an address that an attacker has locked, a reviewer logs in without a telephone, and a send
// that is not trusted passes with the verdict of the host. The host is that of the example.

#define main main_of_the_example
#include "../examples/login.c"
#undef main

#include <time.h>

static int failures;

#define EXPECT(condition) expect((condition) != 0, #condition, __LINE__)

static void expect(int holds, const char *condition, int line)
{
    if (!holds) {
        fprintf(stderr, "messages.c:%d: %s does not hold\n", line, condition);
        failures++;
    }
}

// ------------------------------------------------------------------ requests

static char reply[8192], document[4096];

static uint64_t post_as(struct host *host, uint32_t verdict, const char *path, const char *body)
{
    otp_grant_header type = {otp_grant_text("Content-Type"), otp_grant_text("application/json")};
    otp_grant_request request = {otp_grant_text("POST"), otp_grant_text(path), &type, 1, otp_grant_text(body), verdict};
    otp_grant_exchange exchange;
    uint64_t status = answer(host, &request, &exchange);
    snprintf(reply, sizeof reply, "%s", (const char *)part(exchange, OTP_GRANT_PART_REPLY_BODY).data);
    otp_grant_exchange_free(exchange);
    return status;
}

static int says(const char *text)
{
    return strstr(reply, text) != NULL;
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

// Sends, with further members, which begin with a comma. Keeps the otp_token.
static char otp_token[2048];

static uint64_t send_as(struct host *host, uint32_t verdict, const char *phone, const char *further)
{
    static char body[4096];
    snprintf(body, sizeof body, "{\"client_id\":\"app\",\"auth_source_id\":\"sms\",\"phone_number\":\"%s\"%s}", phone,
             further);
    host->last_code[0] = 0;
    uint64_t status = post_as(host, verdict, "/otp/send", body);
    member("otp_token", otp_token);
    return status;
}

static uint64_t log_in(struct host *host, const char *code, const char *further)
{
    static char body[8192];
    snprintf(body, sizeof body,
             "{\"grant_type\":\"http://tencentciam.com/oauth2/grant-type/otp/sms\",\"client_id\":\"app\","
             "\"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\",\"otp_token\":\"%s\",\"otp\":\"%s\"%s}",
             otp_token, code, further);
    return post_as(host, OTP_GRANT_VERDICT_NONE, "/oauth2/token", body);
}

// Asks the store for a verb that was begun. Keeps its document. Returns the code of its refusal, or "".
static const char *end_verb(struct host *host, otp_grant_status status, otp_grant_exchange exchange)
{
    static char code[64];
    while (status == OTP_GRANT_STATUS_OK && otp_grant_exchange_kind(exchange) < OTP_GRANT_KIND_REPLY) {
        if (otp_grant_exchange_kind(exchange) == OTP_GRANT_KIND_LOAD)
            status = load(&host->store, exchange, &exchange);
        else
            status = swap(&host->store, exchange, &exchange);
    }
    EXPECT(status == OTP_GRANT_STATUS_OK);
    otp_grant_bytes refusal = part(exchange, OTP_GRANT_PART_REFUSAL_CODE);
    snprintf(code, sizeof code, "%s", refusal.data ? (const char *)refusal.data : "");
    snprintf(document, sizeof document, "%s", (const char *)part(exchange, OTP_GRANT_PART_DOCUMENT).data);
    otp_grant_exchange_free(exchange);
    return code;
}

typedef otp_grant_status (*verb_of_staff)(otp_grant_engine, otp_grant_bytes, otp_grant_bytes, otp_grant_exchange *);

static const char *staff(struct host *host, verb_of_staff verb)
{
    otp_grant_exchange exchange = 0;
    otp_grant_status status = verb(host->engine, otp_grant_text("sms"), otp_grant_text("136 1234 5678"), &exchange);
    return end_verb(host, status, exchange);
}

static int explained(struct host *host, const char *text)
{
    return !*staff(host, otp_grant_explain) && strstr(document, text) != NULL;
}

static const char *verify(struct host *host, const char *device_token)
{
    otp_grant_code given = {
        otp_grant_text("app"),
        otp_grant_text("signup"),
        otp_grant_text("sms"),
        otp_grant_text("13612345678"),
        otp_grant_text(otp_token),
        otp_grant_text(host->last_code),
        {NULL, 0},
        NULL,
        otp_grant_text(device_token),
    };
    otp_grant_exchange exchange = 0;
    otp_grant_status status = otp_grant_verify(host->engine, &given, &exchange);
    return end_verb(host, status, exchange);
}

#define PHONE "13612345678"
#define HALF_A_MINUTE 31000

static void wait_for_quota(struct host *host)
{
    EXPECT(otp_grant_engine_advance_clock(host->engine, HALF_A_MINUTE) == OTP_GRANT_STATUS_OK);
}

static struct host *new_host(struct host *host, const char *settings)
{
    char config[2048];
    snprintf(config, sizeof config,
             "{\"issuer\":\"https://login.example.com\",\"keys\":{\"generate\":true},"
             "\"addresses\":{\"country_code\":\"86\"},\"signing\":{\"active\":{\"generate\":\"ES256\"}},%s}",
             settings);
    otp_grant_options options = {NULL, NULL, 1};
    memset(host, 0, sizeof *host);
    if (otp_grant_engine_new(otp_grant_text(config), &options, &host->engine) != OTP_GRANT_STATUS_OK)
        exit(failed("otp_grant_engine_new"));
    return host;
}

static void free_host(struct host *host)
{
    otp_grant_engine_free(host->engine);
    free_store(&host->store);
}

// --------------------------------------------------------------------- tests

static void a_known_device_logs_in_where_an_attacker_has_locked(struct host *host)
{
    static char device_token[2048], device[2200], body[4096];
    new_host(host, "\"quotas\":{\"guesses_per_address\":{\"count\":5,\"per\":\"24h\"}}");
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200 && host->last_attempt == 1);
    EXPECT(log_in(host, host->last_code, ",\"remember_device\":true") == 200);
    member("device_token", device_token);
    EXPECT(device_token[0]);
    wait_for_quota(host);

    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200);
    for (int guess = 0; guess < 5; guess++)
        EXPECT(log_in(host, strcmp(host->last_code, "000000") ? "000000" : "000001", "") == 400);
    wait_for_quota(host);
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 400 && says("sms_rate_limit_exceeded"));
    EXPECT(explained(host, "\"is_locked\":true"));

    snprintf(device, sizeof device, ",\"device_token\":\"%s\"", device_token);
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, device) == 200);
    EXPECT(log_in(host, host->last_code, device) == 200);
    wait_for_quota(host);
    snprintf(body, sizeof body, "{\"client_id\":\"app\",\"usage\":\"signup\",\"phone_number\":\"" PHONE "\"%s}", device);
    EXPECT(post_as(host, OTP_GRANT_VERDICT_NONE, "/otp/send", body) == 200);
    member("otp_token", otp_token);
    EXPECT(!strcmp(verify(host, NULL), "unknown_otp_token"));
    EXPECT(!strcmp(verify(host, "not a token"), "unknown_otp_token"));
    EXPECT(!strcmp(verify(host, device_token), ""));

    EXPECT(!*staff(host, otp_grant_unlock));
    EXPECT(explained(host, "\"is_locked\":false") && explained(host, "\"known_until\":"));
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200);
    EXPECT(log_in(host, host->last_code, "") == 200);
    EXPECT(!*staff(host, otp_grant_forget_devices));
    EXPECT(explained(host, "\"devices\":[]"));
    free_host(host);
}

static void a_reviewer_logs_in_without_a_telephone(struct host *host)
{
    char settings[512];
    const char *ada = the_user;
    snprintf(settings, sizeof settings,
             "\"test_identities\":[{\"phone_number\":\"" PHONE "\",\"code\":\"246810\",\"clients\":[\"app\"],"
             "\"ends_at\":%lld}]",
             ((long long)time(NULL) + 24 * 60 * 60) * 1000);
    new_host(host, settings);
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200);
    EXPECT(host->last_code[0] == 0); // Nothing was delivered.
    EXPECT(log_in(host, "246810", "") == 400);
    the_user = "{\"subject\":\"ada\",\"is_test\":true}";
    wait_for_quota(host);
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200 && host->last_code[0] == 0);
    EXPECT(log_in(host, "246811", "") == 400);
    EXPECT(log_in(host, "246810", "") == 200);

    static char token[2048];
    member("access_token", token);
    otp_grant_exchange exchange = 0;
    otp_grant_bytes any = {NULL, 0};
    EXPECT(otp_grant_verify_access_token(host->engine, otp_grant_text(token), any, any, &exchange) == OTP_GRANT_STATUS_OK);
    EXPECT(strstr((const char *)part(exchange, OTP_GRANT_PART_DOCUMENT).data, "\"amr\":[\"test\"]") != NULL);
    otp_grant_exchange_free(exchange);
    the_user = ada;
    free_host(host);
}

static void a_send_that_is_not_trusted_passes_with_a_verdict(struct host *host)
{
    new_host(host, "\"send_guard\":{\"mode\":\"enforce\",\"thresholds\":{\"block\":{\"per_day\":2,\"per_hour\":2}}}");
    char phone[32];
    for (int number = 0; number < 4; number++) {
        snprintf(phone, sizeof phone, "1361234%04d", number);
        EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, phone, "") == 200);
    }
    EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 400 && says("challenge_required"));
    EXPECT(send_as(host, OTP_GRANT_VERDICT_ALLOW, PHONE, "") == 200);
    EXPECT(log_in(host, host->last_code, "") == 200);
    EXPECT(send_as(host, OTP_GRANT_VERDICT_CHALLENGE, "13700000000", "") == 400 && says("challenge_required"));
    EXPECT(send_as(host, OTP_GRANT_VERDICT_REFUSE, "13700000000", "") == 400 && says("insufficient_sms_quota"));
    free_host(host);
}

static void a_second_message_with_the_same_code_says_so(struct host *host)
{
    new_host(host, "\"usages\":[]");
    for (uint64_t attempt = 1; attempt <= 2; attempt++) {
        EXPECT(send_as(host, OTP_GRANT_VERDICT_NONE, PHONE, "") == 200 && host->last_attempt == attempt);
        wait_for_quota(host);
    }
    free_host(host);
}

int main(void)
{
    static struct host host;
    a_known_device_logs_in_where_an_attacker_has_locked(&host);
    a_reviewer_logs_in_without_a_telephone(&host);
    a_send_that_is_not_trusted_passes_with_a_verdict(&host);
    a_second_message_with_the_same_code_says_so(&host);
    if (failures == 0)
        printf("messages: a known device, a reviewer and a person who is asked for a challenge log in\n");
    return failures != 0;
}
