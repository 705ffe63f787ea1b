/* SPDX-License-Identifier: Apache-2.0
 *
 * Delta long polls (`?version=N&run=R&delta=1`): the response has the changes of the service since
 * version N, or the whole list where the changes are not known.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/gzip.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE   "/api/discovery/service?service_id=%s"
#define SUSPENDED "artemis_waiting_requests"

/* Where a client stands: the version of its list, and the run of that version. */
struct position {
    long long version;
    char run[64];
};

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

static void read_position(struct position *position, struct http_response *response)
{
    position->version = check_integer(response, "version");
    snprintf(position->run, sizeof position->run, "%s", http_field(response, "X-Artemis-Run"));
}

/* Registers 8 instances of "s" and reads their list. */
static struct position begin(const struct fixture *fixture)
{
    struct position position;
    call_register_many(fixture->http, "s", 8);
    struct http_response *response = http_get(fixture->http, SERVICE "&delta=1", "s");
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", 8);
    read_position(&position, response);
    return position;
}

static struct http_response *get_delta(const struct fixture *fixture,
                                       const struct position *position)
{
    return http_get(fixture->http, SERVICE "&delta=1&version=%lld&run=%s", "s", position->version,
                    position->run);
}

static void check_whole(struct http_response *response, size_t count)
{
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", count);
    check_absent(response, "changes");
}

static void unregister(struct http *http, const char *service_id, const char *instance_id)
{
    check_status(
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", service_id, instance_id), 200,
        "success", NULL);
}

static void set_status(struct http *http, const char *instance_id, const char *status)
{
    check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'%s'}]}",
                           "s", instance_id, status),
                 200, "success", NULL);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void changes_come_when_the_service_changes(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    static const char *const types[] = {"'new'", "'delete'"};
    for (int i = 0; i < 2; i++) {
        raw_socket_sendf(&raw,
                         "GET " SERVICE "&version=%lld&run=%s&wait=60s&delta=1 HTTP/1.1\r\n"
                         "Host: a\r\n\r\n",
                         "s", position.version, position.run);
        call_wait_metric(fixture->http, SUSPENDED, 1);
        if (i == 0)
            call_register(fixture->http, "s", "more");
        else
            unregister(fixture->http, "s", "more");
        assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
        struct http_response *response = &raw.response;
        check_status(response, 200, "success", NULL);
        check_count(response, "changes", 1);
        check_json(response, "changes[0].change_type", types[i]);
        check_json(response, "changes[0].instance.instance_id", "'more'");
        check_absent(response, "service");
        assert_true(check_integer(response, "version") > position.version);
        check_field(response, "X-Artemis-Run", position.run);
        position.version = check_integer(response, "version");
    }
    raw_socket_close(&raw);
}

static void changes_since_a_version_come_at_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register(fixture->http, "other", "i1");
    call_register(fixture->http, "s", "a");
    unregister(fixture->http, "s", "i3");
    set_status(fixture->http, "i4", "down");
    struct http_response *response = get_delta(fixture, &position);
    check_status(response, 200, "success", NULL);
    check_count(response, "changes", 3);
    check_json(response, "changes[0].change_type", "'new'");
    check_json(response, "changes[1].change_type", "'delete'");
    check_json(response, "changes[2].instance.instance_id", "'i4'");
    check_json(response, "changes[2].change_type", "'delete'"); /* from those that are up */
    response = http_get(fixture->http, SERVICE "&delta=1&version=%lld&run=%s&status=all", "s",
                        position.version, position.run);
    check_json(response, "changes[2].change_type", "'change'");
    check_json(response, "changes[2].instance.status", "'down'");
    assert_true(response->body_size < 1000);
}

static void no_change_is_304(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    char tag[80];
    snprintf(tag, sizeof tag, "W/\"%s-%lld\"", position.run, position.version);
    struct http_response *response = get_delta(fixture, &position);
    check_http(response, 304);
    check_field(response, "ETag", tag);
    response = http_get(fixture->http, SERVICE "&delta=1&version=%lld&run=%s&wait=50ms", "s",
                        position.version, position.run);
    check_http(response, 304);
    assert_int_equal(response->body_size, 0);
}

