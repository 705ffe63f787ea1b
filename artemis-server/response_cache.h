/* SPDX-License-Identifier: Apache-2.0
 *
 * response_cache - encoded discovery responses, built on demand and shared until the next change.
 *
 * The cache knows no format: a view says how its responses are encoded. Responses of a service are
 * stored beside the service in the registry, so a hit costs one lock and one reference. After a
 * change of the service they are evicted. The response with all services is stored here, one for
 * each view of that kind; one thread encodes it, the others wait for that thread. A filtered one is
 * encoded by each thread that needs it, so that many filters keep no thread waiting.
 *
 * A delta is a response with the changes of a service from an earlier revision on. Those to the
 * newest revision are stored beside the service too, so that many clients that were up to date
 * share one; a change evicts them with the other responses. Each earlier revision has a delta of
 * its own, so all that live, cached or being sent, are limited together.
 *
 * A view may have a filter. Filtered responses are stored in lists of their own, a few for each
 * service and a few for all services, and have a budget of their own: clients choose filters, and
 * whatever they choose displaces no other response. A change evicts them like the others. As many
 * clients can each have a response of their own that they do not read, all that live, cached or
 * being sent, are limited together.
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
    SERVICE_DELTAS_BYTES_MAX = 128 * 1024 * 1024,    /* of all deltas that live */
    FILTERED_RESPONSES_BYTES_MAX = 64 * 1024 * 1024, /* of services, and with all services */
    FILTERED_LIVING_BYTES_MAX = 512 * 1024 * 1024,   /* of all of them that live */
    ALL_SERVICES_FILTERED_MAX = 8, /* responses with all services that are filtered */
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
    size_t filtered_bytes_max;
    size_t filtered_living_bytes_max;
};

struct service_view;
struct all_services_view;

/* Encodes the response for one service; members->near is set. Encoding failures are failures of
 * `out`. */
typedef void encode_service(const struct service_view *view, struct slice id,
                            const struct registry_members *members, struct text *out);
/* The same with the changes of a delta. Those that do not match the filter are in it too. */
typedef void encode_delta(const struct service_view *view, const struct registry_delta *delta,
                          struct text *out);
/* A form of the response for one service. */
struct service_view {
    unsigned index; /* below RESPONSE_VIEWS */
    bool all_statuses;
    const struct instance_filter *filter; /* NULL: none, and all_statuses counts */
    encode_service *encode;
    encode_part *encode_part; /* of a large response; its context is that of the view */
    encode_delta *encode_delta;
    const void *context;
};

/* A form of the response with all services. */
typedef void encode_all_services(const struct all_services_view *view, struct registry *registry,
                                 uint64_t revision, struct text *out);
struct all_services_view {
    unsigned index;                       /* below ALL_SERVICES_VIEWS */
    const struct instance_filter *filter; /* NULL: none */
    encode_all_services *encode;
    const void *context;
};

struct response_cache;

/* The registry must outlive the cache. ERR_NO_MEMORY. */
MUST_USE enum error response_cache_create(struct registry *registry,
                                          struct response_cache_settings settings,
                                          struct response_cache **out);
/* To be called after registry_free, which releases the responses of services. Accepts NULL. */
void response_cache_free(struct response_cache *cache);

/* A reference to the newest response of a service. `id` is canonical. ERR_SERVICE_NOT_FOUND,
 * ERR_OVERLOADED (it has a filter, and FILTERED_LIVING_BYTES_MAX is reached), ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get(struct response_cache *cache, struct slice id,
                                       const struct service_view *view, struct moment now,
                                       struct cached_response **out);
/* A reference to the delta of a service from revision `since` (not 0) on. ERR_VERSION_GONE: as
 * registry_find_delta, or SERVICE_DELTAS_BYTES_MAX is reached; the whole response brings the client
 * up to date. ERR_SERVICE_NOT_FOUND, ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get_delta(struct response_cache *cache, struct slice id,
                                             const struct service_view *view, uint64_t since,
                                             struct moment now, struct cached_response **out);
/* The same for all services. ERR_OVERLOADED, ERR_NO_MEMORY. */
MUST_USE enum error response_cache_get_all(struct response_cache *cache,
                                           const struct all_services_view *view, struct moment now,
                                           struct cached_response **out);
/* Evicts responses with all services that are unused or outdated. Responses of services are
 * evicted by registry_cleanup. */
void response_cache_cleanup(struct response_cache *cache, struct moment now);

struct response_cache_stats {
    uint64_t service_bytes; /* of the cached responses, with their gzip forms */
    uint64_t all_services_bytes;
    uint64_t filtered_bytes;        /* of both kinds */
    uint64_t filtered_living_bytes; /* of those that live, cached or not */
    uint64_t delta_bytes;           /* of the deltas that live */
    uint64_t deltas_built;          /* since the start, like the next one */
    uint64_t deltas_gone;           /* requests for a delta with ERR_VERSION_GONE */
};
void response_cache_stats(const struct response_cache *cache, struct response_cache_stats *stats);
