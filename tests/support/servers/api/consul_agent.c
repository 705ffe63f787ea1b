/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/api/consul_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

enum { FIRST_INDEX = 1000, DEREGISTER_MS_MIN = 60000 };

#define REGISTER   "/v1/agent/service/register"
#define DEREGISTER "/v1/agent/service/deregister/"
#define UPDATE     "/v1/agent/check/update/service:"
#define HEALTH     "/v1/health/service/"

/* --- services --------------------------------------------------------------------------------- */

/* The lock is held in all of these. */

static void change(struct consul_agent *agent)
{
    agent->index++;
    pthread_cond_broadcast(&agent->http.on_change);
}

static struct consul_service *find(struct consul_agent *agent, const char *id)
{
    for (size_t i = 0; i < agent->count; i++)
        if (strcmp(agent->services[i].id, id) == 0)
            return &agent->services[i];
    return NULL;
}

/* Checks whose time has run out become critical. */
static void expire(struct consul_agent *agent)
{
    for (size_t i = 0; i < agent->count; i++) {
        struct consul_service *service = &agent->services[i];
        if (service->ttl_ms == 0 || !service->is_passing || wait_now_ms() < service->deadline_ms)
            continue;
        service->is_passing = false;
        change(agent);
    }
}

/* The state of the check of a service that is registered already stays. */
static void put(struct consul_agent *agent, const struct consul_service *service)
{
    struct consul_service *known = find(agent, service->id);
    struct consul_service added = *service;
    if (known && known->ttl_ms > 0) {
        added.is_passing = known->is_passing;
        added.deadline_ms = known->deadline_ms;
    }
    assert_true(known || agent->count < CONSUL_SERVICES_MAX);
    *(known ? known : &agent->services[agent->count++]) = added;
    change(agent);
}

/* --- registrations ---------------------------------------------------------------------------- */

/* "10s" or "2m"; 0: it is none. */
static int64_t duration_ms(json_t *value)
{
    char *end = NULL;
    const char *text = json_string_value(value);
    long number = text ? strtol(text, &end, 10) : 0;
    if (number <= 0 || (strcmp(end, "s") != 0 && strcmp(end, "m") != 0))
        return 0;
    return number * (end[0] == 's' ? 1000 : 60000);
}

static void copy(json_t *value, char *out, size_t size)
{
    snprintf(out, size, "%s", json_is_string(value) ? json_string_value(value) : "");
}

static bool read_service(json_t *body, struct consul_service *out)
{
    char check_id[sizeof out->id + 16];
    char expected[sizeof out->id + 16];
    json_t *check = json_object_get(body, "Check");
    const char *status = json_string_value(json_object_get(check, "Status"));
    *out = (struct consul_service){0};
    copy(json_object_get(body, "ID"), out->id, sizeof out->id);
    copy(json_object_get(body, "Name"), out->name, sizeof out->name);
    copy(json_object_get(body, "Address"), out->address, sizeof out->address);
    copy(json_object_get(json_object_get(body, "Meta"), "scheme"), out->scheme, sizeof out->scheme);
    copy(json_object_get(check, "CheckID"), check_id, sizeof check_id);
    snprintf(expected, sizeof expected, "service:%s", out->id);
    out->port = (unsigned)json_integer_value(json_object_get(body, "Port"));
    out->ttl_ms = duration_ms(json_object_get(check, "TTL"));
    out->deadline_ms = wait_now_ms() + out->ttl_ms;
    out->is_passing = status && strcmp(status, "passing") == 0;
    return out->id[0] && out->name[0] && out->ttl_ms > 0 && strcmp(check_id, expected) == 0 &&
           duration_ms(json_object_get(check, "DeregisterCriticalServiceAfter")) >=
               DEREGISTER_MS_MIN;
}

static enum MHD_Result respond_register(struct consul_agent *agent,
                                        struct MHD_Connection *connection, const char *rest,
                                        const char *body)
{
    struct consul_service service;
    json_t *root = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    bool is_valid = rest[0] == '\0' && read_service(root, &service);
    json_decref(root);
    agent->registrations++;
    if (!is_valid)
        return json_api_respond(connection, 400, "Invalid service or check", NULL);
    put(agent, &service);
    return json_api_respond(connection, 200, "", NULL);
}

