/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/consul/consul_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/backoff.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-server/cluster/providers/member_address.h"

enum {
    MS_PER_SEC = 1000,
    UPDATES = 3, /* in a time-to-live */
    TIMEOUT_MIN_MS = 300,
    TIMEOUT_MAX_MS = 3000,
    READ_TIMEOUT_MS = 10000, /* of a query that does not block: Consul waits 7 s for a leader */
    WAIT_JITTER = 16,        /* Consul blocks up to a sixteenth longer */
    RETRY_MAX_MS = 2000,
    DEREGISTER_MINUTES = 10, /* after that time in state critical; at least 1 */
    HTTP_NOT_FOUND = 404,
    HTTP_SERVER_ERROR = 500,
};

/* Where the check is unknown, old versions of Consul answer 500 with this text. */
#define UNKNOWN_CHECK "does not have associated TTL"

/* The bytes that a path may have as they are. The others become ~XX. */
static void write_id(char out[CONSUL_ID_BYTES], const char *service, const char *node_id)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = (size_t)snprintf(out, CONSUL_ID_BYTES, "%s-", service);
    for (const char *c = node_id; *c; c++)
        size += (size_t)snprintf(out + size, CONSUL_ID_BYTES - size,
                                 strchr(safe, *c) ? "%c" : "~%02X", (unsigned char)*c);
}

