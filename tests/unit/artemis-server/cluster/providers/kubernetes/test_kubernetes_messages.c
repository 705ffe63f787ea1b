/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read from responses of a Kubernetes API server, what is refused, and the Lease that is
 * written.
 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_messages.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static struct kubernetes_event event;
static struct kubernetes_object space;
static char version[KUBERNETES_VERSION_BYTES];
static char names[256]; /* what a list has passed on */

static void begin(void *context)
{
    (void)context;
    snprintf(names, sizeof(names), "begin");
}

static void put(void *context, const struct kubernetes_object *object)
{
    size_t size = strlen(names);
    (void)context;
    snprintf(names + size, sizeof(names) - size, " %.20s/%zu", object->name, object->count);
}

static bool read_list(enum kubernetes_kind kind, const char *body)
{
    const struct kubernetes_source source = {kind, ""};
    const struct kubernetes_reader reader = {begin, put, NULL};
    names[0] = '\0';
    return kubernetes_read_list(&source, slice_of(body), version, &space, &reader);
}

static bool read_slice(const char *port, const char *rest)
{
    char body[2048];
    const struct kubernetes_source source = {KUBERNETES_SLICES, port};
    snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"s\",\"resourceVersion\":\"7\"},%s}",
             rest);
    return kubernetes_read_object(&source, slice_of(body), &space);
}

static bool read_lease(const char *spec)
{
    char body[512];
    const struct kubernetes_source source = {KUBERNETES_LEASES, ""};
    snprintf(body, sizeof(body),
             "{\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"7\"},\"spec\":{%s}}", spec);
    return kubernetes_read_object(&source, slice_of(body), &space);
}

static bool read_event(enum kubernetes_kind kind, const char *line)
{
    const struct kubernetes_source source = {kind, ""};
    return kubernetes_read_event(&source, slice_of(line), &event);
}

/* --- EndpointSlices --------------------------------------------------------------------------- */

#define PORTS     "\"ports\":[{\"name\":\"http\",\"port\":8080},{\"name\":\"peer\",\"port\":8081}]"
#define ENDPOINTS "\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}],"

static void endpoint_has_its_address_pod_zone_and_state(void **state)
{
    (void)state;
    assert_true(read_slice("",
                           "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.1.2.3\","
                           "\"10.1.2.4\"],\"conditions\":{\"ready\":false,\"serving\":null,"
                           "\"terminating\":true},\"targetRef\":{\"kind\":\"Pod\",\"uid\":"
                           "\"u-1\"},\"zone\":\"eu-1a\",\"hints\":{}},"
                           "{\"addresses\":[\"10.1.2.5\"],\"conditions\":{}}],"
                           "\"ports\":[{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"}]"));
    assert_string_equal(space.name, "s");
    assert_string_equal(space.version, "7");
    assert_int_equal(space.count, 2);
    assert_string_equal(space.endpoints[0].address, "10.1.2.3");
    assert_string_equal(space.endpoints[0].pod, "u-1");
    assert_string_equal(space.endpoints[0].zone, "eu-1a");
    assert_int_equal(space.endpoints[0].port, 8080);
    assert_true(space.endpoints[0].is_terminating);
    assert_string_equal(space.endpoints[1].pod, "");
    assert_false(space.endpoints[1].is_terminating);
}

static void address_has_one_form_and_names_are_left_out(void **state)
{
    (void)state;
    assert_true(read_slice("", "\"endpoints\":[{\"addresses\":[\"FD00:0:0::01\"]},"
                               "{\"addresses\":[\"pod.example.org\"]},{\"addresses\":[]},{}]"));
    assert_int_equal(space.count, 1);
    assert_string_equal(space.endpoints[0].address, "fd00::1");
}

static void port_is_found_by_name_or_number(void **state)
{
    (void)state;
    static const struct {
        const char *wanted, *ports;
        uint16_t port;
    } rows[] = {
        {"peer", ENDPOINTS PORTS, 8081},
        {"http", ENDPOINTS PORTS, 8080},
        {"9000", ENDPOINTS PORTS, 9000},
        {"other", ENDPOINTS PORTS, 0},
        {"", ENDPOINTS PORTS, 0}, /* which of the two? */
        {"", ENDPOINTS "\"ports\":[{\"port\":80}]", 80},
        {"", ENDPOINTS "\"ports\":null", 0},
        {"", ENDPOINTS "\"ports\":[{\"port\":65536}]", 0},
        {"", ENDPOINTS "\"ports\":[{\"name\":\"peer\"}]", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(read_slice(rows[i].wanted, rows[i].ports));
        assert_int_equal(space.endpoints[0].port, rows[i].port);
    }
}

static void endpoints_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    const struct kubernetes_source source = {KUBERNETES_SLICES, ""};
    struct text body = {0};
    text_append_string(&body, "{\"metadata\":{\"name\":\"s\",\"resourceVersion\":\"7\"},"
                              "\"endpoints\":[{}");
    for (int i = 0; i < KUBERNETES_ENDPOINTS_MAX + 3; i++)
        text_printf(&body, ",{\"addresses\":[\"10.0.%d.%d\"]}", i / 250, i % 250);
    text_append_string(&body, "]}");
    assert_true(kubernetes_read_object(&source, slice_of(text_string(&body)), &space));
    assert_int_equal(space.count, KUBERNETES_ENDPOINTS_MAX);
    assert_int_equal(space.left_out, 3);
    text_free(&body);
}

