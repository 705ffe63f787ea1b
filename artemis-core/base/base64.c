/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/base64.h"

#include <nettle/base64.h>

void base64_append(struct text *out, struct slice bytes)
{
    size_t size = BASE64_ENCODE_RAW_LENGTH(bytes.size);
    char *end = text_reserve(out, size);
    if (!end)
        return;
    base64_encode_raw(end, bytes.size, (const uint8_t *)bytes.data);
    out->size += size;
}

bool base64_read(struct slice base64, struct text *out)
{
    struct base64_decode_ctx decoder;
    size_t size = BASE64_DECODE_LENGTH(base64.size);
    char *end = text_reserve(out, size + 1); /* of an empty text too */
    if (!end)
        return false;
    base64_decode_init(&decoder);
    if (!base64_decode_update(&decoder, &size, (uint8_t *)end, base64.size, base64.data) ||
        !base64_decode_final(&decoder))
        return false;
    out->size += size;
    return true;
}
