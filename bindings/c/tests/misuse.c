// Every misuse that the library can find out gives a status, and changes nothing.

#include <stdio.h>
#include <stdlib.h>

#include "otp_grant.h"

static int failures;

#define EXPECT(expected, call) expect((expected), (call), #call, __LINE__)

static void expect(otp_grant_status expected, otp_grant_status status, const char *call, int line)
{
    char text[256] = "";
    size_t length = status ? otp_grant_last_error(text, sizeof text) : 0;
    if (status != expected || (status && (length == 0 || strlen(text) != length))) {
        fprintf(stderr, "misuse.c:%d: %s gave %u (%s) instead of %u\n", line, call, status, text, expected);
        failures++;
    }
}

static otp_grant_bytes bytes(const void *data, size_t length)
{
    otp_grant_bytes bytes = {data, length};
    return bytes;
}

static const otp_grant_bytes NONE = {NULL, 0};

static const char CONFIGURATION[] = "{\"issuer\":\"https://login.example.com\",\"keys\":{\"generate\":true},"
                                    "\"signing\":{\"active\":{\"generate\":\"ES256\"}}}";

static otp_grant_exchange observed;

// Uses the exchange that it observes.
static void on_event(void *context, otp_grant_bytes event)
{
    otp_grant_exchange next = 0;
    otp_grant_bytes part;
    EXPECT(OTP_GRANT_STATUS_BUSY, otp_grant_refuse(observed, &next));
    EXPECT(OTP_GRANT_STATUS_BUSY, otp_grant_exchange_free(observed));
    EXPECT(OTP_GRANT_STATUS_BUSY, otp_grant_exchange_part(observed, OTP_GRANT_PART_CLIENT_ID, &part));
    if (strcmp((const char *)event.data, "{\"client\":\"app\",\"kind\":\"client_refused\"}") == 0)
        ++*(int *)context;
}

static otp_grant_exchange begin(otp_grant_engine engine)
{
    otp_grant_header type = {otp_grant_text("content-type"), otp_grant_text("application/json")};
    const char *body = "{\"client_id\":\"app\",\"auth_source_id\":\"sms\",\"phone_number\":\"+8613612345678\"}";
    otp_grant_request request = {otp_grant_text("POST"), otp_grant_text("/otp/send"), &type, 1, otp_grant_text(body),
                                 OTP_GRANT_VERDICT_NONE};
    otp_grant_exchange exchange = 0;
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_begin(engine, &request, &exchange));
    return exchange;
}

// Gives every wrong kind of answer to a question that is none of load, swap, sign and deliver.
static void wrong_answers(otp_grant_exchange exchange)
{
    otp_grant_exchange next = 77;
    otp_grant_record record = {bytes("0123456789abcdef", 16), 0, otp_grant_text("{}")};
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_answer_record(exchange, NULL, &next));
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_answer_record(exchange, &record, &next));
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_answer_swap(exchange, 1, &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_answer_swap(exchange, 2, &next));
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_answer_signature(exchange, NONE, &next));
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_accept_delivery(exchange, &next));
    EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_fail_delivery(exchange, OTP_GRANT_FAILURE_UNDELIVERABLE, &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_fail_delivery(exchange, 0, &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_fail_delivery(exchange, 4, &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_answer_document(exchange, NONE, NULL));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_refuse(exchange, NULL));
    if (next != 77) {
        fprintf(stderr, "a wrong answer has written the next handle\n");
        failures++;
    }
}

