/* SPDX-License-Identifier: Apache-2.0
 *
 * failing_malloc - makes the n-th allocation from now fail, once.
 *
 * It counts and fails the allocations of the program by malloc, calloc, realloc, aligned_alloc,
 * strdup and strndup, which the linker redirects to this module (-Wl,--wrap=malloc and so on, in
 * the Makefile). It works with sanitizers. Allocations inside of libraries (zlib, libc, C++) are
 * not affected. To include those of Jansson, call `json_set_alloc_funcs(malloc, free)` in the test
 * before the first JSON value is created.
 *
 * A test fails allocation 1, 2, 3... until the operation succeeds.
 *
 *     for (long n = 1;; n++) {
 *         long live = failing_malloc_live();
 *         failing_malloc_after(n);
 *         enum error error = operation(&made);
 *         if (!failing_malloc_happened())
 *             break; // fewer than n allocations: it must have succeeded
 *         assert_int_equal(error, ERR_NO_MEMORY);
 *         assert_int_equal(failing_malloc_live(), live);
 *     }
 *
 * Each thread has its own count; only failing_malloc_live counts all threads.
 */
#pragma once

#include <stdbool.h>

/* The n-th allocation of this thread from now fails, once; -1 = never. Counts from 0 again. */
void failing_malloc_after(long n);

/* The allocations of this thread since failing_malloc_after, the failed one included. */
long failing_malloc_count(void);

/* Whether the allocation has failed. */
bool failing_malloc_happened(void);

/* The number of blocks that are allocated and not freed. An operation that leaks nothing leaves it
 * unchanged. Blocks that a library allocates and the program frees distort it. */
long failing_malloc_live(void);
