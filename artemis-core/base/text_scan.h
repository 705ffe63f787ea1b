/* SPDX-License-Identifier: Apache-2.0
 *
 * text_scan - finds the characters of a text that need a closer look, eight bytes at a time.
 *
 * Most texts are plain: ASCII without quotes, backslashes and control characters. Parsing,
 * validating and writing JSON all look for the first byte that is not; a loop over bytes was a
 * fifth of the instructions of a heartbeat.
 *
 * Pure; reads no byte outside of the given range.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool text_byte_is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

/* The high bit of each byte of `word` that is not plain, and perhaps those of later bytes: the
 * subtractions carry upwards only, so the lowest bit is exact. */
static inline uint64_t text_word_not_plain(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 0xFF;
    uint64_t control = word - ones * 0x20;
    uint64_t deleted = (word ^ ones * 0x7F) - ones;
    uint64_t quote = (word ^ ones * '"') - ones;
    uint64_t escape = (word ^ ones * '\\') - ones;
    return (word | control | deleted | quote | escape) & ones * 0x80;
}

/* The number of plain bytes at the start of [at, end). */
static inline size_t text_plain_size(const char *at, const char *end)
{
    const char *start = at;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t found = text_word_not_plain(le64toh(word));
        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    while (at < end && text_byte_is_plain((unsigned char)*at))
        at++;
    return (size_t)(at - start);
}
