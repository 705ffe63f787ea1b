/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/calls.h"

#include "tests/support/client/prometheus.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fixture_start(void **state, const char *const args[])
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    *state = fixture;
    server_process_start(&fixture->server, args, NULL);
    fixture->http = http_new(fixture->server.port);
    return 0;
}

int fixture_stop(void **state)
{
    struct fixture *fixture = *state;
    struct server_process server = fixture->server;
    http_free(fixture->http);
    free(fixture);
    *state = NULL;
    server_process_stop(&server);
    return 0;
}

void call_register(struct http *http, const char *service_id, const char *instance_id)
{
    struct http_response *response =
        http_post(http, REGISTER, "{'instances':[" INSTANCE "]}", service_id, instance_id);
    check_status(response, 200, "success", NULL);
}

struct http_response *call_post_bytes(struct http *http, const char *path, const void *body,
                                      size_t size)
{
    static const char *const fields[] = {"Content-Type: application/json", NULL};
    struct http_request request = {
        .method = "POST",
        .path = path,
        .fields = fields,
        .body = body,
        .body_size = size,
    };
    return http_send(http, &request);
}

char *call_list_body(const char *list, const char *item, const char *service_id, size_t from,
                     size_t count)
{
    char *body = NULL;
    size_t size = 0;
    char instance_id[32];
    FILE *stream = open_memstream(&body, &size);
    assert_non_null(stream);
    fprintf(stream, "{'%s':[", list);
    for (size_t i = from; i < from + count; i++) {
        snprintf(instance_id, sizeof instance_id, "i%zu", i);
        fputs(i > from ? "," : "", stream);
        fprintf(stream, item, service_id, instance_id);
    }
    fputs("]}", stream);
    fclose(stream);
    for (char *at = strchr(body, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    return body;
}

void call_register_many(struct http *http, const char *service_id, size_t count)
{
    char *body = call_list_body("instances", INSTANCE, service_id, 0, count);
    struct http_response *response = call_post_bytes(http, REGISTER, body, strlen(body));
    free(body);
    check_status(response, 200, "success", NULL);
}

void call_register_wide(struct http *http, const char *service_id, int from, int count, int port,
                        const char *text_of(int number))
{
    char *body = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&body, &size);
    assert_non_null(stream);
    fputs("{\"instances\":[", stream);
    for (int i = from; i < from + count; i++)
        fprintf(stream,
                "%s{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"%s\","
                "\"instance_id\":\"i%d\",\"ip\":\"10.0.0.1\",\"port\":%d,"
                "\"metadata\":{\"text\":\"%s\"}}",
                i > from ? "," : "", service_id, i, port, text_of(i));
    fputs("]}", stream);
    fclose(stream);
    check_status(call_post_bytes(http, REGISTER, body, size), 200, "success", NULL);
    free(body);
}

struct http_response *call_with_keys(struct http *http, const char *path, const char *service_id,
                                     size_t from, size_t count)
{
    char *body = call_list_body("instance_keys", KEY, service_id, from, count);
    struct http_response *response = call_post_bytes(http, path, body, strlen(body));
    free(body);
    return response;
}

int call_count(struct http *http, const char *service_id)
{
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=%s", service_id);
    check_http(response, 200);
    const json_t *instances = check_find(response->json, "service.instances");
    return instances != NULL ? (int)json_array_size(instances) : -1;
}

bool call_shows(struct http *http, const char *service_id, const char *instance_id)
{
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=%s", service_id);
    check_http(response, 200);
    size_t i;
    const json_t *instance;
    json_array_foreach(check_find(response->json, "service.instances"), i, instance)
    {
        const char *id = json_string_value(json_object_get(instance, "instance_id"));
        if (id != NULL && strcmp(id, instance_id) == 0) {
            return true;
        }
    }
    return false;
}

json_int_t call_version(struct http *http)
{
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_status(response, 200, "success", NULL);
    json_int_t version = check_integer(response, "version");
    assert_true(version >= 0);
    return version;
}

double call_metric(struct http *http, const char *name)
{
    struct http_response *response = http_get(http, "/metrics");
    check_http(response, 200);
    return prometheus_sum(response->body, name, "");
}

struct wanted_metric {
    struct http *http;
    const char *name;
    double value;
    double found;
};

static bool has_value(void *context)
{
    struct wanted_metric *wanted = context;
    wanted->found = call_metric(wanted->http, wanted->name);
    return wanted->found == wanted->value;
}

void call_wait_metric(struct http *http, const char *name, double value)
{
    struct wanted_metric wanted = {http, name, value, -1};
    if (!wait_until(has_value, &wanted, wait_deadline_ms())) {
        fail_msg("%s is %.0f and does not get %.0f", name, wanted.found, value);
    }
}
