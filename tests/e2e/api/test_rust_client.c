/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Rust clients need, in the snake_case of the older and the camelCase of the newer one.
 * They decode into types: a missing or null field, or a word outside of a closed set, makes the
 * whole response undecodable. So each response and each push is checked for every field that they
 * need.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names as this client reads and writes them. */
static const struct casing {
    const char *status, *code;
    const char *region, *zone, *service, *group, *instance;
    const char *instance_keys, *failed_keys, *discovery_config, *discovery_configs;
    const char *change_type, *change_time;
} casings[] = {
    {"response_status", "error_code", "region_id", "zone_id", "service_id", "group_id",
     "instance_id", "instance_keys", "failed_instance_keys", "discovery_config",
     "discovery_configs", "change_type", "change_time"},
    {"responseStatus", "errorCode", "regionId", "zoneId", "serviceId", "groupId", "instanceId",
     "instanceKeys", "failedInstanceKeys", "discoveryConfig", "discoveryConfigs", "changeType",
     "changeTime"},
};
enum { CASINGS = sizeof casings / sizeof *casings };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
}

/* --- what the clients' types need ------------------------------------------------------------- */

static const char *text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        fail_msg("there is no text %s in %s", name, json_dumps(object, JSON_ENCODE_ANY));
    return text;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

static void check_decodes_as_status(const struct http_response *response,
                                    const struct casing *casing, const char *code)
{
    static const char *const codes[] = {"success",      "bad-request",    "service-unavailable",
                                        "rate-limited", "internal-error", NULL};
    const char *found = text_in(check_find(response->json, casing->status), casing->code);
    assert_true(is_one_of(found, codes));
    assert_string_equal(found, code);
}

static void check_decodes_as_instance(const json_t *instance, const struct casing *casing)
{
    static const char *const statuses[] = {"starting", "up", "down", "unhealthy", "unknown", NULL};
    text_in(instance, casing->region);
    text_in(instance, casing->zone);
    text_in(instance, casing->service);
    text_in(instance, casing->instance);
    text_in(instance, "ip");
    text_in(instance, "url");
    assert_true(is_one_of(text_in(instance, "status"), statuses));
    assert_true(json_is_integer(json_object_get(instance, "port")));
    assert_in_range(json_integer_value(json_object_get(instance, "port")), 0, 65535);
}

static void check_decodes_as_service(const json_t *service, const struct casing *casing,
                                     size_t instances)
{
    size_t i;
    const json_t *instance;
    text_in(service, casing->service);
    assert_true(json_is_array(json_object_get(service, "instances")));
    assert_int_equal(json_array_size(json_object_get(service, "instances")), instances);
    json_array_foreach(json_object_get(service, "instances"), i, instance)
        check_decodes_as_instance(instance, casing);
}

/* All five parts. */
static void check_decodes_as_key(const json_t *key, const struct casing *casing)
{
    text_in(key, casing->region);
    text_in(key, casing->zone);
    text_in(key, casing->service);
    text_in(key, casing->group);
    text_in(key, casing->instance);
}

/* 2026-02-14T08:00:00.123Z */
static void check_is_rfc3339(const char *time)
{
    int year, month, day, hour, minute, second, end = 0;
    assert_int_equal(sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
                            &second, &end),
                     6);
    assert_in_range(year, 2026, 2100);
    const char *rest = time + end;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    assert_string_equal(rest, "Z");
}

/* The push of changes of a service; envelopes are in snake_case for both. */
static const json_t *check_decodes_as_push(const struct http_response *pushed,
                                           const struct casing *casing, const char *service)
{
    static const char *const types[] = {"new", "change", "delete", "reload", NULL};
    size_t i;
    const json_t *change;
    assert_string_equal(text_in(pushed->json, "type"), "service_change");
    assert_string_equal(text_in(pushed->json, "service_id"), service);
    const json_t *changes = json_object_get(pushed->json, "changes");
    assert_true(json_array_size(changes) > 0);
    json_array_foreach(changes, i, change)
    {
        check_decodes_as_instance(json_object_get(change, "instance"), casing);
        assert_true(is_one_of(text_in(change, casing->change_type), types));
        check_is_rfc3339(text_in(change, casing->change_time));
    }
    return json_array_get(changes, 0);
}

/* --- as the clients call ---------------------------------------------------------------------- */

static struct http_response *post(struct http *http, const char *path, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    struct http_response *response = call_post_bytes(http, path, text, strlen(text));
    free(text);
    check_http(response, 200);
    return response;
}

