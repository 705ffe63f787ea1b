/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cache/cached_response.h"

#include <stdlib.h>

#include "artemis-core/base/gzip.h"

/* A response may be cached for long: frees the spare capacity of the buffer. */
static void fit(struct text *text)
{
    char *fitting = realloc(text->data, text->size ? text->size : 1);
    if (!fitting)
        return;
    text->data = fitting;
    text->capacity = text->size;
}

enum error cached_response_create(struct text *body, uint64_t revision,
                                  struct cached_response **out)
{
    struct cached_response *response = calloc(1, sizeof(*response));
    if (!response)
        return ERR_NO_MEMORY;
    atomic_init(&response->refs, 1);
    response->revision = revision;
    response->body = *body;
    fit(&response->body);
    *body = (struct text){0};
    *out = response;
    return ERR_NONE;
}

enum error cached_response_create_large(struct large_response *large, uint64_t revision,
                                        struct cached_response **out)
{
    struct text none = {0};
    enum error error = cached_response_create(&none, revision, out);
    if (!error)
        (*out)->large = large;
    return error;
}

/* Without the gzip form. A large response has a list of instances instead of a body. */
static size_t body_bytes(const struct cached_response *response)
{
    const struct large_response *large = response->large;
    return response->body.capacity +
           (large ? sizeof(*large) + large->count * sizeof(struct instance *) : 0);
}

void cached_response_count(struct cached_response *response, _Atomic uint64_t *living_bytes)
{
    response->living_bytes = living_bytes;
    atomic_fetch_add(living_bytes, body_bytes(response));
}

void large_response_free(struct large_response *large)
{
    if (!large)
        return;
    for (size_t i = 0; i < large->count; i++)
        instance_unref(large->instances[i]);
    free(large->instances);
    free(large);
}

uint64_t large_response_bytes(const struct large_response *large, bool is_gzip)
{
    return atomic_load_explicit(&large->bytes[is_gzip], memory_order_relaxed);
}

void large_response_set_bytes(struct large_response *large, bool is_gzip, uint64_t bytes)
{
    atomic_store_explicit(&large->bytes[is_gzip], bytes, memory_order_relaxed);
}

struct cached_response *cached_response_ref(struct cached_response *response)
{
    atomic_fetch_add_explicit(&response->refs, 1, memory_order_relaxed);
    return response;
}

void cached_response_unref(struct cached_response *response)
{
    if (!response || atomic_fetch_sub_explicit(&response->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned form = 0; form < CACHED_FORMS; form++) {
        void *object = cached_response_object(response, form);
        if (object)
            response->free_object(object);
    }
    struct text *gzip = atomic_load_explicit(&response->gzip, memory_order_acquire);
    if (response->living_bytes)
        atomic_fetch_sub(response->living_bytes,
                         body_bytes(response) + (gzip ? gzip->capacity : 0));
    if (gzip)
        text_free(gzip);
    free(gzip);
    text_free(&response->body);
    text_free(&response->filter);
    large_response_free(response->large);
    free(response);
}

/* --- budget ----------------------------------------------------------------------------------- */

bool cached_response_put(struct cached_response *response, struct cache_budget *budget)
{
    size_t bytes = sizeof(*response) + body_bytes(response) + response->filter.capacity;
    if (atomic_fetch_add(&budget->used_bytes, bytes) + bytes > budget->limit_bytes) {
        atomic_fetch_sub(&budget->used_bytes, bytes);
        return false;
    }
    response->budget = budget;
    atomic_store(&response->charged_bytes, bytes);
    cached_response_ref(response);
    return true;
}

void cached_response_evict(struct cached_response *response, struct cached_responses *evicted)
{
    atomic_fetch_sub(&response->budget->used_bytes, atomic_exchange(&response->charged_bytes, 0));
    SLIST_INSERT_HEAD(evicted, response, link);
}

void cached_response_free_evicted(struct cached_responses *evicted)
{
    struct cached_response *response;
    while ((response = SLIST_FIRST(evicted))) {
        SLIST_REMOVE_HEAD(evicted, link);
        cached_response_unref(response);
    }
}

/* Charges the growth of a cached response, unless it is evicted at the same moment. The budget is
 * charged first: eviction never gives back more than was charged. */
static void charge(struct cached_response *response, size_t bytes)
{
    size_t charged_bytes = atomic_load(&response->charged_bytes);
    if (charged_bytes == 0)
        return;
    atomic_fetch_add(&response->budget->used_bytes, bytes);
    while (charged_bytes && !atomic_compare_exchange_weak(&response->charged_bytes, &charged_bytes,
                                                          charged_bytes + bytes))
        continue;
    if (charged_bytes == 0)
        atomic_fetch_sub(&response->budget->used_bytes, bytes);
}

/* --- gzip ------------------------------------------------------------------------------------- */

enum error cached_response_gzip(struct cached_response *response, struct slice *out)
{
    struct text *gzip = atomic_load_explicit(&response->gzip, memory_order_acquire);
    if (!gzip) {
        struct text *made = calloc(1, sizeof(*made));
        if (!made)
            return ERR_NO_MEMORY;
        enum error error =
            gzip_compress((struct slice){response->body.data, response->body.size}, made);
        if (!error)
            fit(made);
        /* Two threads may have compressed; the first one that completes is used. */
        if (!error && atomic_compare_exchange_strong(&response->gzip, &gzip, made)) {
            gzip = made;
            charge(response, sizeof(*made) + made->capacity);
            if (response->living_bytes)
                atomic_fetch_add(response->living_bytes, made->capacity);
        } else {
            text_free(made);
            free(made);
        }
        if (error)
            return error;
    }
    *out = (struct slice){gzip->data, gzip->size};
    return ERR_NONE;
}

/* --- objects of the sender -------------------------------------------------------------------- */

bool cached_response_is_sent_again(struct cached_response *response)
{
    return atomic_load_explicit(&response->was_sent, memory_order_relaxed) ||
           atomic_exchange_explicit(&response->was_sent, true, memory_order_relaxed);
}

void *cached_response_object(const struct cached_response *response, unsigned form)
{
    return atomic_load_explicit(&response->objects[form], memory_order_acquire);
}

void *cached_response_keep(struct cached_response *response, unsigned form, void *object,
                           size_t bytes, cached_object_free *free)
{
    void *first = NULL;
    atomic_store_explicit(&response->free_object, free, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&response->objects[form], &first, object)) {
        charge(response, bytes);
        return object;
    }
    free(object);
    return first;
}
