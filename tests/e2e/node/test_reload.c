/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP reads the settings again: reloadable ones take effect, the log names the others, and a
 * file that is not valid changes nothing.
 */
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RELOADS = 500, REQUESTS_MAX = 100, DAY_SECS = 24 * 60 * 60 };

static struct temp_folder folder;
static struct server_process server;
static struct http *http;

static void start(const char *settings)
{
    temp_folder_make(&folder);
    const char *file = temp_folder_write(&folder, "artemis.toml", settings);
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    http = http_new(server.port);
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    http = NULL;
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

struct expected_count {
    const char *metric;
    double before;
};

static bool has_grown(void *context)
{
    const struct expected_count *expected = context;
    return call_metric(http, expected->metric) > expected->before;
}

/* Returns when the node has read the settings. */
static void reload(const char *settings, const char *metric)
{
    struct expected_count expected = {metric, call_metric(http, metric)};
    if (settings)
        temp_folder_write(&folder, "artemis.toml", settings);
    server_process_signal(&server, SIGHUP);
    assert_true(wait_until(has_grown, &expected, wait_deadline_ms()));
}

static void check_setting(const char *expected)
{
    struct http_response *response = http_get(http, "/api/status/config");
    if (!strstr(response->body, expected))
        fail_msg("\"%s\" is not in: %s", expected, response->body);
}

static void check_log(const char *const lines[])
{
    char *log = server_process_stop_and_read_log(&server);
    for (; *lines; lines++)
        if (!strstr(log, *lines))
            fail_msg("\"%s\" is not in: %s", *lines, log);
    free(log);
}

static void reloadable_settings_take_effect(void **state)
{
    (void)state;
    start("[log]\nlevel = \"info\"\n");
    check_setting("\"ratelimit.burst_size\":{\"value\":5000,\"source\":\"default\"}");
    reload("[log]\nlevel = \"debug\"\n[ratelimit]\nrequests_per_second = 1\nburst_size = 7\n",
           "artemis_reloads_total");
    check_setting("\"ratelimit.burst_size\":{\"value\":7,\"source\":\"");
    check_setting("\"log.level\":{\"value\":\"debug\"");
    int served = 0;
    struct http_response *response;
    while ((response = http_get(http, "/api/discovery/services"))->status == 200)
        assert_true(++served < REQUESTS_MAX);
    check_status(response, 429, "rate-limited", "over-limit");
    check_contains(response, "response_status.error_message", "= 1 (burst 7)");
    reload("", "artemis_reloads_total"); /* back to the defaults */
    check_http(http_get(http, "/api/discovery/services"), 200);
    check_log((const char *const[]){
        "setting changed setting=ratelimit.burst_size before=5000 after=7 source=",
        "artemis.toml:5", "setting changed setting=log.level before=info after=debug",
        "settings reloaded changed=3 need_restart=0", "debug request client=", NULL});
}

static void other_settings_wait_for_a_restart(void **state)
{
    (void)state;
    start("[cache]\nexpiry_secs = 40\n");
    reload("[cache]\nexpiry_secs = 50\n[log]\nlevel = \"warn\"\n", "artemis_reloads_total");
    check_setting("\"cache.expiry_secs\":{\"value\":40");
    check_setting("\"log.level\":{\"value\":\"warn\"");
    check_log((const char *const[]){"setting changes at the next start of this node "
                                    "setting=cache.expiry_secs before=40 after=50",
                                    NULL});
}

struct lease {
    const char *id;
    bool is_shown;
};

static bool has_lease(void *context)
{
    const struct lease *lease = context;
    return call_shows(http, "shop", lease->id) == lease->is_shown;
}

static void lease_and_guard_values_take_effect(void **state)
{
    (void)state;
    start("[lease]\nttl_secs = 3600\n");
    call_register(http, "shop", "old");
    reload("[lease]\nttl_secs = 1\nguard_min_leases = 7\n", "artemis_reloads_total");
    struct http_response *response = http_get(http, "/api/status/leases");
    check_json(response, "ttl_secs", "1");
    check_json(response, "guard.min_leases", "7");
    call_register(http, "shop", "new");
    assert_true(wait_until(has_lease, &(struct lease){"new", false}, wait_deadline_ms()));
    assert_true(has_lease(&(struct lease){"old", true}));
    check_log((const char *const[]){"setting changed setting=lease.ttl_secs before=3600 after=1",
                                    "setting changed setting=lease.guard_min_leases before=50",
                                    NULL});
}

/* The intervals in force stay until the next start, and with them the shortest lease. */
static void lease_too_short_for_the_intervals_in_force_is_refused(void **state)
{
    (void)state;
    start("[cluster]\nenabled = true\n[replication]\nbatch_interval_ms = 5000\n"
          "[lease]\nttl_secs = 30\n");
    reload("[cluster]\nenabled = true\n[replication]\nbatch_interval_ms = 100\n"
           "[lease]\nttl_secs = 29\n",
           "artemis_reloads_failed_total");
    check_setting("\"lease.ttl_secs\":{\"value\":30");
    reload("[cluster]\nenabled = true\n[replication]\nbatch_interval_ms = 100\n"
           "[lease]\nttl_secs = 31\n",
           "artemis_reloads_total");
    check_setting("\"lease.ttl_secs\":{\"value\":31");
    check_log((const char *const[]){"replication.batch_interval_ms: must be at most a sixth of "
                                    "lease.ttl_secs, 29 (",
                                    "), is 5000 (", NULL});
}

static void invalid_files_change_nothing(void **state)
{
    (void)state;
    static const char *const invalid[] = {
        "[ratelimit]\nburst_size = 9\n[log]\nlevel = \"loud\"\n",
        "[ratelimit\n",
        "[server]\ntls_listen_addr = \"127.0.0.1:0\"\n[ratelimit]\nburst_size = 9\n",
    };
    start("[ratelimit]\nburst_size = 8\n");
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        reload(invalid[i], "artemis_reloads_failed_total");
    char file[128];
    snprintf(file, sizeof file, "%s/artemis.toml", folder.path);
    assert_int_equal(remove(file), 0);
    reload(NULL, "artemis_reloads_failed_total");
    check_setting("\"ratelimit.burst_size\":{\"value\":8");
    assert_int_equal((int)call_metric(http, "artemis_reloads_total"), 0);
    check_log((const char *const[]){"settings were not reloaded; nothing has changed reason=",
                                    "artemis.toml:4: log.level: must be debug", "needs tls.cert",
                                    "No such file", NULL});
}

static void reloads_under_load_lose_no_request(void **state)
{
    (void)state;
    static const char *const turns[] = {
        "[lease]\nttl_secs = 3600\nguard_percent = 80\n"
        "[ratelimit]\nrequests_per_second = 5000000\nburst_size = 5000000\n",
        "[lease]\nttl_secs = 7200\nguard_max_secs = 60\n"
        "[ratelimit]\nenabled = false\n[cluster]\npeers = [\"127.0.0.1:1\"]\n",
    };
    struct background_client clients[2];
    start(turns[0]);
    call_register(http, "shop", "s-1");
    background_client_start(&clients[0], server.port, "/api/discovery/service?service_id=shop");
    background_client_start(&clients[1], server.port, "/health");
    for (int i = 1; i <= RELOADS; i++)
        reload(turns[i % 2], "artemis_reloads_total");
    for (int i = 0; i < 2; i++) {
        background_client_check_served(&clients[i], 5);
        background_client_stop(&clients[i]);
    }
    assert_int_equal((int)call_metric(http, "artemis_reloads_total"), RELOADS);
}

static bool is_found(void *context)
{
    return call_shows(context, "shop", "s-1");
}

static void peers_are_added_and_removed(void **state)
{
    (void)state;
    static const char alone[] = "[cluster]\nenabled = true\nbootstrap_grace_secs = 0\n";
    struct server_process other;
    char with_peer[256];
    server_process_start(&other,
                         (const char *const[]){"--set", "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", "--set",
                                               "server.node_id=other", NULL},
                         NULL);
    struct http *at_other = http_new(other.port);
    start(alone);
    snprintf(with_peer, sizeof with_peer, "%speers = [\"%s\"]\n", alone, other.address);
    reload(with_peer, "artemis_reloads_total");
    call_register(http, "shop", "s-1");
    assert_true(wait_until(is_found, at_other, wait_deadline_ms()));
    struct http_response *response = http_get(http, "/api/status/cluster");
    assert_non_null(strstr(response->body, other.address));
    reload(alone, "artemis_reloads_total");
    response = http_get(http, "/api/status/cluster");
    assert_null(strstr(response->body, other.address));
    http_free(at_other);
    server_process_stop(&other);
}

struct expected_status {
    const char *secret;
    int status;
};

static bool has_status(void *context)
{
    const struct expected_status *expected = context;
    char authorization[128];
    const char *fields[] = {authorization, NULL};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", expected->secret);
    return http_send(http, &(struct http_request){.method = "GET",
                                                  .path = "/api/status/config",
                                                  .fields = fields})
               ->status == expected->status;
}

/* Returns when the secret is accepted and the other one, which was accepted before, is not. */
static void use_token(const char *name, const char *secret, const char *other)
{
    char tokens[512];
    tokens_describe(tokens, sizeof tokens, name, "admin", secret, time(NULL) + DAY_SECS);
    temp_folder_write(&folder, "artemis.toml", tokens);
    server_process_signal(&server, SIGHUP);
    assert_true(wait_until(has_status, &(struct expected_status){other, 401}, wait_deadline_ms()));
    assert_true(has_status(&(struct expected_status){secret, 200}));
}

static void tokens_are_replaced(void **state)
{
    (void)state;
    start("");
    check_http(http_get(http, "/api/status/config"), 200);
    use_token("first", TOKEN_ADMIN, TOKEN_OPERATOR);
    use_token("second", TOKEN_OPERATOR, TOKEN_ADMIN);
    check_log((const char *const[]){"token added token=first source=", "token removed token=first",
                                    "token added token=second", NULL});
}

/* Whether the metrics, for which a token is needed, have that line. */
static bool has_metric(void *line)
{
    static const char *const fields[] = {"Authorization: Bearer " TOKEN_ADMIN, NULL};
    struct http_response *response = http_send(
        http, &(struct http_request){.method = "GET", .path = "/metrics", .fields = fields});
    return strstr(response->body, line) != NULL;
}

static bool is_ready(void *context)
{
    (void)context;
    return http_get(http, "/ready")->status == 200;
}

/* The poll would end by itself after a minute. */
static void revoked_token_ends_its_long_poll(void **state)
{
    (void)state;
    char tokens[1024];
    struct raw_socket raw;
    time_t expires = time(NULL) + DAY_SECS;
    tokens_describe(tokens, sizeof tokens, "ops", "admin", TOKEN_ADMIN, expires);
    size_t kept = strlen(tokens);
    tokens_describe(tokens + kept, sizeof tokens - kept, "team", "read", TOKEN_READ, expires);
    start(tokens);
    assert_true(wait_until(is_ready, NULL, wait_deadline_ms()));
    raw_socket_open(&raw, server.port);
    assert_true(raw_socket_sendf(&raw, "GET /api/discovery/service?service_id=s&version=0&wait=60s "
                                       "HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN_READ
                                       "\r\n\r\n"));
    assert_true(wait_until(has_metric, "\nartemis_waiting_requests 1\n", wait_deadline_ms()));
    time_t reloaded = time(NULL);
    tokens[kept] = '\0';
    temp_folder_write(&folder, "artemis.toml", tokens);
    server_process_signal(&server, SIGHUP);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 401, "bad-request", "invalid-token");
    assert_true(time(NULL) < reloaded + 50);
    raw_socket_close(&raw);
}

