/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/wire_text.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/base/text.h"

/* The size of a character that ends a line, or moves or colours what follows: C0, DEL, C1, marks
 * of direction. 0: it is none. */
static size_t unsafe_size(const char *text)
{
    static const struct {
        const char *before; /* its first bytes */
        unsigned char first, last;
    } ranges[] = {
        {"", 0x01, 0x1f},         {"", 0x7f, 0x7f},         {"\xc2", 0x80, 0x9f},
        {"\xd8", 0x9c, 0x9c},     {"\xe2\x80", 0x8e, 0x8f}, {"\xe2\x80", 0xa8, 0xae},
        {"\xe2\x81", 0xa6, 0xa9},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        size_t size = strlen(ranges[i].before);
        if (strncmp(text, ranges[i].before, size) == 0 &&
            (unsigned char)text[size] >= ranges[i].first &&
            (unsigned char)text[size] <= ranges[i].last)
            return size + 1;
    }
    return 0;
}

void wire_copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    to[text_utf8_size(slice_of(to))] = '\0';
    for (char *at = to; *at; at++) {
        size_t unsafe = unsafe_size(at);
        if (unsafe > 0) {
            memset(at, ' ', unsafe);
            at += unsafe - 1;
        }
    }
}