/* --- Leases ----------------------------------------------------------------------------------- */

static void lease_has_the_address_of_its_holder(void **state)
{
    (void)state;
    static const struct {
        const char *holder, *address;
    } rows[] = {
        {"http://10.1.2.3:8080", "10.1.2.3"},
        {"https://[FD00::1]:8080", "fd00::1"},
        {"10.1.2.3:80", "10.1.2.3"},
        {"artemis-0", ""},
        {"http://name.example:80", ""},
        {"://:", ""},
        {"[]:1", ""},
        {"", ""},
    };
    char spec[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(spec, sizeof(spec),
                 "\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":15,\"renewTime\":\"t1\"",
                 rows[i].holder);
        assert_true(read_lease(spec));
        assert_string_equal(space.holder, rows[i].address);
        assert_string_equal(space.renewed, "t1");
        assert_int_equal(space.ttl_ms, 15000);
    }
}

/* One Lease must not make the others unreadable. */
static void long_holder_is_no_address(void **state)
{
    (void)state;
    char name[281];
    char spec[320];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(spec, sizeof(spec), "\"holderIdentity\":\"http://%s:80\"", name);
    assert_true(read_lease(spec));
    assert_string_equal(space.holder, "");
    assert_false(read_lease("\"holderIdentity\":7"));
}

static void duration_of_a_lease_has_limits(void **state)
{
    (void)state;
    assert_true(read_lease(""));
    assert_int_equal(space.ttl_ms, 1000);
    assert_true(read_lease("\"leaseDurationSeconds\":-5"));
    assert_int_equal(space.ttl_ms, 1000);
    assert_true(read_lease("\"leaseDurationSeconds\":9000000000000000000"));
    assert_int_equal(space.ttl_ms, 3600000);
}

static void lease_is_written_as_the_api_wants_it(void **state)
{
    (void)state;
    struct text out = {0};
    struct kubernetes_lease_spec spec = {.name = "artemis.n1",
                                         .service = "artemis",
                                         .holder = "http://10.1.2.3:8080",
                                         .version = "",
                                         .ttl_secs = 15,
                                         .acquired_wall_ms = 1771056000000,
                                         .renewed_wall_ms = 1771056005123};
    kubernetes_write_lease(&out, &spec);
    assert_string_equal(
        text_string(&out),
        "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\","
        "\"metadata\":{\"name\":\"artemis.n1\",\"labels\":{\"artemis/service\":"
        "\"artemis\"}},\"spec\":{\"holderIdentity\":\"http://10.1.2.3:8080\","
        "\"leaseDurationSeconds\":15,\"acquireTime\":\"2026-02-14T08:00:00.000000Z\","
        "\"renewTime\":\"2026-02-14T08:00:05.123000Z\"}}");
    text_clear(&out);
    spec.version = "12";
    kubernetes_write_lease(&out, &spec);
    assert_non_null(strstr(text_string(&out), "\"resourceVersion\":\"12\","));
    text_free(&out);
}

/* --- lists, events and Status ----------------------------------------------------------------- */

#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"

static void list_is_passed_on_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_true(read_list(KUBERNETES_SLICES, "{\"metadata\":{\"resourceVersion\":\"41\"},"
                                             "\"items\":[" ITEM("a") "," ITEM("b") "]}"));
    assert_string_equal(names, "begin a/0 b/0");
    assert_string_equal(version, "41");
    assert_true(read_list(KUBERNETES_LEASES, "{\"metadata\":{\"resourceVersion\":\"42\"},"
                                             "\"items\":null}"));
    assert_string_equal(names, "begin");
    assert_false(read_list(KUBERNETES_SLICES, "{\"metadata\":{\"resourceVersion\":\"43\"},"
                                              "\"items\":[" ITEM("a") ",{}]}"));
    assert_string_equal(names, "");
    assert_string_equal(version, "42");
}

