/* SPDX-License-Identifier: Apache-2.0
 *
 * auth - decides whether a secret gives access to this node.
 *
 * Requests need a token if the settings have any. A connection usually sends the same secret with
 * each request: struct auth_memory remembers the last one and its token, so that the digest is
 * computed once for each connection.
 *
 * Responses to an address with several failures are delayed: auth_failed returns for how long. The
 * caller delays the response without blocking its thread. Failures are counted by the hash of the
 * address; two addresses with the same element share their delays.
 *
 * Any thread may call. A struct auth_memory belongs to one connection.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "artemis-core/base/moment.h"
#include "artemis-server/auth/token_table.h"

enum {
    AUTH_ADDRESSES = 1024,
    AUTH_FREE_FAILURES = 5, /* are not slowed down */
    AUTH_DELAY_MS_MAX = 1000,
    AUTH_FORGET_MS = 10 * 1000, /* each such time without a failure forgives half of them */
};

struct auth_address {
    uint32_t failures;
    uint64_t last_ms;
};

struct auth {
    pthread_mutex_t lock;       /* guards what follows, except for the atomics */
    struct token_table *tokens; /* a reference; NULL: none */
    struct auth_address addresses[AUTH_ADDRESSES];
    _Atomic uint32_t version; /* counts the tables */
    atomic_bool required;
    _Atomic uint64_t failures;
    _Atomic uint64_t delayed;
};

enum { AUTH_VALUE_BYTES_MAX = TOKEN_SECRET_BYTES_MAX + 16 };

/* The value that a connection sent last, and its token. Zero-initialized: none. */
struct auth_memory {
    struct token_table *tokens; /* a reference */
    const struct token *token;  /* of that table */
    uint32_t version;
    uint16_t size;
    char value[AUTH_VALUE_BYTES_MAX];
};

/* ERR_NO_MEMORY. */
MUST_USE enum error auth_init(struct auth *auth, const struct config *config);
void auth_free(struct auth *auth);
/* Replaces the tokens by those of other settings. WebSockets of tokens that are gone end.
 * ERR_NO_MEMORY: the tokens stay as they are. */
MUST_USE enum error auth_reload(struct auth *auth, const struct config *config);

/* Whether requests need a token. */
static inline bool auth_is_required(const struct auth *auth)
{
    return atomic_load_explicit(&auth->required, memory_order_relaxed);
}

/* Finds the token of the value of an Authorization field; it stays readable until the next call
 * with this memory. Whether it has expired is not checked. ERR_NO_TOKEN (another scheme),
 * ERR_INVALID_TOKEN. */
MUST_USE enum error auth_find(struct auth *auth, struct auth_memory *memory, struct slice value,
                              const struct token **token);
void auth_memory_free(struct auth_memory *memory);

/* Counts a failure of a client with a valid token, which is not slowed down. */
void auth_refused(struct auth *auth);
/* Counts a failure of an address. Returns for how long its response is to wait, in ms. */
uint64_t auth_failed(struct auth *auth, uint32_t address_hash, struct moment now);
