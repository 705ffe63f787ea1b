/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/wire_text.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/base/text.h"

void wire_copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    size_t length = text_utf8_size(slice_of(to));
    to[length] = '\0';
    for (size_t i = 0; i < length; i++) {
        size_t unsafe = text_unsafe_size((struct slice){to + i, length - i});
        memset(to + i, ' ', unsafe);
    }
}
