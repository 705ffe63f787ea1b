/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_batch_internal - the struct of a batch. Not for other modules.
 */
#pragma once

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

struct failure {
    size_t index;
    enum error error;
    char *message;            /* owned */
    uint64_t stored_revision; /* of ERR_STALE_REVISION */
    struct document item;     /* if the batch is `fast` */
};

/* A body of the usual form is parsed once, by fast_parser. Then documents are made only of items
 * that fail, because the response repeats their fields. */
struct batch {
    bool fast;                  /* parsed by fast_parser, not by Jansson */
    struct fast_element *items; /* if fast; `memory`, or an allocation of its own */
    size_t count;               /* if fast */
    size_t capacity;            /* of items */
    struct document document;   /* without a root if fast */
    json_t *list;               /* if not fast; borrowed from `document` */
    bool keys;                  /* the items are keys, not instances */
    struct failure *failures;
    size_t failure_count;
    size_t failure_capacity;
    struct fast_element memory[]; /* of the items; then that of their keys or instances */
};
