/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/error.h"

#include <assert.h>

static const struct error_info table[ERROR_COUNT] = {
#define X(name, word, reason, http, java_word, java_http, sentence)                                \
    [name] = {#name, word, reason, http, java_word, java_http, sentence},
    ERROR_TABLE(X)
#undef X
};

const struct error_info *error_info(enum error code)
{
    assert(code < ERROR_COUNT);
    return &table[code];
}
