/* SPDX-License-Identifier: Apache-2.0
 *
 * Two nodes whose revisions are equal, as behind a load balancer: the epoch keeps an ETag, a
 * services-delta and a long poll of one node from matching at the other.
 */
#include "tests/support/client/calls.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

enum { EPOCH_BYTES = 40, TAG_BYTES = 100 };

struct node {
    struct server_process server;
    struct http *http;
    char epoch[EPOCH_BYTES];
};

/* The instances of service "s" are "a" on the first node and "b" on the second. */
static struct node nodes[2];
static struct temp_folder folder;
static const char *const instances[2] = {"a", "b"};

static void start_node(int node)
{
    char setting[128];
    snprintf(setting, sizeof setting, "storage.data_dir=%s/%d", folder.path, node);
    server_process_start(
        &nodes[node].server,
        (const char *const[]){"--set", "lease.ttl_secs=3600", "--set", setting, NULL}, NULL);
    nodes[node].http = http_new(nodes[node].server.port);
}

/* A node that was killed begins above a stored revision, which is some seconds ahead of the clock.
 * Both nodes start with copies of the same one. */
static void start_at_the_same_version(void)
{
    char copy[160];
    start_node(0);
    call_register(nodes[0].http, "old", "i1");
    call_wait_metric(nodes[0].http, "artemis_storage_rows_total", 1);
    server_process_kill(&nodes[0].server);
    http_free(nodes[0].http);
    snprintf(copy, sizeof copy, "cp -r %s/0 %s/1", folder.path, folder.path);
    assert_int_equal(system(copy), 0);
    for (int i = 0; i < 2; i++)
        start_node(i);
}

static void stop_nodes(void)
{
    for (int i = 0; i < 2; i++) {
        http_free(nodes[i].http);
        server_process_stop(&nodes[i].server);
    }
    temp_folder_remove(&folder);
}

static int start(void **state)
{
    (void)state;
    int64_t deadline = wait_deadline_ms();
    for (;;) { /* again if the clock has passed the stored revision before both have started */
        temp_folder_make(&folder);
        start_at_the_same_version();
        if (call_version(nodes[0].http) == call_version(nodes[1].http))
            break;
        assert_true(wait_now_ms() < deadline);
        stop_nodes();
    }
    for (int i = 0; i < 2; i++) {
        call_register(nodes[i].http, "s", instances[i]);
        struct http_response *response = http_get(nodes[i].http, "/health");
        snprintf(nodes[i].epoch, sizeof nodes[i].epoch, "%s",
                 http_field(response, "X-Artemis-Run"));
    }
    assert_int_equal(call_version(nodes[0].http), call_version(nodes[1].http));
    assert_string_not_equal(nodes[0].epoch, nodes[1].epoch);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stop_nodes();
    return 0;
}

static struct http_response *get_with(struct http *http, const char *path, const char *field,
                                      const char *more)
{
    struct http_request request = {
        .method = "GET", .path = path, .fields = (const char *const[]){field, more, NULL}};
    return http_send(http, &request);
}

static void etag_of_one_node_does_not_match_at_the_other(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api/discovery/service?service_id=s",
                                        "/api/discovery/services"};
    static const char *const codings[] = {"Accept-Encoding: identity", "Accept-Encoding: gzip"};
    for (size_t path = 0; path < 2; path++) {
        for (int coding = 0; coding < 2; coding++) {
            char field[TAG_BYTES + 32];
            struct http_response *response =
                get_with(nodes[0].http, paths[path], codings[coding], NULL);
            const char *tag = http_field(response, "ETag");
            assert_non_null(tag);
            assert_non_null(strstr(tag, nodes[0].epoch));
            snprintf(field, sizeof field, "If-None-Match: W/\"x\", W/%s", tag);
            for (int other = 0; other < 2; other++) {
                const char *accepted = codings[other];
                check_http(get_with(nodes[0].http, paths[path], field, accepted), 304);
                check_http(get_with(nodes[1].http, paths[path], field, accepted), 200);
            }
        }
    }
    assert_true(call_shows(nodes[1].http, "s", "b"));
}

static void delta_of_another_epoch_is_gone(void **state)
{
    (void)state;
    json_int_t before = call_version(nodes[0].http) - 1;
    for (int i = 0; i < 2; i++) {
        struct http_response *response = http_get(
            nodes[i].http, "/api/discovery/services-delta?version=%" JSON_INTEGER_FORMAT "&run=%s",
            before, nodes[0].epoch);
        check_status(response, 200, i == 0 ? "success" : "bad-request",
                     i == 0 ? NULL : "version-gone");
        response =
            http_post(nodes[i].http, "/api/discovery/services-delta",
                      "{'version':%" JSON_INTEGER_FORMAT ",'run':'%s'}", before, nodes[0].epoch);
        check_status(response, 200, i == 0 ? "success" : "bad-request",
                     i == 0 ? NULL : "version-gone");
    }
    /* The epoch comes with the responses that have such a version. */
    struct http_response *response = http_get(
        nodes[1].http, "/api/discovery/services-delta?version=%" JSON_INTEGER_FORMAT, before);
    check_status(response, 200, "success", NULL);
    assert_string_equal(http_field(response, "X-Artemis-Run"), nodes[1].epoch);
    response = http_get(nodes[1].http, "/api/discovery/services");
    assert_string_equal(http_field(response, "X-Artemis-Run"), nodes[1].epoch);
}

static void long_poll_of_another_epoch_is_answered_at_once(void **state)
{
    (void)state;
    struct http_response *response = http_get(
        nodes[1].http, "/api/discovery/services?version=%" JSON_INTEGER_FORMAT "&run=%s&wait=60s",
        call_version(nodes[0].http), nodes[0].epoch);
    check_http(response, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(etag_of_one_node_does_not_match_at_the_other),
        cmocka_unit_test(delta_of_another_epoch_is_gone),
        cmocka_unit_test(long_poll_of_another_epoch_is_answered_at_once),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, stop));
}
