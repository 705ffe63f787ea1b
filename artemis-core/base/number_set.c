/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/number_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Words of the second level. */
static uint32_t upper_words(uint32_t capacity)
{
    return (capacity + NUMBER_SET_WORD_BITS - 1) / NUMBER_SET_WORD_BITS;
}

void number_set_free(struct number_set *set)
{
    free(set->words);
    *set = (struct number_set){0};
}

size_t number_set_bytes(const struct number_set *set)
{
    return ((size_t)set->capacity + upper_words(set->capacity)) * sizeof(*set->words);
}

/* Moves the numbers to another capacity; all of them must be within it. */
static enum error resize(struct number_set *set, uint32_t capacity)
{
    uint32_t kept = capacity < set->capacity ? capacity : set->capacity;
    uint64_t *words = calloc((size_t)capacity + upper_words(capacity), sizeof(*words));
    if (!words)
        return ERR_NO_MEMORY;
    if (set->words) {
        memcpy(words, set->words, kept * sizeof(*words));
        memcpy(words + capacity, set->words + set->capacity, upper_words(kept) * sizeof(*words));
    }
    free(set->words);
    set->words = words;
    set->capacity = capacity;
    return ERR_NONE;
}

static uint32_t capacity_for(uint32_t words)
{
    uint32_t capacity = 4;
    while (capacity < words)
        capacity *= 2;
    return capacity;
}

enum error number_set_reserve(struct number_set *set, uint32_t words)
{
    return words <= set->capacity ? ERR_NONE : resize(set, capacity_for(words));
}

void number_set_shrink(struct number_set *set, uint32_t words)
{
    if (words == 0) {
        assert(set->count == 0);
        number_set_free(set);
    } else if (capacity_for(words) < set->capacity / 2 && resize(set, capacity_for(words))) {
        return; /* without memory it stays as it is */
    }
}

void number_set_add(struct number_set *set, uint32_t number)
{
    uint32_t word = (number - 1) / NUMBER_SET_WORD_BITS;
    uint64_t bit = 1ull << (number - 1) % NUMBER_SET_WORD_BITS;
    assert(number && word < set->capacity);
    if (set->words[word] & bit)
        return;
    set->words[word] |= bit;
    set->words[set->capacity + word / NUMBER_SET_WORD_BITS] |= 1ull << word % NUMBER_SET_WORD_BITS;
    set->count++;
}

static void clear(struct number_set *set, uint32_t word, uint64_t bit)
{
    set->words[word] &= ~bit;
    if (set->words[word] == 0)
        set->words[set->capacity + word / NUMBER_SET_WORD_BITS] &=
            ~(1ull << word % NUMBER_SET_WORD_BITS);
    set->count--;
}

void number_set_remove(struct number_set *set, uint32_t number)
{
    uint32_t word = (number - 1) / NUMBER_SET_WORD_BITS;
    uint64_t bit = 1ull << (number - 1) % NUMBER_SET_WORD_BITS;
    assert(number);
    if (word < set->capacity && set->words[word] & bit)
        clear(set, word, bit);
}

bool number_set_has(const struct number_set *set, uint32_t number)
{
    uint32_t word = (number - 1) / NUMBER_SET_WORD_BITS;
    assert(number);
    return word < set->capacity && set->words[word] >> (number - 1) % NUMBER_SET_WORD_BITS & 1;
}

/* The index of the first bit that is set, at `from` or above it; `end` if there is none. */
static uint32_t find_bit(const uint64_t *words, uint32_t from, uint32_t end)
{
    uint32_t at = from / NUMBER_SET_WORD_BITS;
    uint64_t bits = from < end ? words[at] & (~0ull << from % NUMBER_SET_WORD_BITS) : 0;
    while (!bits) {
        if (++at * NUMBER_SET_WORD_BITS >= end)
            return end;
        bits = words[at];
    }
    return at * NUMBER_SET_WORD_BITS + (uint32_t)__builtin_ctzll(bits);
}

uint32_t number_set_pop(struct number_set *set, uint32_t after)
{
    uint32_t word = after / NUMBER_SET_WORD_BITS;
    if (set->count == 0 || word >= set->capacity)
        return 0;
    uint64_t bits = set->words[word] & (~0ull << after % NUMBER_SET_WORD_BITS);
    if (!bits) {
        word = find_bit(set->words + set->capacity, word + 1, set->capacity);
        if (word == set->capacity)
            return 0;
        bits = set->words[word];
    }
    uint32_t index = (uint32_t)__builtin_ctzll(bits);
    clear(set, word, 1ull << index);
    return word * NUMBER_SET_WORD_BITS + index + 1;
}
