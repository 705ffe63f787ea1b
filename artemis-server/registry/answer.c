/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/gzip.h"

/* An answer may be kept for long: gives back what the growing buffer has to spare. */
static void fit(struct text *text)
{
    char *fitting = realloc(text->data, text->size ? text->size : 1);
    if (!fitting)
        return;
    text->data = fitting;
    text->capacity = text->size;
}

enum error answer_create(struct text *body, uint64_t version, struct answer **out)
{
    struct answer *answer = calloc(1, sizeof(*answer));
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

struct answer *answer_ref(struct answer *answer)
{
    atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
    return answer;
}

void answer_unref(struct answer *answer)
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

bool answer_keep(struct answer *answer, struct answer_budget *budget, size_t limit_bytes)
{
    size_t bytes = sizeof(*answer) + answer->body.capacity;
    if (atomic_fetch_add(&budget->spent_bytes, bytes) + bytes > limit_bytes) {
        atomic_fetch_sub(&budget->spent_bytes, bytes);
        return false;
    }
    answer->budget = budget;
    atomic_store(&answer->kept_bytes, bytes);
    answer_ref(answer);
    return true;
}

void answer_drop(struct answer *answer, struct answer **dropped)
{
    atomic_fetch_sub(&answer->budget->spent_bytes, atomic_exchange(&answer->kept_bytes, 0));
    answer->next_dropped = *dropped;
    *dropped = answer;
}

void answer_free_dropped(struct answer *dropped)
{
    while (dropped) {
        struct answer *answer = dropped;
        dropped = answer->next_dropped;
        answer_unref(answer);
    }
}

/* A kept answer has grown, unless it is dropped at this very moment. Spent first: what is dropped
 * gives back no more than was spent. */
static void spend_more(struct answer *answer, size_t bytes)
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

enum error answer_gzip(struct answer *answer, struct slice *out)
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
