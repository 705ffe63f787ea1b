/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/json_text.h"

#include <stdio.h>
#include <string.h>

bool json_text_copy(const json_t *value, char *out, size_t size)
{
    if (!json_is_string(value) || json_string_length(value) >= size ||
        strlen(json_string_value(value)) != json_string_length(value))
        return false;
    snprintf(out, size, "%s", json_string_value(value));
    return true;
}

void json_text_copy_printable(struct slice text, char *out, size_t size)
{
    size_t copied = 0;
    for (size_t i = 0; i < text.size && copied < size - 1; i++)
        if (text.data[i] >= 0x20 && text.data[i] < 0x7f)
            out[copied++] = text.data[i];
    out[copied] = '\0';
}
