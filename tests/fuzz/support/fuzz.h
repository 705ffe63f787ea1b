/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz - shared functions of the fuzz targets. A target gets bytes from libFuzzer, passes them to a
 * parser of untrusted input and asserts properties of the result. tests/fuzz/support/run.sh runs
 * the targets.
 */
#pragma once

#include <assert.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

/* What we answer is a JSON object, in valid UTF-8, without a name given twice. Frees `response`. */
static inline void fuzz_check_response(struct text *response)
{
    assert(!text_failed(response));
    json_t *read = json_loadb(response->data, response->size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(read));
    json_decref(read);
    text_free(response);
}
