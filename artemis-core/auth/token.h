/* SPDX-License-Identifier: Apache-2.0
 *
 * token - what a token allows: roles, patterns of services, and the secret.
 *
 * A client proves who it is with `Authorization: Bearer SECRET`. A node knows the SHA-256 digest of
 * the secret only. Roles other than `peer` include each other: admin, operator, write, read.
 *
 * Pure and thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum auth_role {
    ROLE_NONE, /* of a route: anybody may call it */
    ROLE_READ,
    ROLE_WRITE,
    ROLE_OPERATOR,
    ROLE_ADMIN,
    ROLE_PEER,
    ROLE_PEER_OR_OPERATOR, /* of a route only */
    ROLE_COUNT,
};

/* "read"; of ROLE_NONE "none". */
const char *auth_role_word(enum auth_role role);
/* Whether a holder of role `have` may do what needs role `need`. */
bool auth_role_allows(enum auth_role have, enum auth_role need);

/* Whether a service id (canonical) matches a pattern: `*` stands for any text, also an empty one.
 * Costs at most the product of the lengths. */
bool token_pattern_matches(struct slice pattern, struct slice service_id);

enum {
    TOKEN_NAME_BYTES_MAX = 64,
    TOKEN_SECRET_BYTES_MIN = 20,
    TOKEN_SECRET_BYTES_MAX = 200,
    TOKEN_RANDOM_BYTES = 32,
    TOKEN_SECRET_BYTES = 8 + 43 + 1, /* of a new secret, with the terminating zero */
};

/* Writes a new secret, "artemis_" and 43 characters, from random bytes. */
void token_secret_write(const uint8_t random[TOKEN_RANDOM_BYTES], char out[TOKEN_SECRET_BYTES]);
/* Whether a text can be a secret: characters of RFC 6750 and a length within the limits. */
bool token_secret_is_valid(struct slice secret);

enum bearer_result {
    BEARER_FOUND,
    BEARER_OTHER_SCHEME, /* not "Bearer" and a blank */
    BEARER_INVALID,      /* what follows cannot be a secret */
};
/* Reads the value of an Authorization field. The secret is borrowed from it. */
enum bearer_result bearer_read(struct slice value, struct slice *secret);

/* Reads a time of expiry, "2027-01-31" (the end of that day) or "2027-01-31T12:00:00Z", in UTC, as
 * ms since 1970. False: it is something else. */
bool token_expiry_read(struct slice text, uint64_t *wall_ms);
