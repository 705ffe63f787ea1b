/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip - compresses and decompresses in memory. The caller frees the results.
 */
#pragma once

#include <stddef.h>

unsigned char *gzip_pack(const void *bytes, size_t size, size_t *packed_size);

/* Compresses `size` bytes of `fill` without allocating them: a gzip bomb. */
unsigned char *gzip_pack_bomb(char fill, size_t size, size_t *packed_size);

/* Returns NUL-terminated bytes; NULL if the input is not a complete gzip file. */
char *gzip_unpack(const void *packed, size_t packed_size, size_t *size);