static json_t *make_instance(const struct casing *casing, const char *service, const char *id)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s}", casing->region, "lab", casing->zone,
                     "zone1", casing->service, service, casing->instance, id, "ip", "10.0.0.1",
                     "port", 80, "url", "http://10.0.0.1", "status", "up");
}

static json_t *make_key(const struct casing *casing, const char *service, const char *id)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", casing->region, "lab", casing->zone, "zone1",
                     casing->service, service, casing->group, "", casing->instance, id);
}

static json_t *make_config(const struct casing *casing, const char *service)
{
    return json_pack("{s:s,s:s,s:s}", casing->service, service, casing->region, "lab", casing->zone,
                     "zone1");
}

static void register_one(struct http *http, const struct casing *casing, const char *service,
                         const char *id)
{
    check_decodes_as_status(
        post(http, REGISTER, json_pack("{s:[o]}", "instances", make_instance(casing, service, id))),
        casing, "success");
}

static void unregister_one(struct http *http, const struct casing *casing, const char *service,
                           const char *id)
{
    check_decodes_as_status(
        post(http, UNREGISTER,
             json_pack("{s:[o]}", casing->instance_keys, make_key(casing, service, id))),
        casing, "success");
}

static struct http_response *beat(struct http *http, const struct casing *casing,
                                  const char *service, const char *id)
{
    return post(http, HEARTBEAT,
                json_pack("{s:[o]}", casing->instance_keys, make_key(casing, service, id)));
}

/* --- registry and discovery ------------------------------------------------------------------- */

static void client_registers_renews_and_is_found(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (int i = 0; i < CASINGS; i++) {
        const struct casing *casing = &casings[i];
        char service[16];
        snprintf(service, sizeof service, "rust-%d", i);
        register_one(http, casing, service, "i1");
        register_one(http, casing, service, "i2");
        check_decodes_as_status(beat(http, casing, service, "i1"), casing, "success");
        struct http_response *response = beat(http, casing, service, "lost");
        check_decodes_as_status(response, casing, "bad-request");
        const json_t *failed = json_object_get(response->json, casing->failed_keys);
        assert_int_equal(json_array_size(failed), 1);
        check_decodes_as_key(json_array_get(failed, 0), casing);
        response = post(http, "/api/discovery/service",
                        json_pack("{s:o}", casing->discovery_config, make_config(casing, service)));
        check_decodes_as_status(response, casing, "success");
        check_decodes_as_service(json_object_get(response->json, "service"), casing, 2);
        response = post(http, "/api/discovery/service",
                        json_pack("{s:o}", casing->discovery_config, make_config(casing, "none")));
        check_decodes_as_status(response, casing, "bad-request");
        check_absent(response, "service");
        unregister_one(http, casing, service, "i2");
        response =
            post(http, "/api/discovery/lookup",
                 json_pack("{s:[o]}", casing->discovery_configs, make_config(casing, service)));
        check_decodes_as_status(response, casing, "success");
        check_decodes_as_service(json_array_get(json_object_get(response->json, "services"), 0),
                                 casing, 1);
    }
}

/* Each service of a batch lookup needs `instances`, an unknown one too. */
static void batch_lookup_with_an_unknown_service_decodes(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (int i = 0; i < CASINGS; i++) {
        const struct casing *casing = &casings[i];
        register_one(http, casing, "known", "i1");
        struct http_response *response =
            post(http, "/api/discovery/lookup",
                 json_pack("{s:[o,o]}", casing->discovery_configs, make_config(casing, "known"),
                           make_config(casing, "unknown")));
        check_decodes_as_status(response, casing, "success");
        const json_t *services = json_object_get(response->json, "services");
        check_decodes_as_service(json_array_get(services, 0), casing, 1);
        check_decodes_as_service(json_array_get(services, 1), casing, 0);
    }
}

/* The request is a GET without parameters: server.default_casing decides which client can read the
 * response. */
static void check_all_services(struct http *http, const struct casing *casing)
{
    register_one(http, &casings[0], "a", "i1");
    register_one(http, &casings[1], "b", "i1");
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_decodes_as_status(response, casing, "success");
    check_count(response, "services", 2);
    for (size_t i = 0; i < 2; i++)
        check_decodes_as_service(json_array_get(json_object_get(response->json, "services"), i),
                                 casing, 1);
}

static void all_services_decode_in_snake_case(void **state)
{
    check_all_services(((struct fixture *)*state)->http, &casings[0]);
}

static int start_with_camel_case(void **state)
{
    return fixture_start(state,
                         (const char *const[]){"--set", "server.default_casing=camelCase", NULL});
}