int main(void)
{
    char small[8];
    otp_grant_engine engine = 0;
    otp_grant_exchange exchange, first, next;
    otp_grant_bytes part;
    otp_grant_header header;
    uint64_t number;

    // Configurations.
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(NONE, NULL, NULL));
    EXPECT(OTP_GRANT_STATUS_CONFIGURATION, otp_grant_engine_new(NONE, NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_CONFIGURATION, otp_grant_engine_new(otp_grant_text("{}"), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(bytes(NULL, 5), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(bytes("x", SIZE_MAX), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(bytes("x", SIZE_MAX / 2 + 1), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(bytes("\xff", 1), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT,
           otp_grant_engine_new(otp_grant_text(CONFIGURATION), NULL, (otp_grant_engine *)(small + 1)));
    otp_grant_options options = {NULL, NULL, 2};
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_new(otp_grant_text(CONFIGURATION), &options, &engine));
    if (engine != 0)
        return 1;
    if (otp_grant_last_error(small, sizeof small) < sizeof small || strlen(small) != sizeof small - 1)
        return 1; // A text that does not fit is cut.
    if (otp_grant_last_error(NULL, 0) == 0 || otp_grant_last_error(small, 1) == 0 || small[0] != 0)
        return 1;

    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_engine_new(otp_grant_text(CONFIGURATION), NULL, &engine));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_engine_advance_clock(engine, 1));

    // Requests.
    otp_grant_request request = {otp_grant_text("GET"), otp_grant_text("/"), NULL, 0, NONE, OTP_GRANT_VERDICT_NONE};
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_begin(engine, NULL, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_begin(engine, &request, NULL));
    EXPECT(OTP_GRANT_STATUS_NOT_AN_ENDPOINT, otp_grant_begin(engine, &request, &exchange));
    request.verdict = 4;
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_begin(engine, &request, &exchange));
    request.verdict = OTP_GRANT_VERDICT_REFUSE;
    EXPECT(OTP_GRANT_STATUS_NOT_AN_ENDPOINT, otp_grant_begin(engine, &request, &exchange));
    request.header_count = 1;
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_begin(engine, &request, &exchange));
    request.headers = &header;
    request.header_count = SIZE_MAX / sizeof header + 1;
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_begin(engine, &request, &exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_begin(engine + 1, &request, &exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_begin(0, &request, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_revoke_session(engine, otp_grant_text("none"), &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, NULL, &exchange));
    otp_grant_code code = {otp_grant_text("app"), otp_grant_text("signup"), otp_grant_text("fax"), NONE, NONE, NONE,
                           NONE, NULL, NONE};
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, &code, &exchange));
    code.channel = otp_grant_text("email");
    code.address = otp_grant_text("ada@example.com");
    code.code_verifier = bytes("\xff", 1);
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, &code, &exchange));
    code.code_verifier = NONE;
    code.device_token = bytes("\xff", 1);
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, &code, &exchange));
    code.device_token = NONE;
    otp_grant_api_request api = {otp_grant_text("GET"), otp_grant_text("/orders"), NULL, 0};
    code.proof = &api;
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, &code, &exchange));
    code.proof = (const otp_grant_api_request *)(small + 1);
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify(engine, &code, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT,
           otp_grant_normalise_address(engine, otp_grant_text("sms"), otp_grant_text("x"), &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT,
           otp_grant_check_access_token(engine, NONE, otp_grant_text(""), NONE, &exchange));

    // What the staff asks.
    otp_grant_status (*verbs[3])(otp_grant_engine, otp_grant_bytes, otp_grant_bytes, otp_grant_exchange *) = {
        otp_grant_explain, otp_grant_unlock, otp_grant_forget_devices};
    otp_grant_bytes sms = otp_grant_text("sms"), phone = otp_grant_text("+8613612345678");
    for (int verb = 0; verb < 3; verb++) {
        EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, verbs[verb](engine, sms, phone, NULL));
        EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, verbs[verb](engine, otp_grant_text("fax"), phone, &exchange));
        EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, verbs[verb](engine, sms, otp_grant_text("x"), &exchange));
        EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, verbs[verb](engine, sms, bytes(NULL, 5), &exchange));
        EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, verbs[verb](engine, bytes("\xff", 1), phone, &exchange));
        EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, verbs[verb](0, sms, phone, &exchange));
        EXPECT(OTP_GRANT_STATUS_OK, verbs[verb](engine, sms, phone, &exchange));
        EXPECT(OTP_GRANT_STATUS_WRONG_KIND, otp_grant_answer_swap(exchange, 1, &next));
        EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_free(exchange));
    }

    // Requests to an API.
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_check_access_token_of(engine, NULL, NONE, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify_access_token_of(engine, NULL, NONE, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_check_access_token_of(engine, &api, NONE, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_verify_access_token_of(engine, &api, NONE, NONE, &exchange));
    api.external_url = otp_grant_text("https://api.example.com/orders");
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_check_access_token_of(engine, &api, NONE, NONE, NULL));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT,
           otp_grant_check_access_token_of(engine, &api, otp_grant_text(""), NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_check_access_token_of(0, &api, NONE, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_verify_access_token_of(0, &api, NONE, NONE, &exchange));
    api.header_count = 1;
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_check_access_token_of(engine, &api, NONE, NONE, &exchange));
    api.header_count = 0;
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_verify_access_token_of(engine, &api, NONE, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_part(exchange, OTP_GRANT_PART_REFUSAL_CODE, &part));
    if (strcmp((const char *)part.data, "no_token") != 0)
        return 1;
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_free(exchange));

    // A question.
    first = exchange = begin(engine);
    wrong_answers(exchange);
    EXPECT(OTP_GRANT_STATUS_MALFORMED, otp_grant_answer_document(exchange, otp_grant_text("{"), &next));
    EXPECT(OTP_GRANT_STATUS_MALFORMED, otp_grant_answer_document(exchange, bytes("{}", 2), &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_answer_document(exchange, bytes("\xff", 1), &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_answer_document(exchange, bytes(NULL, 1), &next));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_exchange_part(exchange, 0, &part));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_exchange_part(exchange, 17, &part));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_exchange_part(exchange, OTP_GRANT_PART_CLIENT_ID, NULL));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_part(exchange, OTP_GRANT_PART_CODE, &part));
    EXPECT(OTP_GRANT_STATUS_INVALID_ARGUMENT, otp_grant_exchange_number(exchange, 9, &number));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &number));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_header(exchange, 0, &header));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_part(exchange, OTP_GRANT_PART_CLIENT_ID, &part));
    if (part.length != 3 || strcmp((const char *)part.data, "app") != 0)
        return 1;

    // Answered twice, and after the end.
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_answer_document(exchange, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_answer_document(first, NONE, &next));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_part(first, OTP_GRANT_PART_DOCUMENT, &part));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_free(first));
    if (otp_grant_exchange_kind(first) != OTP_GRANT_KIND_NONE || otp_grant_exchange_kind(exchange) != OTP_GRANT_KIND_REPLY)
        return 1;
    EXPECT(OTP_GRANT_STATUS_OVER, otp_grant_answer_document(exchange, NONE, &next));
    EXPECT(OTP_GRANT_STATUS_OVER, otp_grant_refuse(exchange, &next));
    EXPECT(OTP_GRANT_STATUS_OVER, otp_grant_fail(exchange, NONE, &next));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_part(exchange, OTP_GRANT_PART_DOCUMENT, &part));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &number));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_HEADERS, &number));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_header(exchange, number - 1, &header));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_header(exchange, number, &header));
    EXPECT(OTP_GRANT_STATUS_NO_SUCH_PART, otp_grant_exchange_header(exchange, SIZE_MAX, &header));
    if (header.name.data || header.value.data)
        return 1;

    // Freed twice, and used after that.
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_free(exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_free(exchange));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_part(exchange, OTP_GRANT_PART_REPLY_BODY, &part));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_free(0));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_exchange_free(UINT64_MAX));

    // An exchange goes on after its engine was freed. The handle of an engine is not that of an exchange.
    exchange = begin(engine);
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_engine_free(engine));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_engine_free(engine));
    EXPECT(OTP_GRANT_STATUS_BAD_HANDLE, otp_grant_routes(engine, &next));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_fail(exchange, otp_grant_text("out of order"), &exchange));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &number));
    if (number != 503)
        return 1;
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_free(exchange));

    // An observer that calls back.
    int events = 0;
    options = (otp_grant_options){on_event, &events, 1};
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_engine_new(otp_grant_text(CONFIGURATION), &options, &engine));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_engine_advance_clock(engine, -1));
    observed = begin(engine);
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_answer_document(observed, NONE, &exchange));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_exchange_free(exchange));
    EXPECT(OTP_GRANT_STATUS_OK, otp_grant_engine_free(engine));
    if (events != 1)
        return 1;

    if (failures == 0)
        printf("misuse: every call gave its status\n");
    return failures != 0;
}
