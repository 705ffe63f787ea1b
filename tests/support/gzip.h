/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip - packs and unpacks in memory. Results are the caller's to free.
 */
#pragma once

#include <stddef.h>

unsigned char *gzip_pack(const void *bytes, size_t size, size_t *packed_size);

/* `size` times the byte `fill`, packed, without ever holding it: a gzip bomb. */
unsigned char *gzip_pack_bomb(char fill, size_t size, size_t *packed_size);

/* NUL-terminated; NULL when it is not a whole gzip file. */
char *gzip_unpack(const void *packed, size_t packed_size, size_t *size);
