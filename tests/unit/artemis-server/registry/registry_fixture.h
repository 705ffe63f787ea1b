/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_fixture - what the tests of the registry share: a registry with the usual settings,
 * short ways to make instances and keys, virtual time, and responses read as JSON.
 *
 * Time is a number of ms since the start of the test. Everything here fails the running test when
 * something is wrong that the test did not ask about; none of it may be called by another thread.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/registry/registry.h"
#include "tests/support/cmocka_all.h"

enum { TTL_MS = 30000, TICK_MS = 20, GUARD_MAX_MS = 60000, RECHECK_MS = 1000 };

#define START_MONO_MS 86400123ull
#define START_WALL_MS 1770000000000ull

static inline struct moment at_ms(uint64_t ms)
{
    return (struct moment){START_MONO_MS + ms, START_WALL_MS + ms};
}

/* Random numbers that depend on the seed alone (splitmix64). */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline uint32_t random_below(uint64_t *seed, uint64_t limit)
{
    return (uint32_t)(next_random(seed) % limit);
}

/* --- registries ------------------------------------------------------------------------------- */

static inline struct registry_options usual_options(void)
{
    return (struct registry_options){
        .hash_seed = 42,
        .ttl_ms = TTL_MS,
        .cleanup_interval_ms = 60000,
        .guard_percent = 85,
        .guard_min_leases = 50,
        .guard_max_ms = GUARD_MAX_MS,
        .cache_enabled = true,
        .cache_expiry_ms = 300000,
        .change_log_capacity = 1024,
    };
}

static inline struct registry *make_registry_with(struct registry_options options)
{
    struct registry *registry = NULL;
    assert_int_equal(registry_create(&options, at_ms(0), &registry), ERR_NONE);
    return registry;
}

static inline struct registry *make_registry(void)
{
    return make_registry_with(usual_options());
}

static inline struct registry_stats stats_of(struct registry *registry)
{
    struct registry_stats stats;
    registry_stats(registry, &stats);
    return stats;
}

/* --- instances and keys ----------------------------------------------------------------------- */

/* The fields that tests vary; the rest is the same for all. NULL and 0 mean the usual. */
struct brief {
    const char *service;
    const char *id;
    const char *status;
    const char *group;
    const char *machine;
    int port;
};

