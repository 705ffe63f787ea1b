/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens - a file of settings with a token of each kind, for servers of tests.
 */
#pragma once

#include "tests/support/temp_folder.h"

/* Secrets. */
#define TOKEN_READ        "read-secret-0123456789"
#define TOKEN_WRITE       "write-secret-0123456789"
#define TOKEN_OPERATOR    "operator-secret-0123456789"
#define TOKEN_ADMIN       "admin-secret-0123456789"
#define TOKEN_PEER        "peer-secret-0123456789"
#define TOKEN_SHOP_WRITER "shop-writer-secret-0123456789" /* services shop-* */
#define TOKEN_SHOP_READER "shop-reader-secret-0123456789" /* services shop-* */
#define TOKEN_EXPIRED     "expired-secret-0123456789"     /* an admin until 2020 */
#define TOKEN_UNKNOWN     "unknown-secret-0123456789"     /* not in the file */

/* Writes the file; each token is named after its kind ("read", "shop-writer"). `more` is appended
 * to it. Returns its path, valid until the next call. */
const char *tokens_write(const struct temp_folder *folder, const char *more);

/* Appends a token that expires at a time of the wall clock, in s. */
void tokens_describe(char *out, unsigned long size, const char *name, const char *role,
                     const char *secret, long expires_secs);
