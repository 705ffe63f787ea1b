/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_fixture - shared by the tests of the registry: a registry with the usual settings, short
 * calls that make instances and keys, virtual time, and the content of a service.
 *
 * Time is a number of ms since the start of the test. Functions fail the running test on an
 * unexpected error; none may be called by another thread.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/registry/registry.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/random.h"

enum { TTL_MS = 30000, TICK_MS = 20, GUARD_MAX_MS = 60000, RECHECK_MS = 1000 };

#define START_MONO_MS 86400123ull
#define START_WALL_MS 1770000000000ull

static inline struct moment at_ms(uint64_t ms)
{
    return (struct moment){START_MONO_MS + ms, START_WALL_MS + ms};
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
    int weight; /* 0: the default */
    uint64_t revision;
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
        .weight = brief.weight,
        .has_weight = brief.weight != 0,
        .client_revision = brief.revision,
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
    assert_int_equal(registry_unregister(registry, &key, 0, now), ERR_NONE);
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

/* --- queries ---------------------------------------------------------------------------------- */

static inline struct registry_members members_of(struct registry *registry, const char *service)
{
    struct registry_members members;
    enum error error = registry_members(registry, slice_of(service), true, &members);
    assert_true(error == ERR_NONE || error == ERR_SERVICE_NOT_FOUND);
    return members;
}

/* The number of instances of a service, of any status; 0 for an unknown service. */
static inline size_t shown(struct registry *registry, const char *service)
{
    struct registry_members members = members_of(registry, service);
    size_t count = members.count;
    registry_members_free(&members);
    return count;
}

/* Whether a service has an instance with this id, of any status. */
static inline bool is_shown(struct registry *registry, const char *service, const char *id)
{
    struct registry_members members = members_of(registry, service);
    bool found = false;
    for (size_t i = 0; i < members.count; i++)
        found |= slice_equal(instance_text(members.instances[i], FIELD_INSTANCE), slice_of(id));
    registry_members_free(&members);
    return found;
}

static inline uint64_t revision_of(struct registry *registry, const char *service)
{
    return registry_service_revision(registry, slice_of(service));
}
