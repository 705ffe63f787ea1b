/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/base/backoff.h"
#include "artemis-core/base/base64.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-server/cluster/providers/member_address.h"

enum {
    MS_PER_SEC = 1000,
    TTL_SECS_MAX = 24 * 60 * 60, /* of a lease; etcd may answer more than was asked for */
    RENEWALS = 3,                /* in a time-to-live */
    TIMEOUT_MIN_MS = 300,
    TIMEOUT_MAX_MS = 3000,
    RETRY_MAX_MS = 2000,
    STEADY_MS = 10000, /* without a pause: the next one is short again */
    VOTERS_INTERVAL_MS = 60000,
    WATCH_MS_MAX = 10000, /* until a watch is confirmed */
    HTTP_UNAUTHORIZED = 401,
    HTTP_NOT_FOUND = 404,
};

void etcd_plan_init(struct etcd_plan *plan, const struct config *config, const char *peer_url)
{
    const char *prefix = config->cluster.etcd.prefix;
    size_t size = strlen(prefix);
    *plan = (struct etcd_plan){
        .config = config,
        .settings = config,
        .peer_url = peer_url,
        .has_user = config->cluster.etcd.credentials_file[0],
        .ttl_ms = config->cluster.etcd.ttl_secs * (uint64_t)MS_PER_SEC,
    };
    while (size > 0 && prefix[size - 1] == '/')
        size--;
    snprintf(plan->prefix, sizeof(plan->prefix), "%.*s/", (int)size, prefix);
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- steps ------------------------------------------------------------------------------------ */

enum etcd_step etcd_plan_next(const struct etcd_plan *plan, uint64_t now_ms)
{
    if (plan->is_calling || now_ms < plan->retry_ms)
        return ETCD_NO_STEP;
    if (plan->has_user && !plan->token[0])
        return ETCD_AUTHENTICATE;
    if (plan->lease && now_ms >= plan->renew_ms)
        return ETCD_RENEW;
    if (!plan->has_read)
        return ETCD_READ;
    if (!plan->is_watching)
        return ETCD_WATCH;
    if (!plan->lease)
        return ETCD_GRANT;
    if (!plan->is_registered)
        return ETCD_PUT;
    return now_ms >= plan->voters_ms ? ETCD_VOTERS : ETCD_NO_STEP;
}

static uint64_t step_due_ms(const struct etcd_plan *plan)
{
    if (plan->is_calling)
        return UINT64_MAX;
    if (etcd_plan_next(plan, plan->retry_ms) != ETCD_NO_STEP)
        return plan->retry_ms;
    return lower(plan->renew_ms, plan->voters_ms);
}

uint64_t etcd_plan_due_ms(const struct etcd_plan *plan)
{
    uint64_t due_ms = step_due_ms(plan);
    if (plan->is_watching && !plan->is_watched)
        due_ms = lower(due_ms, plan->watch_until_ms);
    return lower(due_ms, found_nodes_due_ms(plan->nodes, plan->count));
}

uint64_t etcd_plan_timeout_ms(const struct etcd_plan *plan)
{
    uint64_t timeout_ms = lower(plan->ttl_ms / RENEWALS, TIMEOUT_MAX_MS);
    return timeout_ms > TIMEOUT_MIN_MS ? timeout_ms : TIMEOUT_MIN_MS;
}

/* --- requests --------------------------------------------------------------------------------- */

static void write_bytes(struct json_writer *w, const char *name, struct slice bytes)
{
    jw_name(w, name);
    text_append_char(w->out, '"');
    base64_append(w->out, bytes);
    text_append_char(w->out, '"');
    w->comma = true;
}

/* All keys with the prefix: up to the one with the next higher last byte, which follows '/'. */
static void write_range(const struct etcd_plan *plan, struct json_writer *w)
{
    char end[ETCD_PREFIX_BYTES];
    snprintf(end, sizeof(end), "%s", plan->prefix);
    end[strlen(end) - 1]++;
    write_bytes(w, "key", slice_of(plan->prefix));
    write_bytes(w, "range_end", slice_of(end));
}

static void write_watch(const struct etcd_plan *plan, struct json_writer *w)
{
    jw_name(w, "create_request");
    jw_open(w, '{');
    write_range(plan, w);
    jw_name(w, "start_revision"), jw_u64(w, plan->revision + 1);
    jw_close(w, '}');
}

static void write_grant(const struct etcd_plan *plan, struct json_writer *w)
{
    jw_verbatim_name(w, SLICE("TTL"));
    jw_u64(w, plan->ttl_ms / MS_PER_SEC);
}

/* The lease as a text: as a number it might exceed 53 bits. */
static void write_lease(uint64_t lease, const char *name, struct json_writer *w)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRIu64, lease);
    jw_verbatim_name(w, slice_of(name));
    jw_string(w, number);
}

