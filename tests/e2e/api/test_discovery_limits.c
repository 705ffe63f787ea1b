/* SPDX-License-Identifier: Apache-2.0
 *
 * The size of responses: one of lookup with a list, and one of services-delta, has at most 16 MiB.
 * A response that is just below is served. A lookup with a list goes over a million instances at
 * most, whatever its filter leaves out.
 */
#include "tests/support/client/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SERVICES = 7,
    PER_SERVICE = 300, /* with VALUE_BYTES more than 2.3 MiB, but no more than fits a request */
    VALUE_BYTES = 8000,
};

static json_int_t version_before[2]; /* before the first service, and before the second one */
static json_int_t version_after;     /* the last one */

static void register_large(struct http *http, int service)
{
    char item[VALUE_BYTES + 256];
    char id[16];
    int size = snprintf(item, sizeof item, "{" INSTANCE_FIELDS ",'metadata':{'v':'%0*d'}}", "%s",
                        "%s", VALUE_BYTES, 0);
    assert_in_range(size, VALUE_BYTES, sizeof item - 1);
    snprintf(id, sizeof id, "s%d", service);
    char *body = call_list_body("instances", item, id, 0, PER_SERVICE);
    check_status(call_post_bytes(http, REGISTER, body, strlen(body)), 200, "success", NULL);
    free(body);
}

static int start(void **state)
{
    fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", NULL});
    struct http *http = ((struct fixture *)*state)->http;
    for (int i = 0; i < SERVICES; i++) {
        if (i < 2)
            version_before[i] = call_version(http);
        register_large(http, i);
    }
    version_after = call_version(http);
    return 0;
}

static struct http_response *look_up(struct http *http, int services)
{
    char body[512] = "{'discovery_configs':[";
    for (int i = 0; i < services; i++)
        snprintf(body + strlen(body), sizeof body - strlen(body), "%s{'service_id':'s%d'}",
                 i ? "," : "", i);
    strcat(body, "]}");
    return http_post(http, "/api/discovery/lookup", "%s", body);
}

static void lookup_of_more_than_16_mib_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = look_up(http, SERVICES);
    check_status(response, 400, "bad-request", "too-large");
    check_json(response, "response_status.error_message",
               "'discovery_configs: the response exceeds 16777216 bytes at item 6 of 7; send fewer "
               "items per request'");
    response = look_up(http, SERVICES - 1);
    check_status(response, 200, "success", NULL);
    check_count(response, "services", SERVICES - 1);
}

/* No instance matches, so that the response stays small. */
static struct http_response *look_up_often(struct http *http, size_t times)
{
    static const char item[] = "{'service_id':'%s','zone_id':'%s'}";
    char *body = call_list_body("discovery_configs", item, "s0", 0, times);
    struct http_response *response =
        call_post_bytes(http, "/api/discovery/lookup?zone=nowhere", body, strlen(body));
    free(body);
    return response;
}

static void lookup_of_more_than_a_million_instances_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    const size_t most = 1000000 / PER_SERVICE;
    struct http_response *response = look_up_often(http, most + 2);
    check_status(response, 400, "bad-request", "too-large");
    check_json(response, "response_status.error_message",
               "'discovery_configs: the services have more than 1000000 instances at item 3333 of "
               "3335; send fewer items per request'");
    response = look_up_often(http, most);
    check_status(response, 200, "success", NULL);
    check_count(response, "services", most);
}

static struct http_response *changes_since(struct http *http, json_int_t version)
{
    return http_post(http, "/api/discovery/services-delta", "{'version':%" JSON_INTEGER_FORMAT "}",
                     version);
}

static void delta_of_more_than_16_mib_is_gone(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = changes_since(http, version_before[0]);
    check_status(response, 200, "bad-request", "version-gone");
    check_absent(response, "delta");
    response = changes_since(http, version_before[1]);
    check_status(response, 200, "success", NULL);
    check_count(response, "delta", SERVICES - 1);
    check_json(changes_since(http, version_after), "delta", "{}");
    assert_true(call_metric(http, "artemis_changelog_entries") == SERVICES * PER_SERVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_of_more_than_16_mib_is_refused),
        cmocka_unit_test(lookup_of_more_than_a_million_instances_is_refused),
        cmocka_unit_test(delta_of_more_than_16_mib_is_gone),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, fixture_stop));
}