/* The settings are valid as a whole, but the listener stays until the next start: 127.1 is an
 * address that only the rule of listeners does not take for loopback. */
static void reload_opens_no_listener(void **state)
{
    (void)state;
    static const char cluster[] = "[cluster]\nenabled = true\nbootstrap_grace_secs = 0\n";
    char settings[1024];
    char tokens[512];
    tokens_describe(tokens, sizeof tokens, "ops", "admin", TOKEN_ADMIN, time(NULL) + DAY_SECS);
    snprintf(settings, sizeof settings, "%slisten_addr = \"127.1:0\"\n%s", cluster, tokens);
    start(settings);
    temp_folder_write(&folder, "artemis.toml", cluster);
    server_process_signal(&server, SIGHUP);
    assert_true(wait_until(has_metric, "\nartemis_reloads_failed_total 1\n", wait_deadline_ms()));
    check_http(http_get(http, "/api/status/config"), 401);
    check_log((const char *const[]){"settings were not reloaded; nothing has changed reason=",
                                    "cluster.listen_addr: \\\"127.1:0\\\" is open to everyone",
                                    NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reloadable_settings_take_effect, stop),
        cmocka_unit_test_teardown(reload_opens_no_listener, stop),
        cmocka_unit_test_teardown(other_settings_wait_for_a_restart, stop),
        cmocka_unit_test_teardown(lease_and_guard_values_take_effect, stop),
        cmocka_unit_test_teardown(lease_too_short_for_the_intervals_in_force_is_refused, stop),
        cmocka_unit_test_teardown(invalid_files_change_nothing, stop),
        cmocka_unit_test_teardown(reloads_under_load_lose_no_request, stop),
        cmocka_unit_test_teardown(peers_are_added_and_removed, stop),
        cmocka_unit_test_teardown(tokens_are_replaced, stop),
        cmocka_unit_test_teardown(revoked_token_ends_its_long_poll, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
