/* SPDX-License-Identifier: Apache-2.0
 *
 * token_table - the tokens of a node, found by the digest of their secret.
 *
 * A table is made from the settings and does not change, except that a token can be revoked. It is
 * shared by references: a connection or a WebSocket that uses a token holds one, so that the token
 * stays readable after the node has another table.
 *
 * Thread-safe. The comparison of a secret takes the same time whatever is wrong with it: the lookup
 * goes by its digest, which nobody can choose.
 */
#pragma once

#include "artemis-core/auth/token.h"
#include "artemis-core/config/config.h"
#include "artemis-server/limits/token_services.h"

struct token_table;

struct token {
    struct token_table *table;
    const char *name;
    enum auth_role role;
    const char *const *patterns; /* of services; none: all */
    size_t pattern_count;
    uint64_t expires_ms;             /* wall clock; 0: never */
    uint32_t max_services;           /* 0: no limit */
    struct token_services *services; /* shared by the tables that keep the token */
};

/* Copies the tokens of the settings. *out is NULL if there are none. ERR_NO_MEMORY. */
MUST_USE enum error token_table_create(const struct config *config, struct token_table **out);
struct token_table *token_table_ref(struct token_table *table); /* accepts NULL, as unref does */
void token_table_unref(struct token_table *table);

/* The token of a secret, or NULL. Does not look at its expiry. */
const struct token *token_table_find(const struct token_table *table, struct slice secret);
/* For a new table that replaces `old` (NULL: none): a token that is the same in both is revoked in
 * both at once, and has its services in both. Call it before other threads see `table`. */
void token_table_inherit(struct token_table *table, const struct token_table *old);
/* Revokes the tokens of `old` that `current` (NULL: none) does not have with the same role,
 * services and expiry, in all tables that share them. */
void token_table_revoke_missing(struct token_table *old, const struct token_table *current);

/* ERR_NONE, ERR_TOKEN_EXPIRED, or ERR_INVALID_TOKEN: it is revoked. */
enum error token_check(const struct token *token, uint64_t wall_ms);
/* Whether the holder may register, renew and unregister instances of a service (canonical id).
 * NULL: nobody needs a token. */
bool token_may_write(const struct token *token, struct slice service_id);
/* Whether the holder may see a service. The services of a token with another role than `read` limit
 * only what it writes. */
bool token_may_read(const struct token *token, struct slice service_id);
/* Whether it may see all services. */
bool token_reads_all(const struct token *token);
