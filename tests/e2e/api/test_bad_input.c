/* SPDX-License-Identifier: Apache-2.0
 *
 * Invalid bodies and queries: each gets its status and reason, and a message that names field and
 * value. It changes nothing, and other clients are served. Too large bodies: test_bad_body.c. Input
 * that is not HTTP: test_bad_http.c.
 */
#include "artemis-core/base/text.h"
#include "tests/support/client/background_client.h"
#include "tests/support/client/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "/api/discovery/service"
#define DELTA   "/api/discovery/services-delta"
#define LOOKUP  "/api/discovery/lookup"
#define RELEASE "/api/status/leases/release"
#define BASE                                                                                       \
    "{'region_id':'lab','zone_id':'zone1','service_id':'bad','instance_id':'i1',"                  \
    "'ip':'10.0.0.1','port':80}"
#define TEXT(literal) literal, sizeof literal - 1

/* One server for all rows: whatever they do to it would show in the rows after. */
static struct fixture *shared;
static struct background_client background_client;
static char *all_services;

static int start_once(void **state)
{
    fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
    shared = *state;
    call_register(shared->http, "witness", "i1");
    all_services = strdup(http_get(shared->http, "/api/discovery/services")->body);
    background_client_start(&background_client, shared->server.port, SERVICE "?service_id=witness");
    return 0;
}

static int stop_once(void **state)
{
    background_client_stop(&background_client);
    free(all_services);
    return fixture_stop(state);
}

/* The whole registry, its version included, is as it was. */
static void check_nothing_changed(void)
{
    struct http_response *response = http_get(shared->http, "/api/discovery/services");
    assert_string_equal(response->body, all_services);
}

static void check_refused_body(const char *path, const void *body, size_t size, const char *reason,
                               const char *part)
{
    struct http_response *response = call_post_bytes(shared->http, path, body, size);
    check_status(response, 400, "bad-request", reason);
    check_contains(response, "response_status.error_message", part);
    check_nothing_changed();
}

/* --- what is not a JSON object ---------------------------------------------------------------- */

static const char *const body_paths[] = {REGISTER, HEARTBEAT, UNREGISTER, SERVICE,
                                         LOOKUP,   DELTA,     RELEASE};

static void body_that_is_not_a_json_object_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t size;
    } rows[] = {
        {TEXT("hello")},
        {TEXT("[]")},
        {TEXT("[{\"instances\":[]}]")},
        {TEXT("\"instances\"")},
        {TEXT("5")},
        {TEXT("true")},
        {TEXT("null")},
        {TEXT("   ")},
        {TEXT("{")},
        {TEXT("}")},
        {TEXT("{\"instances\":[]")},
        {TEXT("{\"instances\":[}")},
        {TEXT("{\"instances\":[],}")},
        {TEXT("{instances:[]}")},
        {TEXT("{'instances':[]}")},
        {TEXT("{\"instances\":[]} x")},
        {TEXT("{\"instances\":[]}{\"instances\":[]}")},
        {TEXT("{\"instances\":[]}\0")},
        {TEXT("{\"instances\":[NaN]}")},
        {TEXT("{\"instances\":[01]}")},
        {TEXT("{\"instances\":[1e999]}")},
        {TEXT("{\"instances\":[\"a\nb\"]}")},
        {TEXT("{\"instances\":[\"\\x\"]}")},
        {TEXT("{\"instances\":[] /* none */}")},
        {TEXT("instances=%5B%5D")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t p = 0; p < sizeof body_paths / sizeof *body_paths; p++) {
            check_refused_body(body_paths[p], rows[i].body, rows[i].size, "invalid-json", "body: ");
        }
    }
}