static void casing_and_java_are_those_of_the_request(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    set_status(fixture->http, "i4", "down");
    struct http_response *response =
        http_get(fixture->http, "/api/discovery/service?serviceId=s&delta=true&version=%lld&run=%s",
                 position.version, position.run);
    check_json(response, "changes[0].changeType", "'delete'");
    check_json(response, "changes[0].instance.instanceId", "'i4'");
    response =
        http_get(fixture->http,
                 "/artemis/api/discovery/service.json?serviceId=s&delta=1&version=%lld&run=%s",
                 position.version, position.run);
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "changes[0].changeType", "'change'");
    assert_true(check_integer(response, "changes[0].changeTime") > 1000000000000);
}

/* --- the whole list --------------------------------------------------------------------------- */

static void whole_list_comes_where_the_changes_are_not_known(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    struct http *http = fixture->http;
    call_register(http, "s", "more");
    check_whole(http_get(http, SERVICE "&delta=1&version=%lld", "s", position.version), 9);
    check_whole(http_get(http, SERVICE "&delta=1&version=%lld&run=", "s", position.version), 9);
    check_whole(
        http_get(http, SERVICE "&delta=1&version=%lld&run=other&wait=60s", "s", position.version),
        9);
    check_whole(http_get(http, SERVICE "&delta=1&version=0&run=%s&wait=60s", "s", position.run), 9);
    check_whole(http_get(http, SERVICE "&delta=1&version=1&run=%s", "s", position.run), 9);
    check_whole(http_get(http, SERVICE "&delta=1&version=%lld&run=%s", "s",
                         position.version + 1000000, position.run),
                9);
    check_whole(http_get(http, SERVICE "&delta=0&version=%lld&run=%s&wait=60s", "s",
                         position.version, position.run),
                9);
    assert_int_equal(call_metric(http, "artemis_deltas_whole_total"), 1); /* version 1 */
    for (int i = 0; i < 10; i++)
        set_status(http, "more", i % 2 ? "up" : "starting");
    check_whole(get_delta(fixture, &position), 9); /* 11 changes of 9 instances */
}

static void whole_list_comes_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    http_free(fixture->http);
    server_process_stop(&fixture->server);
    server_process_start(&fixture->server, NULL, NULL);
    fixture->http = http_new(fixture->server.port);
    call_register_many(fixture->http, "s", 8);
    check_whole(http_get(fixture->http, SERVICE "&delta=1&version=%lld&run=%s&wait=60s", "s",
                         position.version, position.run),
                8);
}

static void unknown_service_is_awaited_and_then_whole(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    check_status(http_get(fixture->http, SERVICE "&delta=1&version=0", "s"), 200, "bad-request",
                 "service-not-found");
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "GET " SERVICE "&version=0&wait=60s&delta=1 HTTP/1.1\r\nHost: a\r\n\r\n",
                     "s");
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i1");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_whole(&raw.response, 1);
    raw_socket_close(&raw);
}

static void other_paths_ignore_delta(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register(fixture->http, "s", "more");
    struct http_response *response =
        http_get(fixture->http, "/api/discovery/services?delta=what&version=%lld&run=%s&wait=1s",
                 position.version, position.run);
    check_status(response, 200, "success", NULL);
    check_count(response, "services[0].instances", 9);
}

/* --- other request features ------------------------------------------------------------------- */

static void tag_of_the_changes_is_that_of_the_list_they_lead_to(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register(fixture->http, "s", "more");
    char tag[80];
    snprintf(tag, sizeof tag, "%s", http_field(get_delta(fixture, &position), "ETag"));
    assert_memory_equal(tag, "W/\"", 3);
    char field[128];
    snprintf(field, sizeof field, "If-None-Match: %s", tag);
    char path[256];
    snprintf(path, sizeof path, SERVICE, "s");
    struct http_request request = {
        .method = "GET", .path = path, .fields = (const char *const[]){field, NULL}};
    check_http(http_send(fixture->http, &request), 304);
    snprintf(path, sizeof path, SERVICE "&delta=1&version=%lld&run=%s", "s", position.version,
             position.run);
    struct http_response *response = http_send(fixture->http, &request);
    check_http(response, 304);
    check_field(response, "ETag", tag);
    call_register(fixture->http, "s", "again");
    response = http_send(fixture->http, &request);
    check_http(response, 200);
    check_count(response, "changes", 2);
}

