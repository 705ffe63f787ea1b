/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/etag.h"

#include <string.h>

enum { EPOCH_BYTES_MAX = 32, DIGITS_MAX = 20 };

static const char gzip_mark[] = "-gzip";

/* Writes EPOCH-REVISION without a terminator and returns its size. This runs for every cached
 * response, so it does not use printf. */
static size_t write_tag(char *out, const char *epoch, uint64_t revision)
{
    char digits[DIGITS_MAX];
    size_t first = DIGITS_MAX;
    size_t size = strnlen(epoch, EPOCH_BYTES_MAX);
    memcpy(out, epoch, size);
    out[size++] = '-';
    do {
        digits[--first] = (char)('0' + revision % 10);
        revision /= 10;
    } while (revision);
    memcpy(out + size, digits + first, DIGITS_MAX - first);
    return size + DIGITS_MAX - first;
}

void etag_write(char out[ETAG_BYTES], const char *epoch, uint64_t revision, bool is_gzip)
{
    out[0] = '"';
    size_t size = 1 + write_tag(out + 1, epoch, revision);
    if (is_gzip) {
        memcpy(out + size, gzip_mark, sizeof(gzip_mark) - 1);
        size += sizeof(gzip_mark) - 1;
    }
    out[size] = '"';
    out[size + 1] = '\0';
}

void etag_write_weak(char out[ETAG_BYTES], const char *epoch, uint64_t revision)
{
    memcpy(out, "W/", 2);
    char *tag = out + 2;
    tag[0] = '"';
    size_t size = 1 + write_tag(tag + 1, epoch, revision);
    tag[size] = '"';
    tag[size + 1] = '\0';
}

/* Whether the text between two quotes is the tag, or the tag of the gzip form. */
static bool is_tag(const char *text, size_t size, const char *tag, size_t tag_size)
{
    if (size < tag_size || memcmp(text, tag, tag_size) != 0)
        return false;
    text += tag_size;
    size -= tag_size;
    return size == 0 || (size == sizeof(gzip_mark) - 1 && memcmp(text, gzip_mark, size) == 0);
}

bool etag_matches(const char *if_none_match, const char *epoch, uint64_t revision)
{
    char tag[ETAG_BYTES];
    size_t tag_size = write_tag(tag, epoch, revision);
    if (strcmp(if_none_match, "*") == 0)
        return true;
    const char *end;
    for (const char *open = strchr(if_none_match, '"'); open; open = strchr(end + 1, '"')) {
        end = strchr(open + 1, '"');
        if (!end)
            return false;
        if (is_tag(open + 1, (size_t)(end - open - 1), tag, tag_size))
            return true;
    }
    return false;
}
