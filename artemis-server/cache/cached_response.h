/* SPDX-License-Identifier: Apache-2.0
 *
 * cached_response - the body of an response that was built once and is handed out many times.
 *
 * Immutable once made (the gzip form is added on first demand) and counted by reference: the store
 * keeps one while it is the newest, each request one while it is sent. Any thread.
 *
 * What the store keeps is bounded by a budget of bytes. An response that would exceed it is sent
 * and forgotten. The gzip form of a kept response is spent from the budget too, but never refused:
 * it may exceed the limit, and then nothing more is kept until something was evicted_responses.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

/* What all kept responses take in memory, themselves included. Zero-initialize it; it outlives
 * them. */
struct cache_budget {
    _Atomic size_t used_bytes;
};

struct cached_response {
    _Atomic uint32_t refs;
    _Atomic uint64_t used_ms; /* when it was last handed out; monotonic */
    uint64_t revision;
    struct text body;
    _Atomic(struct text *) gzip;  /* NULL until asked for */
    struct cache_budget *budget;  /* set while it is kept */
    _Atomic size_t charged_bytes; /* spent from the budget; 0: not kept */
    struct cached_response *next_evicted;
};

/* Takes over the content of `body` on success. One reference, the caller's. ERR_NO_MEMORY. */
MUST_USE enum error cached_response_create(struct text *body, uint64_t revision,
                                           struct cached_response **out);
struct cached_response *cached_response_ref(struct cached_response *response); /* returns it */
void cached_response_unref(struct cached_response *response);                  /* takes NULL */

/* Keeps an response that nobody else has yet: takes a reference, and from the budget. False, and
 * takes neither, when more than limit_bytes would be spent then. */
MUST_USE bool cached_response_put(struct cached_response *response, struct cache_budget *budget,
                                  size_t limit_bytes);
/* Gives a kept response back to the budget, and puts it on a list, for freeing a large body takes
 * its time: cached_response_free_evicted gives up the references, when no lock is guarded. */
void cached_response_evict(struct cached_response *response,
                           struct cached_response **evicted_responses);
void cached_response_free_evicted(struct cached_response *evicted_responses); /* takes NULL */

/* The compressed body, built on first demand; lives as long as the response. ERR_NO_MEMORY. */
MUST_USE enum error cached_response_gzip(struct cached_response *response, struct slice *out);