static void body_with_invalid_text_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t size;
    } rows[] = {
        {TEXT("{\"x\":\"\xff\",\"instances\":[]}")},             /* not UTF-8 */
        {TEXT("{\"x\":\"\xc3\",\"instances\":[]}")},             /* cut short */
        {TEXT("{\"x\":\"\xc0\xaf\",\"instances\":[]}")},         /* overlong */
        {TEXT("{\"x\":\"\xed\xa0\x80\",\"instances\":[]}")},     /* a surrogate */
        {TEXT("{\"x\":\"\xf4\x90\x80\x80\",\"instances\":[]}")}, /* beyond Unicode */
        {TEXT("{\"\xff\":1,\"instances\":[]}")},                 /* in a name */
        {TEXT("{\"x\":\"\\ud800\",\"instances\":[]}")},          /* half a pair */
        {TEXT("{\"x\":\"\\udc00\\ud800\",\"instances\":[]}")},   /* the wrong way round */
        {TEXT("{\"x\":\"a\\u0000b\",\"instances\":[]}")},        /* NUL, escaped */
        {TEXT("{\"x\":\"a\0b\",\"instances\":[]}")},             /* NUL, plain */
        {TEXT("{\"x\\u0000\":1,\"instances\":[]}")},             /* NUL in a name */
        {TEXT("\xef\xbb\xbf{\"instances\":[\xff]}")},
        {TEXT("{\"instances\":[{\"service_id\":\"a\\u0000b\"}]}")},
        {TEXT("{\"instances\":[{\"service_id\":\"a\xff\"}]}")},
        {TEXT("{\"instances\":[{\"metadata\":{\"a\\u0000\":\"b\"}}]}")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t p = 0; p < sizeof body_paths / sizeof *body_paths; p++) {
            check_refused_body(body_paths[p], rows[i].body, rows[i].size, "invalid-json", "body: ");
        }
    }
}

static void body_with_a_duplicate_name_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"instances\":[],\"instances\":[]}",
        "{\"x\":1,\"x\":1,\"instances\":[]}",
        "{\"instances\":[{\"region_id\":\"a\",\"region_id\":\"b\"}]}",
        "{\"instances\":[{\"metadata\":{\"k\":\"1\",\"k\":\"2\"}}]}",
        "{\"x\":{\"deep\":[{\"y\":1,\"y\":2}]},\"instances\":[]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t p = 0; p < sizeof body_paths / sizeof *body_paths; p++) {
            check_refused_body(body_paths[p], bodies[i], strlen(bodies[i]), "invalid-json",
                               "body: ");
        }
    }
}

static void body_of_ten_thousand_brackets_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 10000 };
    static const char *const opens[] = {"[", "{\"a\":", "{\"instances\":["};
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        size_t size = strlen(opens[i]) * DEPTH;
        char *body = malloc(size + DEPTH);
        assert_non_null(body);
        for (size_t d = 0; d < DEPTH; d++) {
            memcpy(body + d * strlen(opens[i]), opens[i], strlen(opens[i]));
        }
        memset(body + size, opens[i][0] == '[' ? ']' : '}', DEPTH);
        check_refused_body(REGISTER, body, size, "invalid-json", "body: ");
        check_refused_body(REGISTER, body, size + DEPTH, "invalid-json", "body: ");
        check_refused_body(SERVICE, body, size + DEPTH, "invalid-json", "body: ");
        free(body);
    }
}

/* --- lists ------------------------------------------------------------------------------------ */

