/* SPDX-License-Identifier: Apache-2.0
 *
 * Revisions never decrease, also across a restart. A client with a revision of an earlier epoch is
 * asked to fetch everything again, and never gets 304.
 */
#include "tests/support/client/calls.h"

#include <string.h>

#define DELTA "/api/discovery/services-delta?version=%" JSON_INTEGER_FORMAT

struct run {
    struct server_process server;
    struct http *http;
};

static void begin(struct run *run)
{
    server_process_start(&run->server, NULL, NULL);
    run->http = http_new(run->server.port);
}

static void end(struct run *run)
{
    http_free(run->http);
    server_process_stop(&run->server);
}

static void end_by_power_cut(struct run *run)
{
    http_free(run->http);
    server_process_kill(&run->server);
}

static void version_grows_over_a_restart(void **state)
{
    (void)state;
    struct run run;
    json_int_t newest = 0;
    for (int i = 0; i < 4; i++) {
        begin(&run);
        assert_true(call_version(run.http) >= newest);
        call_register(run.http, "s", "i1");
        assert_true(call_version(run.http) > newest);
        newest = call_version(run.http);
        if (i % 2 == 0) {
            end(&run);
        } else {
            end_by_power_cut(&run);
        }
    }
}

static void version_grows_over_a_restart_after_very_many_changes(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    call_register_many(run.http, "s", 10000);
    for (int i = 0; i < 5; i++) {
        check_status(call_with_keys(run.http, UNREGISTER, "s", 0, 10000), 200, "success", NULL);
        call_register_many(run.http, "s", 10000);
    }
    json_int_t newest = call_version(run.http);
    end_by_power_cut(&run);
    begin(&run);
    assert_true(call_version(run.http) >= newest);
    call_register(run.http, "s", "i1");
    assert_true(call_version(run.http) > newest);
    end(&run);
}

static void delta_since_an_earlier_epoch_is_gone(void **state)
{
    (void)state;
    struct run run;
    begin(&run);
    json_int_t empty = call_version(run.http);
    call_register(run.http, "s", "i1");
    json_int_t newest = call_version(run.http);
    end(&run);
    begin(&run);
    for (int with_instance = 0; with_instance <= 1; with_instance++) {
        check_status(http_get(run.http, DELTA, newest), 200, "bad-request", "version-gone");
        check_status(http_get(run.http, DELTA, empty), 200, "bad-request", "version-gone");
        call_register(run.http, "s", "i1");
    }
    end(&run);
}

static void etag_of_an_earlier_epoch_does_not_match(void **state)
{
    (void)state;
    struct run run;
    static const char *const paths[] = {"/api/discovery/services",
                                        "/api/discovery/service?service_id=s"};
    char fields[2][300];
    begin(&run);
    call_register(run.http, "s", "i1");
    for (size_t i = 0; i < 2; i++) {
        const char *tag = http_field(http_get(run.http, "%s", paths[i]), "ETag");
        snprintf(fields[i], sizeof fields[i], "If-None-Match: %s", tag);
    }
    end(&run);
    begin(&run);
    for (int with_instance = 0; with_instance <= 1; with_instance++) {
        for (size_t i = 0; i < 2; i++) {
            struct http_request request = {
                .method = "GET",
                .path = paths[i],
                .fields = (const char *const[]){fields[i], NULL},
            };
            check_http(http_send(run.http, &request), 200);
        }
        call_register(run.http, "s", "i1");
    }
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_grows_over_a_restart),
        cmocka_unit_test(version_grows_over_a_restart_after_very_many_changes),
        cmocka_unit_test(delta_since_an_earlier_epoch_is_gone),
        cmocka_unit_test(etag_of_an_earlier_epoch_does_not_match),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
