// Logs in again and again, over the host of the example. The memory of the process must not grow.
//
// logins NUMBER. One login is a send, a grant, a refresh and a sign-out.

#define main main_of_the_example
#include "../examples/login.c"
#undef main

#include <unistd.h>

// A leak of 128 bytes in each of the 4,000 logins that are measured would be found.
#define MOST_KIB 512

static const char MANY_SENDS[] =
    "{\"issuer\":\"https://login.example.com\",\"keys\":{\"generate\":true},\"addresses\":{\"country_code\":\"86\"},"
    "\"signing\":{\"active\":{\"generate\":\"ES256\"}},\"danger\":{\"without_send_quotas\":true}}";

// In kilobytes.
static long resident(void)
{
    long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2)
        return -1;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int log_in(struct host *host)
{
    static char json[8192], form[4096], texts[2][2048];
    const char *of_send[2] = {"otp_token", NULL}, *of_login[2] = {"access_token", "refresh_token"}, *none[2] = {NULL};
    const char *send = "{\"client_id\":\"app\",\"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\"}";
    if (post(host, "/otp/send", send, of_send, texts) != 200)
        return 0;
    snprintf(json, sizeof json,
             "{\"grant_type\":\"http://tencentciam.com/oauth2/grant-type/otp/sms\",\"client_id\":\"app\","
             "\"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\",\"otp_token\":\"%s\",\"otp\":\"%s\"}",
             texts[0], host->last_code);
    if (post(host, "/oauth2/token", json, of_login, texts) != 200)
        return 0;
    snprintf(json, sizeof json, "{\"grant_type\":\"refresh_token\",\"client_id\":\"app\",\"refresh_token\":\"%s\"}",
             texts[1]);
    if (post(host, "/oauth2/token", json, of_login, texts) != 200)
        return 0;
    snprintf(form, sizeof form, "client_id=app&token=%s", texts[1]);
    return post(host, "/oauth2/revoke", form, none, texts) == 200;
}

int main(int count, char **arguments)
{
    long logins = count > 1 ? atol(arguments[1]) : 5000, before = 0;
    static struct host host;
    if (!freopen("/dev/null", "w", stdout))
        return failed("stdout");
    if (otp_grant_engine_new(otp_grant_text(MANY_SENDS), NULL, &host.engine) != OTP_GRANT_STATUS_OK)
        return failed("otp_grant_engine_new");
    for (long login = 0; login < logins; login++) {
        if (!log_in(&host)) {
            fprintf(stderr, "login %ld of %ld failed\n", login, logins);
            return 1;
        }
        // The records of sessions would stay for as long as a session lives.
        if (login % 100 == 99) {
            free_store(&host.store);
            memset(&host.store, 0, sizeof host.store);
        }
        if (login == logins / 5)
            before = resident();
    }
    long grown = resident() - before;
    free_store(&host.store);
    otp_grant_engine_free(host.engine);
    fprintf(stderr, "logins: %ld, and the memory has grown by %ld KiB from %ld KiB\n", logins, grown, before);
    return before <= 0 || grown > MOST_KIB;
}