static inline struct instance *make_instance(struct brief brief)
{
    const struct instance_spec spec = {
        .text =
            {
                [FIELD_REGION] = SLICE("region"),
                [FIELD_ZONE] = SLICE("zone"),
                [FIELD_SERVICE] = slice_of(brief.service),
                [FIELD_GROUP] = slice_of(brief.group),
                [FIELD_INSTANCE] = slice_of(brief.id),
                [FIELD_IP] = SLICE("10.0.0.1"),
                [FIELD_STATUS] = slice_of(brief.status),
                [FIELD_MACHINE_NAME] = slice_of(brief.machine),
            },
        .port = brief.port ? brief.port : 8080,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static inline struct instance_key make_key(const char *service, const char *id)
{
    const struct slice parts[KEY_FIELDS] = {
        [FIELD_REGION] = SLICE("region"),
        [FIELD_ZONE] = SLICE("zone"),
        [FIELD_SERVICE] = slice_of(service),
        [FIELD_INSTANCE] = slice_of(id),
    };
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    return key;
}

static inline void put_as(struct registry *registry, struct brief brief, struct moment now)
{
    struct instance *instance = make_instance(brief);
    assert_int_equal(registry_register(registry, instance, now), ERR_NONE);
    instance_unref(instance);
}

static inline void put(struct registry *registry, const char *service, const char *id,
                       struct moment now)
{
    put_as(registry, (struct brief){.service = service, .id = id}, now);
}

static inline enum error renew(struct registry *registry, const char *service, const char *id,
                               struct moment now)
{
    struct instance_key key = make_key(service, id);
    return registry_renew(registry, &key, now);
}

static inline void take_out(struct registry *registry, const char *service, const char *id,
                            struct moment now)
{
    struct instance_key key = make_key(service, id);
    registry_unregister(registry, &key, now);
}

/* Many instances of one service: i0, i1, i2... */
static inline void put_many(struct registry *registry, const char *service, unsigned from,
                            unsigned to, struct moment now)
{
    for (unsigned i = from; i < to; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        put(registry, service, id, now);
    }
}

/* Renews i<from> to i<to - 1>; returns how many of them could be. */
static inline unsigned renew_many(struct registry *registry, const char *service, unsigned from,
                                  unsigned to, struct moment now)
{
    unsigned renewed = 0;
    for (unsigned i = from; i < to; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        renewed += renew(registry, service, id, now) == ERR_NONE;
    }
    return renewed;
}

/* --- responses ----------------------------------------------------------------------------------
 */

static inline json_t *parse_body(struct slice body)
{
    json_error_t error;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("not JSON: %s: %.*s", error.text, (int)body.size, body.data);
    return root;
}

static inline struct cached_response *ask_for(struct registry *registry, const char *service,
                                              enum dialect dialect, bool all_statuses,
                                              struct moment now)
{
    struct cached_response *response = NULL;
    assert_int_equal(
        registry_service(registry, slice_of(service), dialect, all_statuses, now, &response),
        ERR_NONE);
    return response;
}

/* The usual question: what is up, in snake_case. The caller's reference. */
static inline struct cached_response *ask(struct registry *registry, const char *service,
                                          struct moment now)
{
    return ask_for(registry, service, DIALECT_SNAKE, false, now);
}

static inline struct cached_response *ask_services(struct registry *registry, enum dialect dialect,
                                                   struct moment now)
{
    struct cached_response *response = NULL;
    assert_int_equal(registry_services(registry, dialect, now, &response), ERR_NONE);
    return response;
}

/* Drops the response too. */
static inline json_t *read_response(struct cached_response *response)
{
    json_t *root = parse_body((struct slice){response->body.data, response->body.size});
    cached_response_unref(response);
    return root;
}

static inline uint64_t revision_of(struct registry *registry, const char *service,
                                   struct moment now)
{
    json_t *root = read_response(ask(registry, service, now));
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(root, "version"));
    json_decref(root);
    return revision;
}

static inline json_t *instances_of(const json_t *root)
{
    return json_object_get(json_object_get(root, "service"), "instances");
}

/* How many instances of any status the response for a service has; 0 for an unknown service. */
static inline size_t shown(struct registry *registry, const char *service, struct moment now)
{
    struct cached_response *response = NULL;
    enum error error =
        registry_service(registry, slice_of(service), DIALECT_SNAKE, true, now, &response);
    if (error == ERR_SERVICE_NOT_FOUND)
        return 0;
    assert_int_equal(error, ERR_NONE);
    json_t *root = read_response(response);
    size_t count = json_array_size(instances_of(root));
    json_decref(root);
    return count;
}

/* Is this instance in the response for its service (all statuses)? */
static inline bool is_shown(struct registry *registry, const char *service, const char *id,
                            struct moment now)
{
    json_t *root = read_response(ask_for(registry, service, DIALECT_SNAKE, true, now));
    const json_t *instance;
    size_t i;
    bool found = false;
    json_array_foreach(instances_of(root), i, instance)
    {
        const char *name = json_string_value(json_object_get(instance, "instance_id"));
        found = found || strcmp(name, id) == 0;
    }
    json_decref(root);
    return found;
}

/* The response with the changes since a revision. */
static inline json_t *delta_since(struct registry *registry, uint64_t since)
{
    struct text text = {0};
    assert_int_equal(registry_delta(registry, since, DIALECT_SNAKE, &text), ERR_NONE);
    json_t *root = parse_body((struct slice){text.data, text.size});
    text_free(&text);
    return root;
}
