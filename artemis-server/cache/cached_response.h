/* SPDX-License-Identifier: Apache-2.0
 *
 * cached_response - an encoded response body that is built once and sent many times.
 *
 * Immutable, except that the gzip form and what its sender keeps are added on demand. Counted by
 * reference: the cache holds one while the response is the newest of its view, each request holds
 * one while it is sent. Thread-safe.
 *
 * A large response is not built: it has the instances that it consists of, and each request encodes
 * it in parts while it is sent. All requests for it share these instances, so that a request needs
 * the memory of one part.
 *
 * Cached responses are charged to a budget of bytes. A response that does not fit is sent, but not
 * cached. The gzip form of a cached response is charged too, but never refused: the budget may be
 * exceeded, and nothing more is cached until responses are evicted.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-core/model/instance_filter.h"

/* Number of views of a service; response_cache.h describes views. */
enum { RESPONSE_VIEWS = 8 };

/* Forms in which a response is sent, numbered by the sender. */
enum { CACHED_FORMS = 4 };

/* Frees what the sender has made for a form. */
typedef void cached_object_free(void *object);

/* Memory of all cached responses. It outlives them. */
struct cache_budget {
    size_t limit_bytes;
    _Atomic size_t used_bytes;
};

struct cached_response;

/* Appends the part of a large response with the instances from `from` up to, but not including,
 * `to`; the part from 0 on begins with what comes before them, the part to the last one ends with
 * what comes after. */
typedef void encode_part(const struct cached_response *response, size_t from, size_t to,
                         struct text *out);

struct large_response {
    struct instance **instances; /* references */
    size_t count;                /* at least 1 */
    struct near_counts near;     /* of the instances */
    encode_part *encode;
    const void *context;       /* of encode */
    _Atomic uint64_t bytes[2]; /* of the whole body, plain and gzip; 0: it was not sent yet */
    size_t id_size;
    char id[ID_BYTES_MAX];
};

struct cached_response {
    _Atomic uint32_t refs;
    uint32_t view;            /* of its service, while it is cached there */
    _Atomic uint64_t used_ms; /* when it was last handed out; monotonic */
    uint64_t revision; /* of the service, or of the log for all services; `version` in the body */
    struct text body;
    struct large_response *large; /* NULL: it is in body */
    _Atomic(struct text *) gzip;  /* NULL until asked for */
    _Atomic(void *) objects[CACHED_FORMS];
    _Atomic(cached_object_free *) free_object;
    atomic_bool was_sent;
    struct cache_budget *budget;    /* set while it is cached */
    _Atomic size_t charged_bytes;   /* to the budget; 0: not cached */
    _Atomic uint64_t *living_bytes; /* counts its bodies as long as they live; NULL: none */
    uint64_t since;     /* of a delta: its changes are those after this revision. 0: not a delta */
    struct text filter; /* of a filtered response (instance_filter_key); size 0: not filtered */
    SLIST_ENTRY(cached_response) link; /* of its service, or of evicted responses */
};
SLIST_HEAD(cached_responses, cached_response);

/* Takes over the content of `body` on success. One reference, the caller's. ERR_NO_MEMORY. */
MUST_USE enum error cached_response_create(struct text *body, uint64_t revision,
                                           struct cached_response **out);
/* The same with a large response, which is taken over on success. */
MUST_USE enum error cached_response_create_large(struct large_response *large, uint64_t revision,
                                                 struct cached_response **out);
/* Counts the bodies of a new response in *living_bytes until it is freed, cached or not. */
void cached_response_count(struct cached_response *response, _Atomic uint64_t *living_bytes);
void large_response_free(struct large_response *large); /* accepts NULL */
/* The size of the body, once it was sent whole; 0 before. */
uint64_t large_response_bytes(const struct large_response *large, bool is_gzip);
void large_response_set_bytes(struct large_response *large, bool is_gzip, uint64_t bytes);
struct cached_response *cached_response_ref(struct cached_response *response); /* returns it */
void cached_response_unref(struct cached_response *response);                  /* accepts NULL */

/* Charges a new response to the budget and takes a reference for the cache. False, and neither, if
 * the budget would be exceeded. */
MUST_USE bool cached_response_put(struct cached_response *response, struct cache_budget *budget);
/* Gives the budget back and adds the response, which is in no list, to `evicted`. Freeing a large
 * body takes time: cached_response_free_evicted releases the references when no lock is held. */
void cached_response_evict(struct cached_response *response, struct cached_responses *evicted);
void cached_response_free_evicted(struct cached_responses *evicted);

/* The compressed body, built on first demand; lives as long as the response. ERR_NO_MEMORY. */
MUST_USE enum error cached_response_gzip(struct cached_response *response, struct slice *out);

/* Whether the response was sent before: false in the first call, then true. */
bool cached_response_is_sent_again(struct cached_response *response);
/* The object that was kept for a form, or NULL. */
void *cached_response_object(const struct cached_response *response, unsigned form);
/* Takes over an object of about `bytes` and frees it with the response; all objects of a response
 * have the same `free`. Returns the one that is kept: if another thread was first, its object; then
 * `object` is freed. */
void *cached_response_keep(struct cached_response *response, unsigned form, void *object,
                           size_t bytes, cached_object_free *free);