static void list_that_is_missing_or_of_another_type_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *field;
    } rows[] = {
        {REGISTER, "{}", "instances"},
        {REGISTER, "", "instances"},
        {REGISTER, "{\"instances\":null}", "instances"},
        {REGISTER, "{\"instances\":{}}", "instances"},
        {REGISTER, "{\"instances\":5}", "instances"},
        {REGISTER, "{\"instances\":\"x\"}", "instances"},
        {REGISTER, "{\"instances\":true}", "instances"},
        {REGISTER, "{\"instance_keys\":[]}", "instances"},
        {HEARTBEAT, "{}", "instance_keys"},
        {HEARTBEAT, "{\"instance_keys\":{}}", "instance_keys"},
        {HEARTBEAT, "{\"instance_keys\":7}", "instance_keys"},
        {HEARTBEAT, "{\"instances\":7}", "instances"},
        {UNREGISTER, "{}", "instance_keys"},
        {UNREGISTER, "{\"instance_keys\":\"x\"}", "instance_keys"},
        {SERVICE, "{}", "discovery_config"},
        {SERVICE, "{\"discovery_config\":5}", "discovery_config"},
        {SERVICE, "{\"discovery_config\":[]}", "discovery_config"},
        {SERVICE, "{\"discovery_config\":{}}", "service_id"},
        {SERVICE, "{\"discovery_config\":{\"service_id\":null}}", "service_id"},
        {SERVICE, "{\"discovery_config\":{\"service_id\":\"\"}}", "service_id"},
        {SERVICE, "{\"discovery_config\":{\"service_id\":5}}", "service_id"},
        {SERVICE, "{\"discovery_config\":{\"service_id\":\"x\",\"status\":\"odd\"}}", "odd"},
        {LOOKUP, "{}", "discovery_config"},
        {LOOKUP, "{\"discovery_configs\":5}", "discovery_configs"},
        {LOOKUP, "{\"discovery_configs\":[5]}", "discovery_configs[0]"},
        {LOOKUP, "{\"discovery_configs\":[{\"service_id\":\"a\"},{}]}", "discovery_configs[1]"},
        {LOOKUP, "{\"discovery_config\":{\"service_id\":\"a\"},\"strategy\":5}", "strategy"},
        {DELTA, "{\"version\":\"abc\"}", "version"},
        {DELTA, "{\"version\":-1}", "version"},
        {DELTA, "{\"version\":1.5}", "version"},
        {RELEASE, "{\"service_id\":[]}", "service_id"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_refused_body(rows[i].path, rows[i].body, strlen(rows[i].body), "invalid-field",
                           rows[i].field);
    }
}

static void list_of_ten_thousand_and_one_items_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *list, *item, *message;
    } rows[] = {
        {REGISTER, "instances", INSTANCE, "instances: must be at most 10000 items, has 10001"},
        {HEARTBEAT, "instances", INSTANCE, "instances: must be at most 10000 items, has 10001"},
        {HEARTBEAT, "instance_keys", KEY, "instance_keys: must be at most 10000 items, has 10001"},
        {UNREGISTER, "instance_keys", KEY, "instance_keys: must be at most 10000 items, has 10001"},
        {LOOKUP, "discovery_configs", "{'service_id':'%s','zone_id':'%s'}",
         "discovery_configs: must be at most 10000 items, has 10001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *body = call_list_body(rows[i].list, rows[i].item, "bad", 0, 10001);
        check_refused_body(rows[i].path, body, strlen(body), "too-large", rows[i].message);
        free(body);
    }
}

/* Each `{},` is a hundred times larger in memory. */
static void body_of_too_many_values_for_its_size_is_refused(void **state)
{
    (void)state;
    enum { VALUES = 200000 };
    struct text body = {0};
    text_append_string(&body, "{\"x\":[{}");
    for (int i = 1; i < VALUES; i++)
        text_append_string(&body, ",{}");
    text_append_string(&body, "]}");
    assert_false(text_failed(&body));
    for (size_t i = 0; i < sizeof body_paths / sizeof *body_paths; i++)
        check_refused_body(body_paths[i], body.data, body.size, "too-large",
                           "body: holds too many values for its 600007 bytes");
    text_free(&body);
}

/* --- items ------------------------------------------------------------------------------------ */

static json_t *base_instance(void)
{
    char text[] = BASE;
    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    json_t *instance = json_loads(text, 0, NULL);
    assert_non_null(instance);
    return instance;
}

