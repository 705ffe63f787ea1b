/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_malloc.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The linker's names for the true ones. Weak, so that a program without the wrapping links too. */
#define REAL __attribute__((weak))
REAL void *__real_malloc(size_t size);
REAL void *__real_calloc(size_t count, size_t size);
REAL void *__real_realloc(void *block, size_t size);
REAL void *__real_aligned_alloc(size_t alignment, size_t size);
REAL void __real_free(void *block);

/* And its names for ours. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *block);

static _Thread_local long count;
static _Thread_local long fails_at = -1;
static atomic_long live;

void failing_malloc_after(long n)
{
    assert(__real_malloc && __real_calloc && __real_realloc && __real_aligned_alloc && __real_free);
    count = 0;
    fails_at = n;
}

long failing_malloc_count(void)
{
    return count;
}

bool failing_malloc_happened(void)
{
    bool happened = fails_at > 0 && count >= fails_at;
    fails_at = -1;
    return happened;
}

long failing_malloc_live(void)
{
    return atomic_load(&live);
}

/* Counts an allocation; true when it is the one to fail. */
static bool fails(void)
{
    if (++count != fails_at)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(number, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    return block ? __real_realloc(block, size) : counted(__real_realloc(NULL, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_strndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = __wrap_malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}
