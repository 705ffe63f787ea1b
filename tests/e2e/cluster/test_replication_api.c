/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls between nodes, on the wire (CONTRACT 4).
 */
#include "tests/support/quoted_json.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEER "/api/replication/registry/"
/* Stamps 100 and 200 of a node. */
#define FIELDS                                                                                     \
    "'region_id':'lab','zone_id':'zone1','service_id':'%s','instance_id':'%s','group_id':''"
#define OLDER "'version':6553600,'origin':'node7'"
#define NEWER "'version':13107200,'origin':'node7'"

static bool is_ready(void *context)
{
    return http_get(((struct fixture *)context)->http, "/ready")->status == 200;
}

/* A node of a cluster listens before it is ready. */
static int start(void **state)
{
    fixture_start(state, (const char *const[]){"--set", "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", NULL});
    assert_true(wait_until(is_ready, *state, wait_deadline_ms()));
    return 0;
}

/* Sends a request as a peer; single quotes stand for double ones. */
static struct http_response *peer_post(void **state, const char *call, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct http_response *peer_post(void **state, const char *call, const char *format, ...)
{
    char path[100];
    va_list args;
    va_start(args, format);
    char *body = quoted_text_args(format, args);
    va_end(args);
    snprintf(path, sizeof path, PEER "%s", call);
    struct http_response *response =
        cluster_peer_call(((struct fixture *)*state)->http, "POST", path, body);
    free(body);
    return response;
}

static struct http_response *peer_get(void **state, const char *call)
{
    char path[100];
    snprintf(path, sizeof path, PEER "%s", call);
    return cluster_peer_call(((struct fixture *)*state)->http, "GET", path, NULL);
}

static struct http_response *shown(void **state, const char *service_id)
{
    return http_get(((struct fixture *)*state)->http, "/api/discovery/service?service_id=%s",
                    service_id);
}

/* --- headers ---------------------------------------------------------------------------------- */

static void call_without_the_header_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const posts[] = {"register.json",
                                        "unregister.json",
                                        "heartbeat.json",
                                        "batch-register.json",
                                        "batch-heartbeat.json",
                                        "batch-unregister.json",
                                        "lease-check",
                                        "records",
                                        "restore"};
    for (size_t i = 0; i < sizeof posts / sizeof posts[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, PEER "%s", posts[i]);
        struct http_response *response = http_post(http, path, "{'instances':[]}");
        check_status(response, 400, "bad-request", "not-a-peer");
        check_contains(response, "response_status.error_message",
                       "X-Artemis-Replication: is required");
    }
    check_status(http_get(http, PEER "services.json"), 400, "bad-request", "not-a-peer");
    check_status(http_get(http, PEER "digest"), 400, "bad-request", "not-a-peer");
}

/* --- updates ---------------------------------------------------------------------------------- */

static void higher_stamp_wins_in_any_order(void **state)
{
    check_status(peer_post(state, "register.json",
                           "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'new'}," NEWER
                           ",'age_ms':10}]}",
                           "shop", "i1"),
                 200, "success", NULL);
    check_status(peer_post(state, "register",
                           "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'old'}," OLDER
                           ",'age_ms':0}]}",
                           "shop", "i1"),
                 200, "success", NULL);
    check_json(shown(state, "shop"), "service.instances[0].metadata.v", "'new'");
    /* An older unregistration has no effect, a newer one has, */
    check_status(peer_post(state, "unregister.json", "{'instance_keys':[{" FIELDS "," OLDER "}]}",
                           "shop", "i1"),
                 200, "success", NULL);
    check_count(shown(state, "shop"), "service.instances", 1);
    check_status(peer_post(state, "unregister.json",
                           "{'instance_keys':[{" FIELDS ",'version':13107201,'origin':'node7'}]}",
                           "shop", "i1"),
                 200, "success", NULL);
    /* and a record older than the tombstone does not return. */
    check_status(peer_post(state, "register.json",
                           "{'instances':[{" INSTANCE_FIELDS "," NEWER ",'age_ms':0}]}", "shop",
                           "i1"),
                 200, "success", NULL);
    assert_int_equal(call_count(((struct fixture *)*state)->http, "shop"), 0);
}

