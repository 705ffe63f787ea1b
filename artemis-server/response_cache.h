/* SPDX-License-Identifier: Apache-2.0
 *
 * response_cache - encoded discovery responses, built on demand and shared until the next change.
 *
 * The cache knows no format: a view says how its responses are encoded. Responses of a service are
 * stored beside the service in the registry, so a hit costs one lock and one reference. After a
 * change of the service they are evicted. The response with all services is stored here, one for
 * each view of that kind; one thread encodes it, the others wait for that thread.
 *
 * A delta is a response with the changes of a service from an earlier revision on. Those to the
 * newest revision are stored beside the service too, so that many clients that were up to date
 * share one; a change evicts them with the other responses. Each earlier revision has a delta of
 * its own, so all that live, cached or being sent, are limited together.
 *
 * What would exceed the budget is encoded for each request. Thread-safe.
 *
 * Lock order: `encoding`; a shard of the registry; then, alone, the lock of the cache.
 */
#pragma once

#include "artemis-server/registry/registry.h"

enum {
    ALL_SERVICES_VIEWS = DIALECT_COUNT,
    SERVICE_RESPONSES_BYTES_MAX = 256 * 1024 * 1024,
    ALL_SERVICES_RESPONSES_BYTES_MAX = 512 * 1024 * 1024,
    SERVICE_DELTAS_BYTES_MAX = 128 * 1024 * 1024, /* of all deltas that live */
    /* Beyond one of these a response for a service is large (cached_response.h): it takes too long
     * to build while other requests wait. */
    LARGE_MEMBERS = 16 * 1024,
    LARGE_MEMBERS_BYTES = 4 * 1024 * 1024, /* of the instances */
};

struct response_cache_settings {
    bool enabled;
    uint64_t expiry_ms; /* how long a response stays without being handed out */
    /* Budgets; 0: the limits above. They are separate, so that neither kind displaces the other. */
    size_t service_bytes_max;
    size_t all_services_bytes_max;
    size_t deltas_bytes_max;
};

/* A form of the response for one service. Encoding failures are failures of `out`. */
typedef void encode_service(const void *context, struct slice id,
                            const struct registry_members *members, struct text *out);
/* The same with the changes of a delta. */
typedef void encode_delta(const void *context, const struct registry_delta *delta,
                          bool all_statuses, struct text *out);
struct service_view {
    unsigned index; /* below RESPONSE_VIEWS */
    bool all_statuses;
    encode_service *encode;
    encode_part *encode_part; /* of a large response; its context is that of the view */
    encode_delta *encode_delta;
    const void *context;
};

/* A form of the response with all services. */
typedef void encode_all_services(const void *context, struct registry *registry, uint64_t revision,
                                 struct text *out);
struct all_services_view {
    unsigned index; /* below ALL_SERVICES_VIEWS */
    encode_all_services *encode;
    const void *context;
};

struct response_cache;

/* The registry must outlive the cache. ERR_NO_MEMORY. */
MUST_USE enum error response_cache_create(struct registry *registry,
                                          struct response_cache_settings settings,
                                          struct response_cache **out);
/* To be called after registry_free, which releases the responses of services. Takes NULL. */
void response_cache_free(struct response_cache *cache);

/* A reference to the newest response of a service. `id` is canonical. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get(struct response_cache *cache, struct slice id,
                                       const struct service_view *view, struct moment now,
                                       struct cached_response **out);
/* A reference to the delta of a service from revision `since` (not 0) on. ERR_VERSION_GONE: as
 * registry_find_delta, or SERVICE_DELTAS_BYTES_MAX is reached; the whole response brings the client
 * up to date. ERR_SERVICE_NOT_FOUND, ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get_delta(struct response_cache *cache, struct slice id,
                                             const struct service_view *view, uint64_t since,
                                             struct moment now, struct cached_response **out);
/* The same for all services. ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get_all(struct response_cache *cache,
                                           const struct all_services_view *view, struct moment now,
                                           struct cached_response **out);
/* Evicts responses with all services that are unused or outdated. Responses of services are
 * evicted by registry_cleanup. */
void response_cache_cleanup(struct response_cache *cache, struct moment now);

struct response_cache_stats {
    uint64_t service_bytes; /* of the cached responses, with their gzip forms */
    uint64_t all_services_bytes;
    uint64_t delta_bytes;  /* of the deltas that live */
    uint64_t deltas_built; /* since the start, like the next one */
    uint64_t deltas_gone;  /* requests for a delta with ERR_VERSION_GONE */
};
void response_cache_stats(const struct response_cache *cache, struct response_cache_stats *stats);
