/* SPDX-License-Identifier: Apache-2.0
 *
 * text_scan - finds the characters of a text that need a closer look, 16 or 8 bytes at a time.
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

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#endif

static inline bool text_byte_is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

static inline uint64_t text_load_u64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static inline void text_store_u64(char *to, uint64_t word)
{
    word = htole64(word);
    memcpy(to, &word, sizeof(word));
}

static inline uint32_t text_load_u32(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return le32toh(word);
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

/* The same as text_plain_size, for less than 8 bytes. */
static inline size_t text_plain_size_of_few(const char *at, size_t size)
{
    size_t plain = 0;
    if (size < 4) {
        while (plain < size && text_byte_is_plain((unsigned char)at[plain]))
            plain++;
        return plain;
    }
    /* The first and the last four bytes, which may overlap. */
    uint64_t word = text_load_u32(at) | (uint64_t)text_load_u32(at + size - 4) << 32;
    uint64_t found = text_word_not_plain(word);
    if (!found)
        return size;
    plain = (size_t)__builtin_ctzll(found) / 8;
    return plain < 4 ? plain : plain + size - 8;
}

/* The same as text_plain_size, by words. */
static inline size_t text_plain_size_by_words(const char *at, const char *end)
{
    const char *start = at;
    uint64_t found = 0;
    if (end - at < 8)
        return text_plain_size_of_few(at, (size_t)(end - at));
    for (; end - at >= 8; at += 8) {
        found = text_word_not_plain(text_load_u64(at));
        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    if (at == end)
        return (size_t)(end - start);
    at = end - 8; /* begins with bytes that are plain */
    found = text_word_not_plain(text_load_u64(at));
    return found ? (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8
                 : (size_t)(end - start);
}

/* Blocks of 16 bytes. text_block_not_plain returns TEXT_BLOCK_BITS bits for each byte, the lowest
 * for the first one; they are 0 if the byte is plain. */
#if defined(__SSE2__)
#define TEXT_HAS_BLOCKS
enum { TEXT_BLOCK_BITS = 1 };
typedef __m128i text_block;

static inline text_block text_load_block(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline void text_store_block(char *to, text_block block)
{
    _mm_storeu_si128((__m128i *)(void *)to, block);
}

static inline uint64_t text_block_not_plain(text_block block)
{
    __m128i found = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20)); /* negative from 0x80 on */
    found = _mm_or_si128(found, _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7F)));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(block, _mm_set1_epi8('"')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(found);
}
#elif defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TEXT_HAS_BLOCKS
enum { TEXT_BLOCK_BITS = 4 };
typedef uint8x16_t text_block;

static inline text_block text_load_block(const char *at)
{
    return vld1q_u8((const uint8_t *)at);
}

static inline void text_store_block(char *to, text_block block)
{
    vst1q_u8((uint8_t *)to, block);
}

static inline uint64_t text_block_not_plain(text_block block)
{
    uint8x16_t found = vcgeq_u8(vsubq_u8(block, vdupq_n_u8(0x20)), vdupq_n_u8(0x7F - 0x20));
    found = vorrq_u8(found, vceqq_u8(block, vdupq_n_u8('"')));
    found = vorrq_u8(found, vceqq_u8(block, vdupq_n_u8('\\')));
    uint8x8_t halves = vshrn_n_u16(vreinterpretq_u16_u8(found), 4); /* of each byte, four bits */
    return vget_lane_u64(vreinterpret_u64_u8(halves), 0);
}
#endif

/* The number of plain bytes at the start of [at, end). */
static inline size_t text_plain_size(const char *at, const char *end)
{
    const char *start = at;
#ifdef TEXT_HAS_BLOCKS
    for (; end - at >= 16; at += 16) {
        uint64_t bits = text_block_not_plain(text_load_block(at));
        if (bits)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(bits) / TEXT_BLOCK_BITS;
    }
#endif
    return (size_t)(at - start) + text_plain_size_by_words(at, end);
}

enum { TEXT_COPY_SLACK = 16 };

/* As text_copy_plain, for texts at the end of the range, and for long ones. */
static inline size_t text_copy_plain_by_words(char *to, const char *at, const char *end)
{
    const char *start = at;
    for (; end - at >= 8; at += 8, to += 8) {
        uint64_t word = text_load_u64(at);
        text_store_u64(to, word);
        uint64_t found = text_word_not_plain(word);
        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    size_t plain = text_plain_size_of_few(at, (size_t)(end - at));
    for (size_t i = 0; i < plain; i++)
        to[i] = at[i];
    return (size_t)(at - start) + plain;
}

/* As text_plain_size, and copies the plain bytes to `to`. Up to TEXT_COPY_SLACK bytes after them
 * are overwritten. */
__attribute__((always_inline)) static inline size_t text_copy_plain(char *to, const char *at,
                                                                    const char *end)
{
#ifdef TEXT_HAS_BLOCKS
    if (end - at >= 16) {
        text_block block = text_load_block(at);
        uint64_t bits = text_block_not_plain(block);
        text_store_block(to, block);
        if (bits)
            return (size_t)__builtin_ctzll(bits) / TEXT_BLOCK_BITS;
    }
#endif
    return text_copy_plain_by_words(to, at, end);
}

/* Replaces upper-case letters in `size` plain bytes. Up to 7 bytes after them are overwritten. */
static inline void text_lower_plain(char *at, size_t size)
{
    const uint64_t ones = UINT64_MAX / 0xFF;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = text_load_u64(at + i);
        uint64_t from_a = word + ones * (0x80 - 'A'); /* the high bit of each byte from 'A' on */
        uint64_t after_z = word + ones * (0x80 - 'Z' - 1);
        text_store_u64(at + i, word | (from_a & ~after_z & ones * 0x80) >> 2);
    }
}

/* Whether the first `size` bytes are equal; size is 4 to 24. */
static inline bool text_short_equal(const char *a, const char *b, size_t size)
{
    if (size < 8)
        return text_load_u32(a) == text_load_u32(b) &&
               text_load_u32(a + size - 4) == text_load_u32(b + size - 4);
    return text_load_u64(a) == text_load_u64(b) &&
           text_load_u64(a + size - 8) == text_load_u64(b + size - 8) &&
           (size <= 16 || text_load_u64(a + 8) == text_load_u64(b + 8));
}