static void head_has_the_headers_of_the_changes(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register(fixture->http, "s", "more");
    struct http_response *response = get_delta(fixture, &position);
    char tag[80];
    char length[24];
    snprintf(tag, sizeof tag, "%s", http_field(response, "ETag"));
    snprintf(length, sizeof length, "%s", http_field(response, "Content-Length"));
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     "HEAD " SERVICE "&delta=1&version=%lld&run=%s HTTP/1.1\r\nHost: a\r\n\r\n",
                     "s", position.version, position.run);
    assert_int_equal(raw_socket_read_head(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    check_field(&raw.response, "ETag", tag);
    check_field(&raw.response, "Content-Length", length);
    raw_socket_close(&raw);
}

static void many_changes_are_compressed(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register_many(fixture->http, "s", 200);
    char path[256];
    snprintf(path, sizeof path, SERVICE "&delta=1&version=%lld&run=%s", "s", position.version,
             position.run);
    const struct http_request request = {.method = "GET",
                                         .path = path,
                                         .fields =
                                             (const char *const[]){"Accept-Encoding: gzip", NULL}};
    size_t size;
    for (int i = 0; i < 3; i++) { /* the first is of this request, the others are shared */
        struct http_response *response = http_send(fixture->http, &request);
        check_http(response, 200);
        check_field(response, "Content-Encoding", "gzip");
        check_field(response, "Vary", "Accept-Encoding");
        char *body = gzip_unpack(response->body, response->body_size, &size);
        assert_non_null(body);
        struct http_response unpacked = {.status = 200, .json = json_loads(body, 0, NULL)};
        check_count(&unpacked, "changes", 192);
        json_decref(unpacked.json);
        free(body);
    }
    assert_int_equal(call_metric(fixture->http, "artemis_deltas_built_total"), 1);
}

static void invalid_delta_is_refused_with_its_value(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"", "2", "yes", "01", "TRUE"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct http_response *response =
            http_get(fixture->http, SERVICE "&version=0&delta=%s", "s", values[i]);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "delta: must be 1 or 0, is");
        check_contains(response, "response_status.error_message", values[i]);
    }
    check_status(http_get(fixture->http, SERVICE "&version=x&delta=1", "s"), 400, "bad-request",
                 "invalid-field");
}

static void post_takes_delta_in_its_query(void **state)
{
    struct fixture *fixture = *state;
    struct position position = begin(fixture);
    call_register(fixture->http, "s", "more");
    char path[256];
    snprintf(path, sizeof path, "/api/discovery/service?delta=1&version=%lld&run=%s",
             position.version, position.run);
    struct http_response *response =
        http_post(fixture->http, path, "{'discovery_config':{'service_id':'s'}}");
    check_status(response, 200, "success", NULL);
    check_count(response, "changes", 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(changes_come_when_the_service_changes),
        TEST(changes_since_a_version_come_at_once_and_in_order),
        TEST(no_change_is_304),
        TEST(casing_and_java_are_those_of_the_request),
        TEST(whole_list_comes_where_the_changes_are_not_known),
        TEST(whole_list_comes_after_a_restart),
        TEST(unknown_service_is_awaited_and_then_whole),
        TEST(other_paths_ignore_delta),
        TEST(tag_of_the_changes_is_that_of_the_list_they_lead_to),
        TEST(head_has_the_headers_of_the_changes),
        TEST(many_changes_are_compressed),
        TEST(invalid_delta_is_refused_with_its_value),
        TEST(post_takes_delta_in_its_query),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
