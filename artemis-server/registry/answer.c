/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/gzip.h"

enum error answer_create(struct text *body, uint64_t version, struct answer **out)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return ERR_NO_MEMORY;
    atomic_init(&answer->refs, 1);
    answer->version = version;
    snprintf(answer->etag, sizeof(answer->etag), "\"%llu\"", (unsigned long long)version);
    /* A cached answer lives long: give back what the growing buffer has to spare. */
    char *fitting = realloc(body->data, body->size ? body->size : 1);
    answer->body = *body;
    if (fitting) {
        answer->body.data = fitting;
        answer->body.capacity = body->size;
    }
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

enum error answer_gzip(struct answer *answer, struct slice *out)
{
    struct text *gzip = atomic_load_explicit(&answer->gzip, memory_order_acquire);
    if (!gzip) {
        struct text *made = calloc(1, sizeof(*made));
        if (!made)
            return ERR_NO_MEMORY;
        enum error error =
            gzip_compress((struct slice){answer->body.data, answer->body.size}, made);
        /* Two threads may have compressed; the first one to be done is kept. */
        if (!error && atomic_compare_exchange_strong(&answer->gzip, &gzip, made)) {
            gzip = made;
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