static enum MHD_Result respond_update(struct consul_agent *agent, struct MHD_Connection *connection,
                                      const char *id, const char *body)
{
    char text[512];
    struct consul_service *service = find(agent, id);
    json_t *root = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    const char *status = json_string_value(json_object_get(root, "Status"));
    bool is_passing = status && strcmp(status, "passing") == 0;
    json_decref(root);
    agent->updates++;
    if (!is_passing)
        return json_api_respond(connection, 400, "Invalid check status", NULL);
    snprintf(text, sizeof text,
             "Unknown check ID \"service:%s\". Ensure that the check ID is passed, not the check "
             "name.",
             id);
    if (!service || service->ttl_ms == 0)
        return json_api_respond(connection, 404, text, NULL);
    service->deadline_ms = wait_now_ms() + service->ttl_ms;
    if (!service->is_passing)
        change(agent);
    service->is_passing = true;
    return json_api_respond(connection, 200, "", NULL);
}

static enum MHD_Result respond_deregister(struct consul_agent *agent,
                                          struct MHD_Connection *connection, const char *id,
                                          const char *body)
{
    struct consul_service *service = find(agent, id);
    (void)body;
    agent->deregistrations++;
    if (!service)
        return json_api_respond(connection, 404, "Unknown service ID", NULL);
    *service = agent->services[--agent->count];
    change(agent);
    return json_api_respond(connection, 200, "", NULL);
}

/* --- queries ---------------------------------------------------------------------------------- */

static json_t *entry_of(const struct consul_service *service)
{
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:[], s:s, s:{s:s}, s:i},"
                     " s:[{s:s, s:s}, {s:s, s:s, s:s}]}",
                     "Node", "ID", "40e4a748-2192-161a-0510-9bf59fe950b5", "Node", "agent-1",
                     "Address", "127.0.0.1", "Service", "ID", service->id, "Service", service->name,
                     "Tags", "Address", service->address, "Meta", "scheme", service->scheme, "Port",
                     (int)service->port, "Checks", "CheckID", "serfHealth", "Status", "passing",
                     "CheckID", "service", "ServiceID", service->id, "Status",
                     service->is_passing ? "passing" : "critical");
}