void consul_plan_init(struct consul_plan *plan, const struct config *config, const char *peer_url)
{
    *plan = (struct consul_plan){
        .config = config,
        .settings = config,
        .peer_url = peer_url,
        .ttl_ms = config->cluster.consul.ttl_secs * (uint64_t)MS_PER_SEC,
    };
    write_id(plan->id, config->cluster.consul.service, config->server.node_id);
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The list is read again. The nodes that are missing stay, and their time begins with the next
 * list. */
static void read_again(struct consul_plan *plan)
{
    plan->index = 0;
    for (size_t i = 0; i < plan->count; i++)
        plan->nodes[i].keep_until_ms = 0;
}

static void begin_again(struct consul_task *task, uint64_t now_ms)
{
    task->is_calling = false;
    task->due_ms = now_ms;
}

void consul_plan_set_settings(struct consul_plan *plan, const struct config *settings,
                              uint64_t now_ms)
{
    plan->settings = settings;
    plan->ttl_ms = settings->cluster.consul.ttl_secs * (uint64_t)MS_PER_SEC;
    plan->is_registered = plan->is_updated = false;
    begin_again(&plan->registration, now_ms);
    begin_again(&plan->reading, now_ms);
    read_again(plan);
    plan->own_until_ms = plan->is_missing = 0;
}

/* --- steps ------------------------------------------------------------------------------------ */

static struct consul_task *task_of(struct consul_plan *plan, enum consul_step step)
{
    return step == CONSUL_READ ? &plan->reading : &plan->registration;
}

static bool is_due(const struct consul_task *task, uint64_t now_ms)
{
    return !task->is_calling && now_ms >= task->due_ms;
}

enum consul_step consul_plan_next(const struct consul_plan *plan, uint64_t now_ms)
{
    if (is_due(&plan->registration, now_ms))
        return plan->is_registered ? CONSUL_UPDATE : CONSUL_REGISTER;
    return is_due(&plan->reading, now_ms) ? CONSUL_READ : CONSUL_NO_STEP;
}

uint64_t consul_plan_due_ms(const struct consul_plan *plan)
{
    uint64_t due_ms = UINT64_MAX;
    if (!plan->registration.is_calling)
        due_ms = plan->registration.due_ms;
    if (!plan->reading.is_calling)
        due_ms = lower(due_ms, plan->reading.due_ms);
    if (plan->own_until_ms && !plan->is_missing)
        due_ms = lower(due_ms, plan->own_until_ms);
    return lower(due_ms, found_nodes_due_ms(plan->nodes, plan->count));
}

uint64_t consul_plan_timeout_ms(const struct consul_plan *plan, enum consul_step step)
{
    uint64_t timeout_ms = lower(plan->ttl_ms / UPDATES, TIMEOUT_MAX_MS);
    uint64_t wait_ms = plan->index > 0 ? CONSUL_WAIT_SECS * (uint64_t)MS_PER_SEC : 0;
    if (step == CONSUL_READ)
        return READ_TIMEOUT_MS + wait_ms + wait_ms / WAIT_JITTER;
    return timeout_ms > TIMEOUT_MIN_MS ? timeout_ms : TIMEOUT_MIN_MS;
}

/* --- requests --------------------------------------------------------------------------------- */

static void name(struct json_writer *w, const char *name)
{
    jw_verbatim_name(w, slice_of(name));
}

static void write_meta(const struct consul_plan *plan, const char *scheme, struct json_writer *w)
{
    const struct config *config = plan->config;
    name(w, "Meta");
    jw_open(w, '{');
    name(w, "node_id"), jw_string(w, config->server.node_id);
    name(w, "region"), jw_string(w, config->server.region);
    name(w, "zone"), jw_string(w, config->server.zone);
    name(w, "scheme"), jw_string(w, scheme);
    jw_close(w, '}');
}

static void write_check(const struct consul_plan *plan, struct json_writer *w)
{
    char text[CONSUL_ID_BYTES + 16];
    name(w, "Check");
    jw_open(w, '{');
    snprintf(text, sizeof(text), "service:%s", plan->id);
    name(w, "CheckID"), jw_string(w, text);
    name(w, "Name"), jw_string(w, "updated by the node");
    snprintf(text, sizeof(text), "%" PRIu64 "s", plan->ttl_ms / MS_PER_SEC);
    name(w, "TTL"), jw_string(w, text);
    name(w, "Status"), jw_string(w, "passing");
    snprintf(text, sizeof(text), "%dm", DEREGISTER_MINUTES);
    name(w, "DeregisterCriticalServiceAfter"), jw_string(w, text);
    jw_close(w, '}');
}

static void write_registration(const struct consul_plan *plan, struct json_writer *w)
{
    char url[MEMBER_URL_BYTES];
    snprintf(url, sizeof(url), "%s", plan->peer_url);
    char *scheme_end = strstr(url, "://");
    char *colon = strrchr(url, ':');
    assert(scheme_end && colon > scheme_end);
    char *host = scheme_end + 3;
    *scheme_end = *colon = '\0';
    if (host[0] == '[') { /* an IPv6 address, which has no brackets in Consul */
        host++;
        host[strcspn(host, "]")] = '\0';
    }
    name(w, "ID"), jw_string(w, plan->id);
    name(w, "Name"), jw_string(w, plan->settings->cluster.consul.service);
    name(w, "Address"), jw_string(w, host);
    name(w, "Port"), jw_u64(w, strtoul(colon + 1, NULL, 10));
    write_meta(plan, url, w);
    write_check(plan, w);
}

static void write_update(const struct consul_plan *plan, struct json_writer *w)
{
    (void)plan;
    name(w, "Status"), jw_string(w, "passing");
}

static const struct {
    const char *method, *path;
    void (*write)(const struct consul_plan *plan,
                  struct json_writer *w); /* the fields of the body */
} requests[CONSUL_NO_STEP] = {
    [CONSUL_REGISTER] = {"PUT", "/v1/agent/service/register", write_registration},
    [CONSUL_UPDATE] = {"PUT", "/v1/agent/check/update/service:", write_update},
    [CONSUL_READ] = {"GET", "/v1/health/service/", NULL},
    [CONSUL_DEREGISTER] = {"PUT", "/v1/agent/service/deregister/", NULL},
};

const char *consul_plan_method(enum consul_step step)
{
    return requests[step].method;
}

static void write_url(const struct consul_plan *plan, enum consul_step step, struct text *url)
{
    const char *address = plan->settings->cluster.consul.address;
    text_printf(url, "%s%s%s", strstr(address, "://") ? "" : "http://", address,
                requests[step].path);
    if (step == CONSUL_UPDATE || step == CONSUL_DEREGISTER)
        text_append_string(url, plan->id);
    if (step == CONSUL_READ)
        text_printf(url, "%s?passing", plan->settings->cluster.consul.service);
    if (step == CONSUL_READ && plan->index > 0)
        text_printf(url, "&index=%" PRIu64 "&wait=%ds", plan->index, CONSUL_WAIT_SECS);
}

bool consul_plan_write(const struct consul_plan *plan, enum consul_step step, struct text *url,
                       struct text *body)
{
    write_url(plan, step, url);
    if (requests[step].write) {
        struct json_writer w = jw_to(body, CASING_SNAKE);
        jw_open(&w, '{');
        requests[step].write(plan, &w);
        jw_close(&w, '}');
    }
    return !text_failed(url) && !text_failed(body);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void remove_node(struct consul_plan *plan, size_t number)
{
    plan->nodes[number] = plan->nodes[--plan->count];
    plan->changed = "a node has left, or its check is not passing";
    if (plan->left_out > 0)
        plan->index = 0; /* another has a place now */
}

static void set_node(struct consul_plan *plan, const char *url)
{
    size_t i = 0;
    while (i < plan->count && strcmp(plan->nodes[i].url, url) != 0)
        i++;
    if (i == MEMBERS_MAX) {
        plan->left_out++;
        return;
    }
    if (i == plan->count) {
        snprintf(plan->nodes[i].url, sizeof(plan->nodes[i].url), "%s", url);
        plan->count++;
        plan->changed = "a node has registered";
    }
    plan->nodes[i].is_seen = true;
    plan->nodes[i].keep_until_ms = 0;
}

static void on_instance(void *context, const struct consul_instance *instance)
{
    struct consul_plan *plan = context;
    bool has_own_id = strcmp(instance->id, plan->id) == 0;
    plan->is_empty = false;
    if (has_own_id && strcmp(instance->url, plan->peer_url) == 0) {
        plan->has_own = true;
        return;
    }
    plan->has_double |= has_own_id;
    if (member_address_is_url(plan->config, instance->url))
        set_node(plan, instance->url);
    else
        snprintf(plan->invalid, sizeof(plan->invalid), "%.160s", instance->id);
}

/* Returns why the list is of no use; NULL: it was read. Then the nodes that it lacks are removed,
 * or get their time. */
static const char *read_list(struct consul_plan *plan, struct slice body, bool is_reread,
                             uint64_t now_ms)
{
    for (size_t i = 0; i < plan->count; i++)
        plan->nodes[i].is_seen = false;
    plan->left_out = 0;
    plan->invalid[0] = '\0';
    plan->has_own = plan->has_double = false;
    plan->is_empty = true;
    if (!consul_read_instances(body, on_instance, plan))
        return "the response is not a valid list of instances";
    if (plan->is_empty && plan->was_updated && plan->count > 0) {
        plan->registration.due_ms = lower(plan->registration.due_ms, now_ms); /* or it is lost */
        return "the list is empty, although this node has registered; the ACL rules may lack "
               "service:read";
    }
    for (size_t i = plan->count; i-- > 0;) {
        struct found_node *node = &plan->nodes[i];
        if (!node->is_seen && !is_reread && !node->keep_until_ms)
            remove_node(plan, i);
        else if (!node->is_seen && !node->keep_until_ms)
            node->keep_until_ms = now_ms + plan->ttl_ms;
    }
    if (!plan->has_list)
        plan->changed = "the instances in Consul";
    plan->has_list = true;
    return NULL;
}

static void note_own(struct consul_plan *plan, uint64_t now_ms)
{
    if (plan->has_own || plan->own_until_ms == 0)
        plan->own_until_ms = plan->has_own ? 0 : now_ms + plan->ttl_ms;
    plan->is_missing &= !plan->has_own;
}

/* --- results ---------------------------------------------------------------------------------- */

void consul_plan_on_start(struct consul_plan *plan, enum consul_step step, uint64_t now_ms)
{
    task_of(plan, step)->is_calling = true;
    if (step == CONSUL_READ)
        plan->read_ms = now_ms;
    plan->may_be_registered |= step == CONSUL_REGISTER;
}

static void fail(struct consul_plan *plan, struct consul_task *task, const char *problem,
                 uint64_t random, uint64_t now_ms)
{
    snprintf(plan->problem, sizeof(plan->problem), "%s", problem);
    plan->failures++;
    task->failures++;
    task->is_calling = false;
    task->due_ms = now_ms + lower(backoff_ms(task->failures, random), RETRY_MAX_MS);
    if (task == &plan->reading)
        read_again(plan);
}

/* An agent that had registered the check before keeps its state, so the first update is at once. */
void consul_plan_on_success(struct consul_plan *plan, enum consul_step step, uint64_t now_ms)
{
    struct consul_task *task = &plan->registration;
    task->is_calling = false;
    if (step == CONSUL_REGISTER) {
        plan->is_registered = true;
        plan->is_updated = false;
        task->due_ms = now_ms;
        return;
    }
    task->failures = 0;
    plan->is_updated = plan->was_updated = true;
    task->due_ms = now_ms + plan->ttl_ms / UPDATES;
}

static const char *read_response(struct consul_plan *plan, const struct consul_list *list,
                                 uint64_t now_ms)
{
    uint64_t index;
    if (list->filtered && strcmp(list->filtered, "true") == 0)
        return "the list is not complete: the ACL token lacks service:read or node:read";
    if (!consul_read_index(list->index, &index))
        return "the response has no valid X-Consul-Index";
    bool has_gone_back = index < plan->index;
    bool is_reread = plan->index == 0 || has_gone_back;
    plan->index = has_gone_back ? 0 : index; /* before a removal may reset it */
    return read_list(plan, list->body, is_reread, now_ms);
}

void consul_plan_on_list(struct consul_plan *plan, const struct consul_list *list, uint64_t random,
                         uint64_t now_ms)
{
    char problem[CONSUL_PROBLEM_BYTES];
    const char *reason = read_response(plan, list, now_ms);
    if (reason) {
        snprintf(problem, sizeof(problem), "%.200s%s%.63s: %.180s",
                 plan->settings->cluster.consul.address, requests[CONSUL_READ].path,
                 plan->settings->cluster.consul.service, reason);
        fail(plan, &plan->reading, problem, random, now_ms);
        return;
    }
    if (plan->reading.failures > 0)
        plan->registration.due_ms = lower(plan->registration.due_ms, now_ms);
    plan->reading.failures = 0;
    plan->reading.is_calling = false;
    plan->reading.due_ms = plan->read_ms + CONSUL_READ_INTERVAL_MS;
    note_own(plan, now_ms);
}

/* Whether the agent does not know the check: it has lost it, and gets the registration again. */
static bool is_unknown_check(const struct consul_plan *plan, enum consul_step step, long status,
                             struct slice body)
{
    return step == CONSUL_UPDATE && plan->is_registered &&
           (status == HTTP_NOT_FOUND ||
            (status == HTTP_SERVER_ERROR && body.data &&
             memmem(body.data, body.size, UNKNOWN_CHECK, strlen(UNKNOWN_CHECK))));
}

void consul_plan_on_failure(struct consul_plan *plan, enum consul_step step, long status,
                            struct slice body, const char *problem, uint64_t random,
                            uint64_t now_ms)
{
    char text[CONSUL_PROBLEM_BYTES];
    char message[CONSUL_MESSAGE_BYTES];
    if (step == CONSUL_DEREGISTER && status == HTTP_NOT_FOUND)
        return; /* the agent has lost it */
    if (is_unknown_check(plan, step, status, body)) {
        plan->is_registered = false;
        if (plan->is_updated) { /* otherwise it has lost the registration at once: a failure */
            plan->registration.is_calling = false;
            plan->registration.due_ms = now_ms;
            return;
        }
    }
    /* The body of a success, which was cut off, is no message. */
    bool has_message = status != 0 && status / 100 != 2;
    consul_read_message(has_message ? body : (struct slice){0}, message);
    snprintf(text, sizeof(text), "%.300s%s%s", problem, message[0] ? ": " : "", message);
    fail(plan, task_of(plan, step), text, random, now_ms);
}

/* --- the list --------------------------------------------------------------------------------- */

void consul_plan_expire(struct consul_plan *plan, uint64_t now_ms)
{
    plan->is_missing = plan->own_until_ms && now_ms >= plan->own_until_ms;
    size_t expired;
    while ((expired = found_nodes_expired(plan->nodes, plan->count, now_ms)) < plan->count)
        remove_node(plan, expired);
}

bool consul_plan_take_list(struct consul_plan *plan, struct member_list *out, const char **reason)
{
    if (!plan->changed || !plan->has_list)
        return false;
    found_nodes_write(plan->nodes, plan->count, plan->config, out);
    *reason = plan->changed;
    plan->changed = NULL;
    return true;
}

bool consul_plan_is_well(const struct consul_plan *plan)
{
    return plan->registration.failures == 0 && plan->reading.failures == 0;
}

bool consul_plan_warning(const struct consul_plan *plan, char out[CONSUL_WARNING_BYTES])
{
    out[0] = '\0';
    if (plan->has_double && (plan->has_own || plan->is_missing))
        snprintf(out, CONSUL_WARNING_BYTES,
                 "another node is registered with the id of this one; node ids must be unique");
    else if (plan->left_out > 0)
        snprintf(out, CONSUL_WARNING_BYTES,
                 "more nodes are registered than a topology can have; %zu are left out",
                 plan->left_out);
    else if (plan->invalid[0])
        snprintf(out, CONSUL_WARNING_BYTES,
                 "%.160s: its registration has no valid address; it is left out", plan->invalid);
    else if (plan->is_missing && plan->is_updated)
        snprintf(out, CONSUL_WARNING_BYTES,
                 "this node is registered, but is not in the list of passing instances; its agent "
                 "may be failing, or the ACL token lacks service:read or node:read");
    return out[0];
}
