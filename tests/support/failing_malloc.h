/* SPDX-License-Identifier: Apache-2.0
 *
 * failing_malloc - makes the n-th allocation from now fail, once.
 *
 * Counted, and failed, is what our own objects ask for by malloc, calloc, realloc, aligned_alloc,
 * strdup and strndup. The linker puts this room in between (-Wl,--wrap=malloc and so on, in the
 * Makefile), above the sanitizers, so it works in every build. What libraries allocate inside
 * (zlib, libc, C++) passes by. Jansson joins in after `json_set_alloc_funcs(malloc, free)` in the
 * test, where `malloc` already means this one; say it before the first JSON is made.
 *
 * The use is a sweep: fail allocation 1, 2, 3... until the operation asks for no more.
 *
 *     for (long n = 1;; n++) {
 *         long live = failing_malloc_live();
 *         failing_malloc_after(n);
 *         enum error error = operation(&made);
 *         if (!failing_malloc_happened())
 *             break; // it did not come to the n-th: now it must have succeeded
 *         assert_int_equal(error, ERR_NO_MEMORY);
 *         assert_int_equal(failing_malloc_live(), live);
 *     }
 *
 * Each thread counts, and fails, by itself; only failing_malloc_live is of all threads.
 */
#pragma once

#include <stdbool.h>

/* The n-th allocation of this thread from now fails, once; -1 = never. Counts from 0 again. */
void failing_malloc_after(long n);

/* The allocations of this thread since failing_malloc_after, the failed one included. */
long failing_malloc_count(void);

/* Whether the failure that was asked for has come to pass. No other comes after this. */
bool failing_malloc_happened(void);

/* Blocks allocated and not freed yet: the same before and after an operation that leaks nothing.
 * Only differences count, and only around what frees nothing that a library allocated. */
long failing_malloc_live(void);
