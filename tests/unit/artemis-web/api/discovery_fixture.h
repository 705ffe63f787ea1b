/* SPDX-License-Identifier: Apache-2.0
 *
 * discovery_fixture - responses of a registry as discovery sends them, read as JSON.
 *
 * A response cache belongs to one registry at a time; free_registry frees both. cache_settings is
 * used when the cache is created: by the first request, or by open_cache, which a test with threads
 * calls before it starts them.
 */
#pragma once

#include <jansson.h>

#include "artemis-web/api/discovery_encoder.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

static struct response_cache_settings cache_settings = {.enabled = true, .expiry_ms = 300000};
static struct response_cache *fixture_cache;

static inline struct response_cache *open_cache(struct registry *registry)
{
    if (!fixture_cache)
        assert_int_equal(response_cache_create(registry, cache_settings, &fixture_cache), ERR_NONE);
    return fixture_cache;
}

static inline void free_registry(struct registry *registry)
{
    registry_free(registry);
    response_cache_free(fixture_cache);
    fixture_cache = NULL;
    cache_settings = (struct response_cache_settings){.enabled = true, .expiry_ms = 300000};
}

/* Replaces the cache, which must be empty, by one with these budgets. */
static inline void limit_cache(struct registry *registry, size_t service_bytes_max,
                               size_t all_services_bytes_max)
{
    struct response_cache_stats stats;
    response_cache_stats(open_cache(registry), &stats);
    assert_int_equal(stats.service_bytes + stats.all_services_bytes, 0);
    response_cache_free(fixture_cache);
    fixture_cache = NULL;
    cache_settings.service_bytes_max = service_bytes_max;
    cache_settings.all_services_bytes_max = all_services_bytes_max;
    open_cache(registry);
}

static inline void cleanup(struct registry *registry, struct moment now)
{
    registry_cleanup(registry, now);
    response_cache_cleanup(open_cache(registry), now);
}

static inline struct response_cache_stats cache_stats(struct registry *registry)
{
    struct response_cache_stats stats;
    response_cache_stats(open_cache(registry), &stats);
    return stats;
}

static inline enum error get_service(struct registry *registry, struct slice id,
                                     enum dialect dialect, bool all_statuses, struct moment now,
                                     struct cached_response **out)
{
    struct service_view view = discovery_service_view(dialect, all_statuses);
    return response_cache_get(open_cache(registry), id, &view, now, out);
}

static inline enum error get_services(struct registry *registry, enum dialect dialect,
                                      struct moment now, struct cached_response **out)
{
    struct all_services_view view = discovery_all_services_view(dialect);
    return response_cache_get_all(open_cache(registry), &view, now, out);
}

static inline const struct instance_filter *plain_filter(bool all_statuses)
{
    static const struct instance_filter filters[] = {{.statuses = STATUSES_UP},
                                                     {.statuses = STATUSES_ALL}};
    return &filters[all_statuses];
}

static inline enum error pick_plain(struct registry *registry, struct slice id, bool all_statuses,
                                    enum lookup_strategy strategy, uint32_t random,
                                    struct instance **out)
{
    struct near_counts near;
    struct lookup_choice choice = {strategy, SLICE("key")};
    return registry_pick(registry, id, plain_filter(all_statuses), &choice, random, out, &near);
}

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
        get_service(registry, slice_of(service), dialect, all_statuses, now, &response), ERR_NONE);
    return response;
}

/* The usual request: instances that are up, in snake_case. The caller's reference. */
static inline struct cached_response *ask(struct registry *registry, const char *service,
                                          struct moment now)
{
    return ask_for(registry, service, DIALECT_SNAKE, false, now);
}

static inline struct cached_response *ask_services(struct registry *registry, enum dialect dialect,
                                                   struct moment now)
{
    struct cached_response *response = NULL;
    assert_int_equal(get_services(registry, dialect, now, &response), ERR_NONE);
    return response;
}

/* Drops the response too. */
static inline json_t *read_response(struct cached_response *response)
{
    json_t *root = parse_body((struct slice){response->body.data, response->body.size});
    cached_response_unref(response);
    return root;
}

static inline json_t *instances_of(const json_t *root)
{
    return json_object_get(json_object_get(root, "service"), "instances");
}

/* The response with the changes since a revision. */
static inline json_t *delta_since(struct registry *registry, uint64_t since)
{
    struct text text = {0};
    assert_int_equal(discovery_write_delta(registry, since, DIALECT_SNAKE, &text), ERR_NONE);
    json_t *root = parse_body((struct slice){text.data, text.size});
    text_free(&text);
    return root;
}