static void all_services_decode_in_camel_case(void **state)
{
    check_all_services(((struct fixture *)*state)->http, &casings[1]);
}

/* What a Java client may register, a Rust client must be able to read. */
static void unusual_instances_decode(void **state)
{
    struct fixture *fixture = *state;
    struct http *http = fixture->http;
    for (int i = 0; i < CASINGS; i++) {
        const struct casing *casing = &casings[i];
        struct websocket_client client;
        websocket_client_open(&client, fixture->server.port, "/ws");
        websocket_client_send_json(&client, "{'type':'subscribe','service_id':'odd-%d'}", i);
        websocket_client_next(&client);
        struct http_response *response =
            http_post(http, "/artemis/api/registry/register.json",
                      "{'instances':[{'regionId':'lab','zoneId':'z','serviceId':'odd-%d',"
                      "'instanceId':'i1','url':'http://x','ip':null,'status':'very odd',"
                      "'metadata':null}]}",
                      i);
        check_http(response, 200);
        check_decodes_as_push(websocket_client_next(&client), casing, i ? "odd-1" : "odd-0");
        websocket_client_close(&client);
    }
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_decodes_as_service(check_find(response->json, "services[0]"), &casings[0], 1);
    check_json(response, "services[0].instances[0].status", "'unknown'");
    check_json(response, "services[0].instances[0].ip", "''");
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Both clients subscribe in snake_case; the newer one reads changes in camelCase. */
static void subscriber_gets_changes(void **state)
{
    struct fixture *fixture = *state;
    struct http *http = fixture->http;
    for (int i = 0; i < CASINGS; i++) {
        const struct casing *casing = &casings[i];
        struct websocket_client client;
        char service[16];
        snprintf(service, sizeof service, "pushed-%d", i);
        websocket_client_open(&client, fixture->server.port, "/ws");
        SEND(&client, .opcode = OPCODE_PING); /* first at once, then each 30 s */
        websocket_client_check_frame(&client, OPCODE_PONG, "", 0);
        websocket_client_send_json(&client, "{'type':'subscribe','service_id':'%s'}", service);
        struct http_response *response = websocket_client_next(&client);
        assert_string_equal(text_in(response->json, "type"), "subscribed");
        assert_string_equal(text_in(response->json, "service_id"), service);
        register_one(http, casing, service, "i1");
        const json_t *change =
            check_decodes_as_push(websocket_client_next(&client), casing, service);
        assert_string_equal(text_in(change, casing->change_type), "new");
        assert_string_equal(text_in(json_object_get(change, "instance"), casing->instance), "i1");
        unregister_one(http, casing, service, "i1");
        change = check_decodes_as_push(websocket_client_next(&client), casing, service);
        assert_string_equal(text_in(change, casing->change_type), "delete");
        websocket_client_send_json(&client, "{'type':'ping'}");
        assert_string_equal(text_in(websocket_client_next(&client)->json, "type"), "pong");
        websocket_client_send_json(&client, "{'type':'unsubscribe','service_id':'%s'}", service);
        response = websocket_client_next(&client);
        assert_string_equal(text_in(response->json, "type"), "unsubscribed");
        assert_string_equal(text_in(response->json, "service_id"), service);
        websocket_client_send_json(&client, "{'type':'nonsense'}");
        response = websocket_client_next(&client);
        assert_string_equal(text_in(response->json, "type"), "error");
        text_in(response->json, "message");
        websocket_client_close(&client);
    }
}

static void reload_decodes(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < CASINGS; i++) {
        struct websocket_client client;
        register_one(fixture->http, &casings[i], "reloaded", "i1");
        websocket_client_open(&client, fixture->server.port, "/ws");
        websocket_client_send_json(&client,
                                   "{'type':'subscribe','service_id':'reloaded','version':1}");
        websocket_client_next(&client);
        const json_t *change =
            check_decodes_as_push(websocket_client_next(&client), &casings[i], "reloaded");
        assert_string_equal(text_in(change, casings[i].change_type), "reload");
        websocket_client_close(&client);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(client_registers_renews_and_is_found),
        TEST(batch_lookup_with_an_unknown_service_decodes),
        TEST(all_services_decode_in_snake_case),
        cmocka_unit_test_setup_teardown(all_services_decode_in_camel_case, start_with_camel_case,
                                        fixture_stop),
        TEST(unusual_instances_decode),
        TEST(subscriber_gets_changes),
        TEST(reload_decodes),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
