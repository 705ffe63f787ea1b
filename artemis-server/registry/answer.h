/* SPDX-License-Identifier: Apache-2.0
 *
 * answer - the body of an answer that was built once and is handed out many times.
 *
 * Immutable once made (the gzip form is added on first demand) and counted by reference: the store
 * keeps one while it is the newest, each request one while it is sent. Any thread.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-core/error.h"
#include "artemis-core/text.h"

enum { ETAG_BYTES = 24 };

struct answer {
    _Atomic uint32_t refs;
    _Atomic uint64_t used_ms; /* when it was last handed out; monotonic */
    uint64_t version;
    char etag[ETAG_BYTES]; /* the version in quotes */
    struct text body;
    _Atomic(struct text *) gzip; /* NULL until asked for */
};

/* Takes over the content of `body` on success. One reference, the caller's. ERR_NO_MEMORY. */
MUST_USE enum error answer_create(struct text *body, uint64_t version, struct answer **out);
struct answer *answer_ref(struct answer *answer); /* returns it */
void answer_unref(struct answer *answer);         /* takes NULL */

/* The compressed body, built on first demand; lives as long as the answer. ERR_NO_MEMORY. */
MUST_USE enum error answer_gzip(struct answer *answer, struct slice *out);