static void renewal_of_an_unknown_or_older_record_is_listed(void **state)
{
    check_status(peer_post(state, "register.json",
                           "{'instances':[{" INSTANCE_FIELDS "," OLDER ",'age_ms':0}]}", "beat",
                           "i1"),
                 200, "success", NULL);
    struct http_response *response = peer_post(state, "heartbeat.json",
                                               "{'instance_keys':[{" FIELDS "," OLDER
                                               ",'age_ms':5},{" FIELDS "," OLDER ",'age_ms':5}]}",
                                               "beat", "i1", "beat", "i2");
    check_status(response, 200, "bad-request", NULL);
    check_count(response, "failed_instance_keys", 1);
    check_json(response, "failed_instance_keys[0].instance_id", "'i2'");
    response = peer_post(state, "heartbeat.json",
                         "{'instance_keys':[{" FIELDS "," NEWER ",'age_ms':5}]}", "beat", "i1");
    check_json(response, "failed_instance_keys[0].instance_id", "'i1'");
    response = peer_post(state, "heartbeat.json",
                         "{'instance_keys':[{" FIELDS "," OLDER ",'age_ms':5}]}", "beat", "i1");
    check_status(response, 200, "success", NULL);
    check_absent(response, "failed_instance_keys");
}

static void invalid_fields_are_refused_by_name(void **state)
{
    static const struct {
        const char *members, *part;
    } rows[] = {
        {"'version':-1,'origin':'n'", "version"},
        {"'version':'7','origin':'n'", "version"},
        {"'version':1.5,'origin':'n'", "version"},
        {"'version':7", "origin"},
        {"'version':7,'origin':''", "origin"},
        {"'version':7,'origin':5", "origin"},
        {"'version':7,'origin':'n','age_ms':-5", "age_ms"},
        {"'version':7,'origin':'n','age_ms':'x'", "age_ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char format[400];
        snprintf(format, sizeof format, "{'instances':[{%s,%s}]}", INSTANCE_FIELDS,
                 rows[i].members);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        struct http_response *response = peer_post(state, "register.json", format, "odd", "i1");
#pragma GCC diagnostic pop
        check_http(response, 200);
        check_status(response, 200, "bad-request", NULL);
        if (strstr(response->body, rows[i].part) == NULL)
            fail_msg("row %zu: %s is not in %s", i, rows[i].part, response->body);
    }
    assert_int_equal(call_count(((struct fixture *)*state)->http, "odd"), -1);
}

static void record_without_a_stamp_gets_the_time_of_receipt(void **state)
{
    for (int i = 0; i < 2; i++)
        check_status(
            peer_post(state, "register.json", "{'instances':[" INSTANCE "]}", "legacy", "i1"), 200,
            "success", NULL);
    check_status(peer_post(state, "batch-heartbeat.json", "{'instance_keys':[{" FIELDS "}]}",
                           "legacy", "i1"),
                 200, "success", NULL);
    struct http_response *response = peer_post(state, "batch-heartbeat.json",
                                               "{'instance_keys':[{" FIELDS "}]}", "legacy", "i2");
    check_status(response, 200, "bad-request", NULL);
    check_json(response, "failed_instance_keys[0].group_id", "''"); /* always all five parts */
    check_json(response, "failed_instance_keys[0].instance_id", "'i2'");
    check_status(
        peer_post(state, "unregister.json", "{'instance_keys':[{" FIELDS "}]}", "legacy", "i1"),
        200, "success", NULL);
    assert_int_equal(call_count(((struct fixture *)*state)->http, "legacy"), 0);
}

/* --- queries ---------------------------------------------------------------------------------- */

static void snapshot_ends_with_a_marker(void **state)
{
    call_register_many(((struct fixture *)*state)->http, "all", 3);
    check_status(peer_post(state, "unregister.json",
                           "{'instance_keys':[{" FIELDS "," NEWER ",'age_ms':1}]}", "gone", "i1"),
                 200, "success", NULL);
    struct http_response *response = peer_get(state, "services.json");
    check_http(response, 200);
    check_json(response, "complete", "true");
    size_t i;
    size_t found = 0;
    json_t *service;
    json_array_foreach(check_find(response->json, "services"), i, service)
    {
        if (strcmp(json_string_value(json_object_get(service, "service_id")), "all") != 0)
            continue;
        found = json_array_size(json_object_get(service, "instances"));
        json_t *first = json_array_get(json_object_get(service, "instances"), 0);
        assert_true(json_integer_value(json_object_get(first, "version")) > 0);
        assert_non_null(json_string_value(json_object_get(first, "origin")));
        assert_true(json_is_integer(json_object_get(first, "age_ms")));
    }
    assert_int_equal(found, 3);
    found = 0;
    json_array_foreach(check_find(response->json, "tombstones"), i, service) found +=
        strcmp(json_string_value(json_object_get(service, "service_id")), "gone") == 0;
    assert_int_equal(found, 1);
}

static void digests_lead_to_keys_and_records(void **state)
{
    char *before = strdup(peer_get(state, "digest")->body);
    call_register(((struct fixture *)*state)->http, "differ", "i1");
    struct http_response *response = peer_get(state, "digest");
    check_count(response, "digests", 1024);
    json_t *old = json_loads(before, 0, NULL);
    size_t bucket = 0;
    size_t differing = 0;
    for (size_t i = 0; i < 1024; i++) {
        if (json_equal(json_array_get(json_object_get(old, "digests"), i),
                       json_array_get(check_find(response->json, "digests"), i)))
            continue;
        bucket = i;
        differing++;
    }
    assert_int_equal(differing, 1);
    response = peer_post(state, "records", "{'buckets':[%zu]}", bucket);
    check_json(response, "instance_keys[0].instance_id", "'i1'");
    response = peer_post(state, "records", "{'instance_keys':[{" FIELDS "},{" FIELDS "}]}",
                         "differ", "i1", "differ", "nobody");
    check_count(response, "instances", 1);
    check_json(response, "instances[0].ip", "'10.0.0.1'");
    check_contains(peer_post(state, "records", "{'buckets':[1024]}"),
                   "response_status.error_message", "buckets");
    check_http(peer_post(state, "records", "{}"), 400);
    json_decref(old);
    free(before);
}

static void keys_of_buckets_are_in_the_order_of_their_stamps(void **state)
{
    enum { SERVICES = 32, BUCKETS = 1024 };
    char buckets[BUCKETS * 5] = "0";
    for (int i = 1, size = 1; i < BUCKETS; i++)
        size += snprintf(buckets + size, sizeof buckets - (size_t)size, ",%d", i);
    for (int i = 0; i < SERVICES; i++) {
        char service_id[32];
        snprintf(service_id, sizeof service_id, "ordered-%d", i);
        call_register(((struct fixture *)*state)->http, service_id, "i1");
    }
    struct http_response *response = peer_post(state, "records", "{'buckets':[%s]}", buckets);
    json_int_t last = 0;
    size_t i;
    json_t *key;
    json_array_foreach(check_find(response->json, "instance_keys"), i, key)
    {
        json_int_t stamp = json_integer_value(json_object_get(key, "version"));
        assert_true(stamp >= last);
        last = stamp;
    }
    assert_true(i >= SERVICES);
}

/* One key may be repeated 10,000 times, and a record is much larger than its key. */
static void response_with_records_is_bounded(void **state)
{
    enum { LIMIT = 16 * 1024 * 1024, RECORD_MAX = 256 * 1024, VALUE = 8000, KEYS = 10000 };
    struct http *http = ((struct fixture *)*state)->http;
    char *body = NULL;
    size_t size = 0;
    check_status(peer_post(state, "register",
                           "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'%0*d'}," OLDER
                           ",'age_ms':0}]}",
                           "large", "i1", VALUE, 0),
                 200, "success", NULL);
    FILE *stream = open_memstream(&body, &size);
    fputs("{\"instance_keys\":[", stream);
    for (int i = 0; i < KEYS; i++)
        fprintf(stream,
                "%s{\"region_id\":\"lab\",\"zone_id\":\"zone1\","
                "\"service_id\":\"large\",\"instance_id\":\"i1\"}",
                i ? "," : "");
    fputs("]}", stream);
    fclose(stream);
    struct http_response *response = cluster_peer_call(http, "POST", PEER "records", body);
    check_status(response, 200, "success", NULL);
    assert_in_range(response->body_size, LIMIT, LIMIT + RECORD_MAX);
    free(body);
    assert_true(call_metric(http, "artemis_peer_fetches_cut_total") == 1);
}

static void lease_check_lists_active_leases_only(void **state)
{
    call_register(((struct fixture *)*state)->http, "live", "i1");
    struct http_response *response =
        peer_post(state, "lease-check", "{'instance_keys':[{" FIELDS "},{" FIELDS "}]}", "live",
                  "i1", "live", "i2");
    check_http(response, 200);
    check_count(response, "instance_keys", 1);
    check_json(response, "instance_keys[0].instance_id", "'i1'");
    assert_true(check_integer(response, "instance_keys[0].age_ms") >= 0);
}

/* A record that is older than the one here, a new one, an old tombstone, and two that are
 * invalid. */
#define RESTORED                                                                                   \
    "{'instances':[{" FIELDS ",'ip':'10.0.0.1'," OLDER "},"                                        \
    "{" FIELDS ",'ip':'10.0.0.1'," OLDER ",'age_ms':86400000},"                                    \
    "{" FIELDS "," OLDER ",'deleted':true},"                                                       \
    "{" FIELDS ",'ip':'10.0.0.1','port':70000," OLDER "},"                                         \
    "{" FIELDS ",'ip':'10.0.0.1'}]}"

static void restore_merges_by_stamp_and_lists_the_rest_by_index(void **state)
{
    check_status(peer_post(state, "register",
                           "{'instances':[{" FIELDS ",'ip':'10.0.0.1'," NEWER "}]}", "s", "newer"),
                 200, "success", NULL);
    static const char *const calls[] = {"restore?dry_run=true", "restore"};
    for (size_t i = 0; i < 2; i++) {
        struct http_response *response =
            peer_post(state, calls[i], RESTORED, "s", "newer", "s", "old", "s", "gone", "s",
                      "invalid", "s", "unstamped");
        check_status(response, 200, "bad-request", "invalid-field");
        check_json(response, "taken", "1");
        check_json(response, "newer", "[0]");
        check_json(response, "ended", "[2]");
        check_count(response, "refused", 2);
        check_json(response, "refused[0].index", "3");
        check_contains(response, "refused[0].error_message", "instances[3].port: must be 0 to");
        check_json(response, "refused[1].index", "4");
        check_count(shown(state, "s"), "service.instances", i == 0 ? 1 : 2);
    }
    check_status(peer_post(state, "restore?dry_run=perhaps", "{'instances':[]}"), 400,
                 "bad-request", "invalid-field");
    check_status(peer_post(state, "restore", "{}"), 400, "bad-request", "invalid-field");
}

/* --- transit ---------------------------------------------------------------------------------- */

/* Registers an instance as a peer whose clock showed clock_ms when it sent the request. */
static struct http_response *register_sent_at(void **state, uint64_t clock_ms, const char *instance)
{
    char clock[64];
    char body[600];
    snprintf(clock, sizeof clock, "X-Artemis-Clock: %llu", (unsigned long long)clock_ms);
    snprintf(body, sizeof body,
             "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"late\","
             "\"instance_id\":\"%s\",\"group_id\":\"\",\"ip\":\"10.0.0.1\",\"port\":80,"
             "\"url\":\"http://10.0.0.1:80\",\"status\":\"up\",\"version\":6553600,"
             "\"origin\":\"node7\",\"age_ms\":10}]}",
             instance);
    const char *const fields[] = {"X-Artemis-Replication: true", "X-Artemis-Cluster: artemis",
                                  "Content-Type: application/json", clock, NULL};
    return http_send(((struct fixture *)*state)->http,
                     &(struct http_request){.method = "POST",
                                            .path = PEER "register.json",
                                            .fields = fields,
                                            .body = body,
                                            .body_size = strlen(body)});
}

static uint64_t node_clock_ms(void **state)
{
    const char *clock = http_field(peer_get(state, "digest"), "X-Artemis-Clock");
    assert_non_null(clock);
    return strtoull(clock, NULL, 10);
}

static void transit_is_added_to_the_age(void **state)
{
    uint64_t clock_ms = node_clock_ms(state);
    check_status(register_sent_at(state, clock_ms - 2000, "i1"), 200, "success", NULL);
    struct http_response *response =
        peer_post(state, "records", "{'instance_keys':[{" FIELDS "}]}", "late", "i1");
    long long age_ms = check_integer(response, "instances[0].age_ms");
    assert_true(age_ms >= 2010);
    assert_true(age_ms <= 2010 + (long long)(node_clock_ms(state) - clock_ms));
}

static void call_that_was_in_transit_for_too_long_is_refused(void **state)
{
    check_status(register_sent_at(state, node_clock_ms(state) - 60000, "i2"), 408, "bad-request",
                 "request-timeout");
    struct http_response *response =
        peer_post(state, "records", "{'instance_keys':[{" FIELDS "}]}", "late", "i2");
    check_count(response, "instances", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_without_the_header_is_refused),
        cmocka_unit_test(higher_stamp_wins_in_any_order),
        cmocka_unit_test(renewal_of_an_unknown_or_older_record_is_listed),
        cmocka_unit_test(invalid_fields_are_refused_by_name),
        cmocka_unit_test(record_without_a_stamp_gets_the_time_of_receipt),
        cmocka_unit_test(snapshot_ends_with_a_marker),
        cmocka_unit_test(digests_lead_to_keys_and_records),
        cmocka_unit_test(keys_of_buckets_are_in_the_order_of_their_stamps),
        cmocka_unit_test(response_with_records_is_bounded),
        cmocka_unit_test(lease_check_lists_active_leases_only),
        cmocka_unit_test(restore_merges_by_stamp_and_lists_the_rest_by_index),
        cmocka_unit_test(transit_is_added_to_the_age),
        cmocka_unit_test(call_that_was_in_transit_for_too_long_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, fixture_stop));
}
