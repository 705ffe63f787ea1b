/* SPDX-License-Identifier: Apache-2.0
 *
 * number_set - a set of element numbers of a slab: a bit for each number.
 *
 * A second level has a bit for each word of the first that is not zero, so taking a number out
 * does not scan the whole set. The set takes an eighth of a byte for each number that it can hold.
 *
 * Not thread-safe: the owner's lock protects it. An add after a successful reserve cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum { NUMBER_SET_WORD_BITS = 64 };

/* Zero-initialized is empty. Number n is bit (n - 1) % 64 of word (n - 1) / 64. */
struct number_set {
    uint64_t *words;   /* `capacity` words, followed by those of the second level */
    uint32_t capacity; /* in words; a power of two, or 0 */
    uint32_t count;
};

void number_set_free(struct number_set *set);
/* Memory for the numbers up to `words` * 64. ERR_NO_MEMORY leaves the set as it was. */
MUST_USE enum error number_set_reserve(struct number_set *set, uint32_t words);
/* Returns memory that numbers up to `words` * 64 do not need, if it is most of it. The set must
 * have no number above. */
void number_set_shrink(struct number_set *set, uint32_t words);
/* No-op for a number that is in the set. */
void number_set_add(struct number_set *set, uint32_t number);
/* No-op for a number that is not in the set, or above what was reserved. */
void number_set_remove(struct number_set *set, uint32_t number);
bool number_set_has(const struct number_set *set, uint32_t number);
/* Removes and returns the lowest number above `after`; 0 if there is none. */
uint32_t number_set_pop(struct number_set *set, uint32_t after);
/* Memory of the set, in bytes. */
size_t number_set_bytes(const struct number_set *set);