/* {LIST:[instance]}, with one field set to `value` (borrowed), or left out. */
static char *body_with(const char *list, const char *field, json_t *value)
{
    json_t *instance = base_instance();
    if (value != NULL) {
        json_object_set(instance, field, value);
    } else {
        json_object_del(instance, field);
    }
    json_t *body = json_pack("{s:[o]}", list, instance);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    assert_non_null(text);
    return text;
}

/* The item fails, and says so with field and value; HTTP says that the request was served. */
static void check_refused_item(const char *path, const char *list, const char *field, json_t *value,
                               const char *part)
{
    char name[128];
    char *body = body_with(list, field, value);
    snprintf(name, sizeof name, "%s[0].%s: ", list, field);
    struct http_response *response = call_post_bytes(shared->http, path, body, strlen(body));
    check_status(response, 200, "bad-request", "invalid-field");
    check_contains(response, "response_status.error_message", name);
    check_contains(response, "response_status.error_message", part);
    bool of_keys = strcmp(list, "instance_keys") == 0;
    check_count(response, of_keys ? "failed_instance_keys" : "failed_instances", 1);
    const json_t *failed =
        check_find(response->json, of_keys ? "failed_instance_keys[0]" : "failed_instances[0]");
    assert_string_equal(json_string_value(json_object_get(failed, "reason")), "invalid-field");
    assert_string_equal(json_string_value(json_object_get(failed, "error_code")), "bad-request");
    assert_string_equal(json_string_value(json_object_get(failed, "error_message")),
                        check_text(response, "response_status.error_message"));
    free(body);
    check_nothing_changed();
}

static json_t *text_of(char letter, size_t size)
{
    char *text = calloc(1, size + 1);
    assert_non_null(text);
    memset(text, letter, size);
    json_t *json = json_string(text);
    free(text);
    return json;
}

static void required_field_that_is_missing_or_invalid_is_refused(void **state)
{
    (void)state;
    static const char *const fields[] = {"region_id", "zone_id", "service_id", "instance_id"};
    static const struct {
        const char *path, *list;
    } calls[] = {{REGISTER, "instances"},
                 {HEARTBEAT, "instances"},
                 {HEARTBEAT, "instance_keys"},
                 {UNREGISTER, "instances"},
                 {UNREGISTER, "instance_keys"}};
    const struct {
        json_t *value;
        const char *part;
    } rows[] = {
        {NULL, "is required"},
        {json_null(), "is required"},
        {json_string(""), "is \"\""},
        {text_of('x', 256), "256"},
        {text_of('x', 100000), "100000"},
        {json_string("a\nb"), "0x0a"},
        {json_string("a\x1f"), "0x1f"},
        {json_string("\x7f"), "0x7f"},
        {json_integer(80), "80"},
        {json_true(), "true"},
        {json_array(), ""},
        {json_object(), ""},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
            for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
                check_refused_item(calls[c].path, calls[c].list, fields[f], rows[r].value,
                                   rows[r].part);
            }
        }
        json_decref(rows[r].value);
    }
}

static void invalid_port_is_refused(void **state)
{
    (void)state;
    const struct {
        json_t *value;
        const char *part;
    } rows[] = {
        {json_integer(-1), "must be 0 to 65535, is -1"},
        {json_integer(65536), "must be 0 to 65535, is 65536"},
        {json_integer(INT64_MAX), "must be 0 to 65535, is 9223372036854775807"},
        {json_real(1.5), "1.5"},
        {json_string("80"), "80"},
        {json_true(), "true"},
        {json_array(), ""},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        check_refused_item(REGISTER, "instances", "port", rows[r].value, rows[r].part);
        json_decref(rows[r].value);
    }
}