static char *write_list(struct consul_agent *agent, const char *name, bool is_passing)
{
    json_t *list = json_array();
    for (size_t i = 0; i < agent->count && agent->may_read; i++)
        if (strcmp(agent->services[i].name, name) == 0 &&
            (agent->services[i].is_passing || !is_passing))
            json_array_append_new(list, entry_of(&agent->services[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    assert_non_null(text);
    return text;
}

static void block(struct consul_agent *agent, struct MHD_Connection *connection, uint64_t index)
{
    unsigned resets = agent->resets;
    json_t *value = json_string(json_api_argument(connection, "wait"));
    int64_t wait_ms = duration_ms(value);
    int64_t end_ms = wait_now_ms() + wait_ms + (wait_ms > 0 ? random() % (wait_ms / 16 + 1) : 0);
    json_decref(value);
    assert_true(wait_ms > 0);
    agent->blocking++;
    pthread_cond_broadcast(&agent->http.on_change);
    while (agent->index <= index && agent->resets == resets && !agent->http.is_stopping &&
           agent->status == 0 && !agent->list && wait_now_ms() < end_ms) {
        json_api_wait_for_change(&agent->http);
        expire(agent);
    }
    agent->blocking--;
}

static enum MHD_Result respond_health(struct consul_agent *agent, struct MHD_Connection *connection,
                                      const char *name, const char *body)
{
    char index[24];
    const char *asked = json_api_argument(connection, "index");
    const char *headers[] = {"X-Consul-Index", index, "X-Consul-Results-Filtered-By-ACLs", "true",
                             NULL};
    bool is_passing = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "passing", 7,
                                                    NULL, NULL) == MHD_YES;
    (void)body;
    agent->queries++;
    agent->index += agent->changes_with_each_query;
    if (asked && strtoull(asked, NULL, 10) > 0)
        block(agent, connection, strtoull(asked, NULL, 10));
    if (agent->may_read || !agent->token[0]) /* nor does Consul say so without a token */
        headers[2] = NULL;
    if (agent->list) {
        headers[1] = agent->list_index;
        return json_api_respond(connection, 200, agent->list, agent->list_index ? headers : NULL);
    }
    snprintf(index, sizeof index, "%llu", (unsigned long long)agent->index);
    char *text = write_list(agent, name, is_passing);
    enum MHD_Result result = json_api_respond(connection, 200, text, headers);
    free(text);
    return result;
}

/* --- requests --------------------------------------------------------------------------------- */

static const struct {
    const char *method, *path;
    enum MHD_Result (*respond)(struct consul_agent *agent, struct MHD_Connection *connection,
                               const char *rest, const char *body);
} routes[] = {
    {"PUT", REGISTER, respond_register},
    {"PUT", UPDATE, respond_update},
    {"PUT", DEREGISTER, respond_deregister},
    {"GET", HEALTH, respond_health},
};

static bool has_token(struct consul_agent *agent, struct MHD_Connection *connection)
{
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Consul-Token");
    bool has = !agent->token[0] || (given && strcmp(given, agent->token) == 0);
    agent->rejected_tokens += !has;
    return has;
}

/* The lock is held. */
static enum MHD_Result respond(struct consul_agent *agent, struct MHD_Connection *connection,
                               const char *method, const char *path, const char *body)
{
    agent->refused += agent->status != 0;
    if (agent->status)
        return json_api_respond(connection, agent->status, agent->status_text, NULL);
    if (!has_token(agent, connection))
        return json_api_respond(connection, 403, "Permission denied: ACL not found", NULL);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(method, routes[i].method) == 0 &&
            strncmp(path, routes[i].path, strlen(routes[i].path)) == 0)
            return routes[i].respond(agent, connection, path + strlen(routes[i].path), body);
    return json_api_respond(connection, 404, "", NULL);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *method,
                              const char *path, const char *body)
{
    struct consul_agent *agent = context;
    pthread_mutex_lock(&agent->http.lock);
    expire(agent);
    enum MHD_Result result = respond(agent, connection, method, path, body);
    pthread_cond_broadcast(&agent->http.on_change);
    pthread_mutex_unlock(&agent->http.lock);
    return result;
}

/* --- what tests set and read ------------------------------------------------------------------ */

void consul_agent_put(struct consul_agent *agent, const char *id, const char *address,
                      unsigned port)
{
    struct consul_service service = {.name = "artemis", .port = port, .is_passing = true};
    snprintf(service.id, sizeof service.id, "%s", id);
    snprintf(service.address, sizeof service.address, "%s", address);
    snprintf(service.scheme, sizeof service.scheme, "http");
    pthread_mutex_lock(&agent->http.lock);
    put(agent, &service);
    pthread_mutex_unlock(&agent->http.lock);
}

void consul_agent_forget(struct consul_agent *agent)
{
    pthread_mutex_lock(&agent->http.lock);
    agent->count = 0;
    change(agent);
    pthread_mutex_unlock(&agent->http.lock);
}

void consul_agent_reset_index(struct consul_agent *agent)
{
    pthread_mutex_lock(&agent->http.lock);
    agent->index = 1;
    agent->resets++;
    pthread_cond_broadcast(&agent->http.on_change);
    pthread_mutex_unlock(&agent->http.lock);
}

void consul_agent_set_status(struct consul_agent *agent, unsigned status, const char *text)
{
    pthread_mutex_lock(&agent->http.lock);
    agent->status = status;
    agent->status_text = text;
    pthread_cond_broadcast(&agent->http.on_change);
    pthread_mutex_unlock(&agent->http.lock);
}

void consul_agent_set_list(struct consul_agent *agent, const char *list, const char *index)
{
    pthread_mutex_lock(&agent->http.lock);
    agent->list = list;
    agent->list_index = index;
    pthread_cond_broadcast(&agent->http.on_change);
    pthread_mutex_unlock(&agent->http.lock);
}

void consul_agent_set_token(struct consul_agent *agent, const char *token, bool may_read)
{
    pthread_mutex_lock(&agent->http.lock);
    snprintf(agent->token, sizeof agent->token, "%s", token);
    agent->may_read = may_read;
    change(agent);
    pthread_mutex_unlock(&agent->http.lock);
}

bool consul_agent_has(struct consul_agent *agent, const char *id)
{
    pthread_mutex_lock(&agent->http.lock);
    bool has = find(agent, id) != NULL;
    pthread_mutex_unlock(&agent->http.lock);
    return has;
}

/* --- start and stop --------------------------------------------------------------------------- */

void consul_agent_init(struct consul_agent *agent, bool has_tls)
{
    memset(agent, 0, sizeof *agent);
    agent->index = FIRST_INDEX;
    agent->may_read = true;
    json_api_init(&agent->http, has_tls, handle, agent);
}

void consul_agent_free(struct consul_agent *agent)
{
    if (agent->http.handler)
        json_api_free(&agent->http);
    memset(agent, 0, sizeof *agent);
}

void consul_agent_start(struct consul_agent *agent)
{
    json_api_start(&agent->http);
}

void consul_agent_stop(struct consul_agent *agent)
{
    json_api_stop(&agent->http);
}