static void write_lease_id(const struct etcd_plan *plan, struct json_writer *w)
{
    write_lease(plan->lease, "ID", w);
}

static void write_revoked_id(const struct etcd_plan *plan, struct json_writer *w)
{
    write_lease(plan->lease ? plan->lease : plan->old_lease, "ID", w);
}

static void write_put(const struct etcd_plan *plan, struct json_writer *w)
{
    struct text key = {0};
    struct text value = {0};
    const struct config *config = plan->config;
    struct json_writer v = jw_to(&value, CASING_SNAKE);
    text_printf(&key, "%s%s", plan->prefix, config->server.node_id);
    jw_open(&v, '{');
    jw_name(&v, "url"), jw_string(&v, plan->peer_url);
    jw_name(&v, "region"), jw_string(&v, config->server.region);
    jw_name(&v, "zone"), jw_string(&v, config->server.zone);
    jw_close(&v, '}');
    write_bytes(w, "key", (struct slice){key.data, key.size});
    write_bytes(w, "value", (struct slice){value.data, value.size});
    write_lease(plan->lease, "lease", w);
    w->out->failed |= key.failed || value.failed;
    text_free(&key);
    text_free(&value);
}

static void write_voters(const struct etcd_plan *plan, struct json_writer *w)
{
    (void)plan;
    (void)w; /* no field */
}

static const struct {
    const char *path;
    void (*write)(const struct etcd_plan *plan, struct json_writer *w); /* the fields of the body */
} requests[ETCD_NO_STEP] = {
    [ETCD_AUTHENTICATE] = {"/v3/auth/authenticate", NULL},
    [ETCD_RENEW] = {"/v3/lease/keepalive", write_lease_id},
    [ETCD_READ] = {"/v3/kv/range", write_range},
    [ETCD_WATCH] = {"/v3/watch", write_watch},
    [ETCD_GRANT] = {"/v3/lease/grant", write_grant},
    [ETCD_PUT] = {"/v3/kv/put", write_put},
    [ETCD_VOTERS] = {"/v3/cluster/member/list", write_voters},
    [ETCD_REVOKE] = {"/v3/lease/revoke", write_revoked_id},
};

bool etcd_plan_write(const struct etcd_plan *plan, enum etcd_step step, struct text *url,
                     struct text *body)
{
    const char *endpoint = plan->settings->cluster.etcd.endpoints.items[plan->endpoint];
    text_printf(url, "%s%s%s", strstr(endpoint, "://") ? "" : "http://", endpoint,
                requests[step].path);
    if (requests[step].write) {
        struct json_writer w = jw_to(body, CASING_SNAKE);
        jw_open(&w, '{');
        requests[step].write(plan, &w);
        jw_close(&w, '}');
    }
    return !text_failed(url) && !text_failed(body);
}

