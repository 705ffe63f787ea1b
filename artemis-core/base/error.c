/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/error.h"

#include <assert.h>

static const struct error_info table[ERROR_COUNT] = {
#define X(name, code, reason, http, java_code, java_http, message)                                 \
    [name] = {#name, code, reason, http, java_code, java_http, message},
    ERROR_TABLE(X)
#undef X
};

const struct error_info *error_info(enum error error)
{
    assert(error < ERROR_COUNT);
    return &table[error];
}
