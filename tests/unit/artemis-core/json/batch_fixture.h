/* SPDX-License-Identifier: Apache-2.0
 *
 * batch_fixture - shared by the tests of batches: a batch from a body in which ' stands for ".
 */
#pragma once

#include "artemis-core/json/codec.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <stdlib.h>

/* A batch borrows its body: the latest bodies are kept. */
static inline char *kept_until_later(char *text)
{
    static char *kept[8];
    static unsigned next;
    free(kept[next % 8]);
    return kept[next++ % 8] = text;
}

static inline struct batch *parsed(enum batch_kind kind, const char *body)
{
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    char *text = kept_until_later(quoted_text("%s", body));
    if (batch_parse(slice_of(text), kind, &batch, &names, message))
        fail_msg("%s: %s", body, message);
    return batch;
}