static void invalid_revision_is_refused(void **state)
{
    (void)state;
    const struct {
        json_t *value;
        const char *part;
    } rows[] = {
        {json_integer(-1), "must be an integer from 0, is -1"},
        {json_integer(INT64_MIN), "must be an integer from 0, is -9223372036854775808"},
        {json_real(1.5), "must be an integer from 0, is 1.5"},
        {json_real(9223372036854775808.0), "must be an integer from 0, is 9.2233720368547758e18"},
        {json_string("7"), "must be an integer from 0, is \"7\""},
        {json_true(), "true"},
        {json_array(), "[]"},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        check_refused_item(REGISTER, "instances", "revision", rows[r].value, rows[r].part);
        check_refused_item(UNREGISTER, "instance_keys", "revision", rows[r].value, rows[r].part);
        json_decref(rows[r].value);
    }
    static const char body[] = "{\"instances\":[{\"revision\":9223372036854775808}]}";
    check_status(call_post_bytes(shared->http, REGISTER, body, strlen(body)), 400, "bad-request",
                 "invalid-json");
    check_nothing_changed();
}

/* So many entries of so many bytes. */
static json_t *metadata_of(int entries, size_t value_size)
{
    json_t *metadata = json_object();
    for (int i = 0; i < entries; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        json_object_set_new(metadata, key, text_of('v', value_size));
    }
    return metadata;
}

static void optional_field_that_is_invalid_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *field;
        json_t *value;
        const char *part;
    } rows[] = {
        {"ip", json_integer(7), "7"},
        {"url", json_array(), ""},
        {"group_id", json_integer(7), "7"},
        {"status", json_integer(7), "7"},
        {"status", text_of('s', 33), "33"},
        {"machine_name", text_of('m', 1025), "1025"},
        {"machine_name", json_false(), "false"},
        {"protocol", text_of('p', 1025), "1025"},
        {"health_check_url", text_of('h', 1025), "1025"},
        {"health_check_url", json_object(), ""},
        {"metadata", json_integer(7), "7"},
        {"metadata", json_array(), ""},
        {"metadata", json_string("k=v"), "k=v"},
        {"metadata", metadata_of(65, 1), "65"},
        {"metadata", metadata_of(8, 1100), ""},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        check_refused_item(REGISTER, "instances", rows[r].field, rows[r].value, rows[r].part);
        json_decref(rows[r].value);
    }
}

static void item_without_ip_and_url_is_refused(void **state)
{
    (void)state;
    struct http_response *response =
        http_post(shared->http, REGISTER,
                  "{'instances':[{'region_id':'a','zone_id':'b','service_id':'bad',"
                  "'instance_id':'i1','port':80}]}");
    check_status(response, 200, "bad-request", "invalid-field");
    check_contains(response, "response_status.error_message", "instances[0].");
    check_contains(response, "response_status.error_message", "url");
    check_contains(response, "response_status.error_message", "ip");
    check_nothing_changed();
}

static void item_that_is_not_an_object_is_refused(void **state)
{
    (void)state;
    static const char *const items[] = {"5", "\"x\"", "[]", "true"};
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct http_response *response =
            http_post(shared->http, REGISTER, "{'instances':[%s]}", items[i]);
        check_status(response, 200, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "instances[0]: ");
        response = http_post(shared->http, HEARTBEAT, "{'instance_keys':[%s]}", items[i]);
        check_status(response, 200, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "instance_keys[0]: ");
        check_nothing_changed();
    }
}

static void metadata_that_is_not_text_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"[]", "{}"};
    for (size_t i = 0; i < 2; i++) {
        struct http_response *response =
            http_post(shared->http, REGISTER,
                      "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'weight':%s}}]}", "bad", "i1",
                      values[i]);
        check_status(response, 200, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "instances[0].metadata");
        check_contains(response, "response_status.error_message", "weight");
        check_nothing_changed();
    }
}