static void malformed_lists_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "[]",
        "{}",
        "{\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":41},\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"4&watch=0\"},\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"4\"},\"items\":{}}",
        "{\"metadata\":{\"resourceVersion\":\"4\"},\"items\":[{\"metadata\":{\"name\":\"a\"},"
        "\"endpoints\":{}}]}",
        "{\"metadata\":{\"resourceVersion\":\"4\"},\"items\":[{\"metadata\":{\"name\":\"a\"},"
        "\"endpoints\":[{\"zone\":1}]}]}",
        "{\"metadata\":{\"resourceVersion\":\"4\"},\"items\":[{\"metadata\":{\"name\":\"a\"},"
        "\"endpoints\":[{\"conditions\":{\"terminating\":\"yes\"}}]}]}",
        "{\"metadata\":{\"resourceVersion\":\"4\"},\"items\":[{\"metadata\":{\"name\":\"a\"},"
        "\"ports\":[{\"name\":1}]}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_false(read_list(KUBERNETES_SLICES, bodies[i]));
}

static void events_are_read(void **state)
{
    (void)state;
    assert_true(read_event(KUBERNETES_SLICES,
                           "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\","
                           "\"resourceVersion\":\"8\"}}}"));
    assert_int_equal(event.type, KUBERNETES_MODIFIED);
    assert_string_equal(event.object.name, "a");
    assert_true(read_event(KUBERNETES_SLICES, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":"
                                              "{\"resourceVersion\":\"9\"}}}"));
    assert_int_equal(event.type, KUBERNETES_BOOKMARK);
    assert_string_equal(event.object.version, "9");
    assert_true(read_event(KUBERNETES_SLICES,
                           "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
                           "\"message\":\"too old resource version\"}}"));
    assert_int_equal(event.type, KUBERNETES_ERROR);
    assert_int_equal(event.status.code, 410);
    assert_string_equal(event.status.message, "too old resource version");
}

static void malformed_events_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "1",
        "{\"type\":\"ADDED\"}",
        "{\"type\":\"RENAMED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"8\"}}"
        "}",
        "{\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"8\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\"}}}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"8\"},"
        "\"spec\":{\"leaseDurationSeconds\":\"15\"}}}",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_false(read_event(KUBERNETES_LEASES, lines[i]));
}

static void status_is_read_from_anything(void **state)
{
    (void)state;
    struct kubernetes_status status;
    kubernetes_read_status(SLICE("{\"code\":403,\"message\":\"forbidden\"}"), &status);
    assert_int_equal(status.code, 403);
    assert_string_equal(status.message, "forbidden");
    kubernetes_read_status(SLICE("<html>"), &status);
    assert_int_equal(status.code, 0);
    assert_string_equal(status.message, "");
    kubernetes_read_status((struct slice){NULL, 0}, &status);
    assert_int_equal(status.code, 0);
}

static void long_message_is_not_cut_within_a_character(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        struct kubernetes_status status;
        char body[1200];
        snprintf(body, sizeof body, "{\"message\":\"%.*s", shift, "aaa");
        for (int i = 0; i < 200; i++)
            strcat(body, "\xe2\x82\xac");
        strcat(body, "\"}");
        kubernetes_read_status(slice_of(body), &status);
        assert_in_range(strlen(status.message), KUBERNETES_TEXT_BYTES - 3, KUBERNETES_TEXT_BYTES);
        assert_true(text_is_utf8(slice_of(status.message)));
    }
}

static void list_without_memory_is_refused(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        failing_malloc_after(n);
        bool is_read = read_list(KUBERNETES_SLICES, "{\"metadata\":{\"resourceVersion\":\"41\"},"
                                                    "\"items\":[" ITEM("a") "]}");
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        if (!has_failed) {
            assert_true(is_read);
            break;
        }
        assert_false(is_read);
        assert_string_equal(names, "");
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(endpoint_has_its_address_pod_zone_and_state),
        TEST(address_has_one_form_and_names_are_left_out),
        TEST(port_is_found_by_name_or_number),
        TEST(endpoints_beyond_the_limit_are_counted),
        TEST(lease_has_the_address_of_its_holder),
        TEST(long_holder_is_no_address),
        TEST(duration_of_a_lease_has_limits),
        TEST(lease_is_written_as_the_api_wants_it),
        TEST(list_is_passed_on_whole_or_not_at_all),
        TEST(malformed_lists_are_refused),
        TEST(events_are_read),
        TEST(malformed_events_are_refused),
        TEST(status_is_read_from_anything),
        TEST(long_message_is_not_cut_within_a_character),
        TEST(list_without_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