bool etcd_write_user(const char *credentials, struct text *body)
{
    const char *colon = strchr(credentials, ':');
    struct json_writer w = jw_to(body, CASING_SNAKE);
    if (!colon || colon == credentials || !text_is_utf8(slice_of(credentials)))
        return false;
    jw_open(&w, '{');
    jw_name(&w, "name");
    jw_text(&w, (struct slice){credentials, (size_t)(colon - credentials)});
    jw_name(&w, "password"), jw_string(&w, colon + 1);
    jw_close(&w, '}');
    return !text_failed(body);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void read_again(struct etcd_plan *plan)
{
    plan->has_read = plan->is_watching = plan->is_watched = false;
}

/* Returns plan->count if it is none of them. */
static size_t find(const struct etcd_plan *plan, const char *id)
{
    size_t i = 0;
    while (i < plan->count && strcmp(plan->nodes[i].id, id) != 0)
        i++;
    return i;
}

static void remove_node(struct etcd_plan *plan, size_t number)
{
    if (number < plan->count) {
        plan->nodes[number] = plan->nodes[--plan->count];
        plan->changed = "a node has left, or its lease has ended";
    }
    if (plan->left_out > 0)
        read_again(plan); /* another has a place now */
}

static void set_node(struct etcd_plan *plan, const char *id, const char *url)
{
    size_t number = find(plan, id);
    struct found_node *node = &plan->nodes[number];
    if (number == MEMBERS_MAX) {
        plan->left_out++;
        return;
    }
    if (number == plan->count || strcmp(node->url, url) != 0)
        plan->changed = "a node has registered";
    plan->count += number == plan->count;
    snprintf(node->id, sizeof(node->id), "%s", id);
    snprintf(node->url, sizeof(node->url), "%s", url);
    node->is_seen = true;
    node->keep_until_ms = 0;
}

static void on_own_key(struct etcd_plan *plan, const struct etcd_key *key)
{
    plan->own_key_lease = key->is_deleted ? 0 : key->lease;
    plan->is_registered &= !key->is_deleted;
    plan->has_lost_key |= key->is_deleted;
}

/* A node id may have slashes, so keys of a prefix within this one look like those of nodes. */
static void on_key(void *context, const struct etcd_key *key)
{
    struct etcd_plan *plan = context;
    char id[CONFIG_TEXT_BYTES];
    char url[MEMBER_URL_BYTES];
    size_t prefix_size = strlen(plan->prefix);
    size_t size = key->key.size - prefix_size;
    if (key->key.size <= prefix_size || size >= sizeof(id) ||
        memcmp(key->key.data, plan->prefix, prefix_size) != 0 ||
        memchr(key->key.data + prefix_size, '\0', size))
        return;
    snprintf(id, sizeof(id), "%.*s", (int)size, key->key.data + prefix_size);
    if (strcmp(id, plan->config->server.node_id) == 0) {
        on_own_key(plan, key);
    } else if (key->is_deleted) {
        remove_node(plan, find(plan, id));
    } else if (etcd_read_url(key->value, url) && member_address_is_url(plan->config, url)) {
        set_node(plan, id, url);
    } else {
        remove_node(plan, find(plan, id));
        snprintf(plan->invalid, sizeof(plan->invalid), "%s", id);
    }
}

/* --- failures --------------------------------------------------------------------------------- */

/* All keys are read again. Nodes that are missing then stay for a time, which begins with that
 * reading. */
static void start_again(struct etcd_plan *plan)
{
    read_again(plan);
    for (size_t i = 0; i < plan->count; i++)
        plan->nodes[i].keep_until_ms = 0;
    plan->token[0] = '\0'; /* it may have expired */
    plan->voters_ms = 0;
}

/* A pause delays the renewal of the lease too. */
static uint64_t pause_ms(const struct etcd_plan *plan, unsigned number)
{
    uint64_t max_ms = lower(RETRY_MAX_MS, plan->ttl_ms / (2 * (uint64_t)RENEWALS));
    return lower(backoff_ms(number, 0), max_ms);
}

/* The number of this pause, which is to be longer than the one before. */
static unsigned count_pause(struct etcd_pauses *pauses, uint64_t now_ms)
{
    pauses->count = now_ms - pauses->last_ms >= STEADY_MS ? 1 : pauses->count + 1;
    pauses->last_ms = now_ms;
    return pauses->count;
}

static void fail(struct etcd_plan *plan, const char *problem, uint64_t now_ms)
{
    unsigned pauses = count_pause(&plan->failing, now_ms);
    size_t endpoints = plan->settings->cluster.etcd.endpoints.count;
    snprintf(plan->problem, sizeof(plan->problem), "%s", problem);
    plan->has_failed_since = true;
    start_again(plan);
    plan->endpoint = (plan->endpoint + 1) % endpoints;
    plan->failures++;
    plan->retry_ms = now_ms;
    if (pauses % endpoints == 0)
        plan->retry_ms += pause_ms(plan, (unsigned)(pauses / endpoints));
}

/* Repeats the step, or an earlier one, without a failure. */
static void restart(struct etcd_plan *plan, uint64_t now_ms)
{
    plan->retry_ms = now_ms + pause_ms(plan, count_pause(&plan->restarting, now_ms));
}

/* The key of this node is registered with the lease only after the next ETCD_PUT. */
static void lose_lease(struct etcd_plan *plan)
{
    plan->lease = 0;
    plan->is_registered = false;
}

void etcd_plan_set_settings(struct etcd_plan *plan, const struct config *settings, uint64_t now_ms)
{
    uint64_t ttl_ms = settings->cluster.etcd.ttl_secs * (uint64_t)MS_PER_SEC;
    plan->settings = settings;
    plan->has_user = settings->cluster.etcd.credentials_file[0];
    plan->endpoint = 0;
    plan->is_calling = false;
    plan->retry_ms = now_ms;
    start_again(plan);
    if (ttl_ms != plan->ttl_ms) {
        plan->old_lease = plan->old_lease ? plan->old_lease : plan->lease;
        lose_lease(plan);
    }
    plan->ttl_ms = ttl_ms;
}

static void on_revoked(struct etcd_plan *plan)
{
    *(plan->lease ? &plan->lease : &plan->old_lease) = 0;
}

bool etcd_plan_has_lease(const struct etcd_plan *plan)
{
    return plan->lease || plan->old_lease;
}

/* Nodes of the earlier list that the response lacks stay for a time-to-live. */
static bool on_range(struct etcd_plan *plan, struct slice body, uint64_t now_ms)
{
    for (size_t i = 0; i < plan->count; i++)
        plan->nodes[i].is_seen = false;
    plan->left_out = 0;
    plan->invalid[0] = '\0';
    plan->own_key_lease = 0;
    if (!etcd_read_range(body, on_key, plan, &plan->revision))
        return false;
    for (size_t i = 0; i < plan->count; i++)
        if (!plan->nodes[i].is_seen)
            plan->nodes[i].keep_until_ms = now_ms + plan->ttl_ms;
    if (plan->own_key_lease != plan->lease)
        plan->is_registered = false;
    if (!plan->has_list)
        plan->changed = "the keys of etcd";
    plan->has_read = plan->has_list = true;
    return true;
}

static bool on_lease(struct etcd_plan *plan, struct slice body, uint64_t now_ms)
{
    uint64_t ttl_secs;
    uint64_t lease;
    if (!etcd_read_lease(body, &lease, &ttl_secs) || (ttl_secs == 0 && !plan->lease))
        return false; /* a new lease must have a time */
    plan->lease = lease;
    if (ttl_secs > TTL_SECS_MAX)
        ttl_secs = TTL_SECS_MAX;
    plan->renew_ms = now_ms + ttl_secs * MS_PER_SEC / RENEWALS;
    if (ttl_secs == 0)
        lose_lease(plan);
    return true;
}

static bool read_response(struct etcd_plan *plan, enum etcd_step step, struct slice body,
                          uint64_t now_ms)
{
    switch (step) {
    case ETCD_AUTHENTICATE:
        return etcd_read_token(body, plan->token);
    case ETCD_READ:
        return on_range(plan, body, now_ms);
    case ETCD_GRANT:
    case ETCD_RENEW:
        return on_lease(plan, body, now_ms);
    case ETCD_PUT:
        plan->is_registered = !plan->has_lost_key; /* the watch may be faster than the response */
        plan->own_key_lease = plan->has_lost_key ? 0 : plan->lease;
        plan->old_lease = 0;
        return true;
    case ETCD_VOTERS:
        plan->voters_ms = now_ms + VOTERS_INTERVAL_MS;
        if (!etcd_read_voters(body, &plan->voters))
            plan->voters = 0; /* for the warning alone, which is no reason to read all again */
        return true;
    case ETCD_REVOKE:
        on_revoked(plan);
        return true;
    case ETCD_WATCH:
    case ETCD_NO_STEP:
        break;
    }
    return true;
}

bool etcd_plan_is_well(const struct etcd_plan *plan)
{
    return plan->has_read && plan->is_watched && plan->lease && plan->is_registered;
}

bool etcd_plan_is_failing(const struct etcd_plan *plan)
{
    return plan->failures >= plan->settings->cluster.etcd.endpoints.count;
}

static void note_success(struct etcd_plan *plan)
{
    plan->is_token_accepted = plan->token[0];
    if (!etcd_plan_is_well(plan))
        return;
    plan->problem[0] = '\0';
    plan->failures = 0;
}

void etcd_plan_on_start(struct etcd_plan *plan, enum etcd_step step, uint64_t now_ms)
{
    plan->is_watching |= step == ETCD_WATCH;
    plan->has_failed_since &= step == ETCD_WATCH;
    plan->has_lost_key &= step != ETCD_PUT;
    plan->is_calling = step != ETCD_WATCH;
    plan->watch_until_ms = step == ETCD_WATCH ? now_ms + WATCH_MS_MAX : plan->watch_until_ms;
}

void etcd_plan_on_response(struct etcd_plan *plan, enum etcd_step step, struct slice body,
                           uint64_t now_ms)
{
    char problem[ETCD_PROBLEM_BYTES];
    plan->is_calling = false;
    if (read_response(plan, step, body, now_ms)) {
        if (step != ETCD_AUTHENTICATE)
            note_success(plan);
        return;
    }
    snprintf(problem, sizeof(problem), "%s%s: the response is not valid",
             plan->settings->cluster.etcd.endpoints.items[plan->endpoint], requests[step].path);
    fail(plan, problem, now_ms);
}

bool etcd_plan_on_line(struct etcd_plan *plan, struct slice line, uint64_t now_ms)
{
    struct etcd_watch_line read;
    char problem[ETCD_PROBLEM_BYTES];
    bool had_read = plan->has_read;
    bool had_lost_key = plan->has_lost_key;
    bool is_valid = etcd_read_watch(line, on_key, plan, &read);
    if (!is_valid || (read.problem[0] && !read.is_compacted)) {
        snprintf(problem, sizeof(problem), "%s%s: %s",
                 plan->settings->cluster.etcd.endpoints.items[plan->endpoint],
                 requests[ETCD_WATCH].path, is_valid ? read.problem : "the response is not valid");
        fail(plan, problem, now_ms);
        return false;
    }
    if (read.is_compacted) {
        read_again(plan);
    } else if (plan->is_watching) {
        plan->is_watched = true;
        note_success(plan);
    }
    if (plan->has_lost_key != had_lost_key || plan->has_read != had_read)
        restart(plan, now_ms);
    return plan->is_watching;
}

/* Whether the failure is expected, and the next steps repair it. */
static bool is_expected(struct etcd_plan *plan, enum etcd_step step, long status)
{
    if (step == ETCD_PUT && status == HTTP_NOT_FOUND) {
        lose_lease(plan);
        return true;
    }
    if (step == ETCD_REVOKE && status == HTTP_NOT_FOUND) {
        on_revoked(plan); /* it has ended by itself */
        return true;
    }
    if (step == ETCD_VOTERS && status > 0) {
        plan->voters = 0; /* this user may not read them */
        return true;
    }
    if (step != ETCD_AUTHENTICATE && status == HTTP_UNAUTHORIZED && plan->is_token_accepted) {
        plan->token[0] = '\0'; /* it has expired */
        plan->is_token_accepted = false;
        return true;
    }
    return false;
}

void etcd_plan_on_failure(struct etcd_plan *plan, enum etcd_step step, long status,
                          struct slice body, const char *problem, uint64_t now_ms)
{
    char text[ETCD_PROBLEM_BYTES];
    char message[ETCD_MESSAGE_BYTES];
    if (step == ETCD_WATCH && !plan->is_watching)
        return; /* the plan has ended it */
    if (step == ETCD_WATCH)
        read_again(plan);
    else
        plan->is_calling = false;
    if (step != ETCD_WATCH && plan->has_failed_since)
        return; /* the watch has failed meanwhile, at the same endpoint */
    plan->voters_ms = step == ETCD_VOTERS ? now_ms + VOTERS_INTERVAL_MS : plan->voters_ms;
    if (is_expected(plan, step, status)) {
        restart(plan, now_ms);
        return;
    }
    /* The body of a success, which was cut off, may have a token. */
    bool has_message = status != 0 && status / 100 != 2;
    etcd_read_message(has_message ? body : (struct slice){0}, message);
    snprintf(text, sizeof(text), "%.300s%s%s", problem, message[0] ? ": " : "", message);
    fail(plan, text, now_ms);
}

/* --- the list --------------------------------------------------------------------------------- */

void etcd_plan_expire(struct etcd_plan *plan, uint64_t now_ms)
{
    if (plan->is_watching && !plan->is_watched && now_ms >= plan->watch_until_ms)
        fail(plan, "etcd does not confirm the watch", now_ms);
    size_t expired;
    while ((expired = found_nodes_expired(plan->nodes, plan->count, now_ms)) < plan->count)
        remove_node(plan, expired);
}

bool etcd_plan_take_list(struct etcd_plan *plan, struct member_list *out, const char **reason)
{
    if (!plan->changed || !plan->has_list)
        return false;
    found_nodes_write(plan->nodes, plan->count, plan->config, out);
    *reason = plan->changed;
    plan->changed = NULL;
    return true;
}

bool etcd_plan_warning(const struct etcd_plan *plan, char out[ETCD_WARNING_BYTES])
{
    out[0] = '\0';
    if (plan->is_registered && plan->own_key_lease != plan->lease)
        snprintf(out, ETCD_WARNING_BYTES,
                 "another node is registered with the id of this one; node ids must be unique");
    else if (plan->left_out > 0)
        snprintf(out, ETCD_WARNING_BYTES,
                 "more nodes are registered than a topology can have; %zu are left out",
                 plan->left_out);
    else if (plan->invalid[0])
        snprintf(out, ETCD_WARNING_BYTES, "%.160s: its key has no valid address; it is left out",
                 plan->invalid);
    else if (plan->voters > 0 && plan->voters % 2 == 0)
        snprintf(out, ETCD_WARNING_BYTES,
                 "etcd has an even number of voting members, %zu; it tolerates no more failures "
                 "than with one fewer",
                 plan->voters);
    return out[0];
}