/* The largest value that is allowed, to check that the limit is not one too small. */
static void item_at_every_limit_is_accepted(void **state)
{
    (void)state;
    const struct {
        const char *field;
        json_t *value;
    } rows[] = {
        {"region_id", text_of('r', 255)},   {"zone_id", text_of('z', 255)},
        {"instance_id", text_of('i', 255)}, {"port", json_integer(0)},
        {"port", json_integer(65535)},      {"revision", json_integer(INT64_MAX)},
        {"status", text_of('s', 32)},       {"machine_name", text_of('m', 1024)},
        {"protocol", text_of('p', 1024)},   {"health_check_url", text_of('h', 1024)},
        {"metadata", metadata_of(64, 100)}, {"service_id", text_of('s', 255)},
    };
    struct fixture *own = NULL;
    fixture_start((void **)&own, NULL);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char *body = body_with("instances", rows[r].field, rows[r].value);
        check_status(call_post_bytes(own->http, REGISTER, body, strlen(body)), 200, "success",
                     NULL);
        free(body);
        json_decref(rows[r].value);
    }
    fixture_stop((void **)&own);
}

/* --- queries ---------------------------------------------------------------------------------- */

static void query_that_is_missing_or_invalid_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *field, *value;
    } rows[] = {
        {SERVICE, "service_id", ""},
        {SERVICE "?service_id=", "service_id", ""},
        {SERVICE "?service_id=%ff", "service_id", ""},
        {SERVICE "?service_id=witness%00x", "service_id", ""},
        {SERVICE "?service_id=witness&status=odd", "status", "odd"},
        {DELTA, "version", ""},
        {DELTA "?version=", "version", ""},
        {DELTA "?version=abc", "version", "abc"},
        {DELTA "?version=-1", "version", "-1"},
        {DELTA "?version=1.5", "version", "1.5"},
        {DELTA "?version=12x", "version", "12x"},
        {DELTA "?version=99999999999999999999999", "version", "99999999999999999999999"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_request request = {.method = "GET", .path = rows[i].path};
        struct http_response *response = http_send(shared->http, &request);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", rows[i].field);
        check_contains(response, "response_status.error_message", rows[i].value);
        check_nothing_changed();
    }
}

static void body_is_read_as_json_whatever_its_type(void **state)
{
    (void)state;
    static const char *const types[] = {"Content-Type:", "Content-Type: text/plain",
                                        "Content-Type: application/x-www-form-urlencoded",
                                        "Content-Type: application/json; charset=utf-8"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct http_request request = {
            .method = "POST",
            .path = REGISTER,
            .fields = (const char *const[]){types[i], NULL},
            .body = "{\"instances\":[]}",
            .body_size = 16,
        };
        check_status(http_send(shared->http, &request), 200, "success", NULL);
        request.body = "instances=1";
        request.body_size = 11;
        check_status(http_send(shared->http, &request), 400, "bad-request", "invalid-json");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_that_is_not_a_json_object_is_refused),
        cmocka_unit_test(body_with_invalid_text_is_refused),
        cmocka_unit_test(body_with_a_duplicate_name_is_refused),
        cmocka_unit_test(body_of_ten_thousand_brackets_is_refused),
        cmocka_unit_test(list_that_is_missing_or_of_another_type_is_refused),
        cmocka_unit_test(body_of_too_many_values_for_its_size_is_refused),
        cmocka_unit_test(list_of_ten_thousand_and_one_items_is_refused),
        cmocka_unit_test(required_field_that_is_missing_or_invalid_is_refused),
        cmocka_unit_test(invalid_port_is_refused),
        cmocka_unit_test(invalid_revision_is_refused),
        cmocka_unit_test(optional_field_that_is_invalid_is_refused),
        cmocka_unit_test(item_without_ip_and_url_is_refused),
        cmocka_unit_test(item_that_is_not_an_object_is_refused),
        cmocka_unit_test(metadata_that_is_not_text_is_refused),
        cmocka_unit_test(item_at_every_limit_is_accepted),
        cmocka_unit_test(query_that_is_missing_or_invalid_is_refused),
        cmocka_unit_test(body_is_read_as_json_whatever_its_type),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start_once, stop_once));
}
