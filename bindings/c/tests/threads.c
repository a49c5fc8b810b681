// Two threads drive a thousand exchanges each over one engine. No answer reaches the exchange of another thread. Then
// two threads use one exchange at once, and each answer counts once.

#include <pthread.h>
#include <stdio.h>

#include "otp_grant.h"

#define ROUNDS 1000

static otp_grant_engine engine;
static unsigned long events;

static void on_event(void *context, otp_grant_bytes event)
{
    if (event.length > 2 && event.data[0] == '{')
        __atomic_fetch_add((unsigned long *)context, 1, __ATOMIC_RELAXED);
}

static otp_grant_exchange begin(const char *client)
{
    char body[256];
    snprintf(body, sizeof body, "{\"grant_type\":\"refresh_token\",\"client_id\":\"%s\",\"refresh_token\":\"none\"}", client);
    otp_grant_header type = {otp_grant_text("Content-Type"), otp_grant_text("application/json")};
    otp_grant_request request = {otp_grant_text("POST"), otp_grant_text("/oauth2/token"), &type, 1, otp_grant_text(body),
                                 OTP_GRANT_VERDICT_NONE};
    otp_grant_exchange exchange = 0;
    otp_grant_begin(engine, &request, &exchange);
    return exchange;
}

// Each client has a name of its own. Every second one is known.
static void *drive(void *argument)
{
    long thread = (long)argument, wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char client[64];
        snprintf(client, sizeof client, "app-%ld-%d", thread, round);
        otp_grant_exchange exchange = begin(client);
        otp_grant_bytes asked;
        otp_grant_exchange_part(exchange, OTP_GRANT_PART_CLIENT_ID, &asked);
        wrong += !asked.data || strcmp((const char *)asked.data, client) != 0;
        const char *document = round % 2 ? "{\"public\":true}" : NULL;
        wrong += otp_grant_answer_document(exchange, otp_grant_text(document), &exchange) != OTP_GRANT_STATUS_OK;
        // A known client is told that the token is none (400), an unknown client that it is none itself (401).
        uint64_t status = 0;
        otp_grant_exchange_number(exchange, OTP_GRANT_NUMBER_REPLY_STATUS, &status);
        wrong += status != (round % 2 ? 400 : 401);
        // The bytes of the question are still there.
        wrong += !asked.data || strcmp((const char *)asked.data, client) != 0;
        wrong += otp_grant_exchange_free(exchange) != OTP_GRANT_STATUS_OK;
    }
    return (void *)wrong;
}

struct shared {
    otp_grant_exchange exchange;
    pthread_barrier_t barrier;
};

// Answers an exchange that another thread answers at the same time. Returns whether the answer was taken.
static void *compete(void *argument)
{
    struct shared *shared = argument;
    otp_grant_exchange next = 0;
    pthread_barrier_wait(&shared->barrier);
    otp_grant_status status;
    do
        status = otp_grant_answer_document(shared->exchange, otp_grant_text(NULL), &next);
    while (status == OTP_GRANT_STATUS_BUSY);
    if (status != OTP_GRANT_STATUS_OK)
        return (void *)(status == OTP_GRANT_STATUS_BAD_HANDLE ? 0L : 100L);
    // The other thread can still be looking whether its handle is good.
    do
        status = otp_grant_exchange_free(next);
    while (status == OTP_GRANT_STATUS_BUSY);
    return (void *)(status == OTP_GRANT_STATUS_OK ? 1L : 100L);
}

static long run(void *(*work)(void *), void *first, void *second)
{
    pthread_t threads[2];
    void *results[2];
    if (pthread_create(&threads[0], NULL, work, first) || pthread_create(&threads[1], NULL, work, second))
        return -1;
    if (pthread_join(threads[0], &results[0]) || pthread_join(threads[1], &results[1]))
        return -1;
    return (long)results[0] + (long)results[1];
}

int main(void)
{
    otp_grant_options options = {on_event, &events, 0};
    const char *configuration = "{\"issuer\":\"https://login.example.com\",\"keys\":{\"generate\":true},"
                                "\"signing\":{\"active\":{\"generate\":\"EdDSA\"}}}";
    if (otp_grant_engine_new(otp_grant_text(configuration), &options, &engine) != OTP_GRANT_STATUS_OK)
        return 1;
    long wrong = run(drive, (void *)1L, (void *)2L);
    if (wrong != 0 || events != ROUNDS) {
        fprintf(stderr, "threads: %ld answers were wrong, and there were %lu events\n", wrong, events);
        return 1;
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct shared shared;
        shared.exchange = begin("app");
        pthread_barrier_init(&shared.barrier, NULL, 2);
        long taken = run(compete, &shared, &shared);
        pthread_barrier_destroy(&shared.barrier);
        if (taken != 1) {
            fprintf(stderr, "threads: %ld answers to one question were taken\n", taken);
            return 1;
        }
    }
    printf("threads: 2 x %d exchanges, and %d questions that both answered\n", ROUNDS, ROUNDS);
    return otp_grant_engine_free(engine) != OTP_GRANT_STATUS_OK;
}
