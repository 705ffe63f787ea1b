/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cache/cached_response.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/base/gzip.h"

/* An answer may be kept for long: gives back what the growing buffer has to spare. */
static void fit(struct text *text)
{
    char *fitting = realloc(text->data, text->size ? text->size : 1);
    if (!fitting)
        return;
    text->data = fitting;
    text->capacity = text->size;
}

enum error cached_response_create(struct text *body, uint64_t version, struct cached_response **out)
{
    struct cached_response *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return ERR_NO_MEMORY;
    atomic_init(&answer->refs, 1);
    answer->version = version;
    snprintf(answer->etag, sizeof(answer->etag), "\"%llu\"", (unsigned long long)version);
    answer->body = *body;
    fit(&answer->body);
    *body = (struct text){0};
    *out = answer;
    return ERR_NONE;
}

struct cached_response *cached_response_ref(struct cached_response *answer)
{
    atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
    return answer;
}

void cached_response_unref(struct cached_response *answer)
{
    if (!answer || atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct text *gzip = atomic_load_explicit(&answer->gzip, memory_order_acquire);
    if (gzip)
        text_free(gzip);
    free(gzip);
    text_free(&answer->body);
    free(answer);
}

/* --- keeping ---------------------------------------------------------------------------------- */

bool cached_response_put(struct cached_response *answer, struct cache_budget *budget,
                         size_t limit_bytes)
{
    size_t bytes = sizeof(*answer) + answer->body.capacity;
    if (atomic_fetch_add(&budget->spent_bytes, bytes) + bytes > limit_bytes) {
        atomic_fetch_sub(&budget->spent_bytes, bytes);
        return false;
    }
    answer->budget = budget;
    atomic_store(&answer->kept_bytes, bytes);
    cached_response_ref(answer);
    return true;
}

void cached_response_evict(struct cached_response *answer, struct cached_response **dropped)
{
    atomic_fetch_sub(&answer->budget->spent_bytes, atomic_exchange(&answer->kept_bytes, 0));
    answer->next_dropped = *dropped;
    *dropped = answer;
}

void cached_response_free_evicted(struct cached_response *dropped)
{
    while (dropped) {
        struct cached_response *answer = dropped;
        dropped = answer->next_dropped;
        cached_response_unref(answer);
    }
}

/* A kept answer has grown, unless it is dropped at this very moment. Spent first: what is dropped
 * gives back no more than was spent. */
static void spend_more(struct cached_response *answer, size_t bytes)
{
    size_t kept_bytes = atomic_load(&answer->kept_bytes);
    if (kept_bytes == 0)
        return;
    atomic_fetch_add(&answer->budget->spent_bytes, bytes);
    while (kept_bytes &&
           !atomic_compare_exchange_weak(&answer->kept_bytes, &kept_bytes, kept_bytes + bytes))
        continue;
    if (kept_bytes == 0)
        atomic_fetch_sub(&answer->budget->spent_bytes, bytes);
}

/* --- gzip ------------------------------------------------------------------------------------- */

enum error cached_response_gzip(struct cached_response *answer, struct slice *out)
{
    struct text *gzip = atomic_load_explicit(&answer->gzip, memory_order_acquire);
    if (!gzip) {
        struct text *made = calloc(1, sizeof(*made));
        if (!made)
            return ERR_NO_MEMORY;
        enum error error =
            gzip_compress((struct slice){answer->body.data, answer->body.size}, made);
        if (!error)
            fit(made);
        /* Two threads may have compressed; the first one to be done is kept. */
        if (!error && atomic_compare_exchange_strong(&answer->gzip, &gzip, made)) {
            gzip = made;
            spend_more(answer, sizeof(*made) + made->capacity);
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
