/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/auth/auth.h"

#include <string.h>

#include "artemis-core/base/sha256.h"

enum { FIRST_DELAY_MS = 25 };

/* --- the table of tokens ---------------------------------------------------------------------- */

enum error auth_init(struct auth *auth, const struct config *config)
{
    *auth = (struct auth){0};
    pthread_mutex_init(&auth->lock, NULL);
    return auth_reload(auth, config);
}

void auth_free(struct auth *auth)
{
    token_table_unref(auth->tokens);
    auth->tokens = NULL;
    pthread_mutex_destroy(&auth->lock);
}

enum error auth_reload(struct auth *auth, const struct config *config)
{
    struct token_table *tokens;
    enum error error = token_table_create(config, &tokens);
    if (error)
        return error;
    token_table_inherit(tokens, auth->tokens); /* only this thread exchanges the table */
    pthread_mutex_lock(&auth->lock);
    struct token_table *old = auth->tokens;
    auth->tokens = tokens;
    atomic_store(&auth->required, tokens != NULL);
    atomic_fetch_add(&auth->version, 1);
    pthread_mutex_unlock(&auth->lock);
    token_table_revoke_missing(old, tokens);
    token_table_unref(old);
    return ERR_NONE;
}

/* --- lookups ---------------------------------------------------------------------------------- */

static bool is_remembered(const struct auth *auth, const struct auth_memory *memory,
                          struct slice value)
{
    return memory->token && memory->size &&
           memory->version == atomic_load_explicit(&auth->version, memory_order_acquire) &&
           text_equal_secret((struct slice){memory->value, memory->size}, value);
}

static void look_up(struct auth *auth, struct auth_memory *memory, struct slice value,
                    struct slice secret)
{
    auth_memory_free(memory);
    pthread_mutex_lock(&auth->lock);
    memory->version = atomic_load(&auth->version);
    memory->tokens = token_table_ref(auth->tokens);
    pthread_mutex_unlock(&auth->lock);
    memory->token = token_table_find(memory->tokens, secret);
    if (!memory->token || value.size > sizeof(memory->value))
        return; /* a longer one is looked up each time */
    memory->size = (uint16_t)value.size;
    memcpy(memory->value, value.data, value.size);
}

enum error auth_find(struct auth *auth, struct auth_memory *memory, struct slice value,
                     const struct token **token)
{
    struct slice secret;
    if (!is_remembered(auth, memory, value)) {
        enum bearer_result result = bearer_read(value, &secret);
        if (result != BEARER_FOUND)
            return result == BEARER_OTHER_SCHEME ? ERR_NO_TOKEN : ERR_INVALID_TOKEN;
        look_up(auth, memory, value, secret);
    }
    if (!memory->token)
        return ERR_INVALID_TOKEN;
    *token = memory->token;
    return ERR_NONE;
}

void auth_memory_free(struct auth_memory *memory)
{
    token_table_unref(memory->tokens);
    explicit_bzero(memory, sizeof(*memory));
}

/* --- failures --------------------------------------------------------------------------------- */

void auth_refused(struct auth *auth)
{
    atomic_fetch_add_explicit(&auth->failures, 1, memory_order_relaxed);
}

uint64_t auth_failed(struct auth *auth, uint32_t address_hash, struct moment now)
{
    struct auth_address *address = &auth->addresses[address_hash % AUTH_ADDRESSES];
    auth_refused(auth);
    pthread_mutex_lock(&auth->lock);
    uint64_t halvings = (now.mono_ms - address->last_ms) / AUTH_FORGET_MS;
    address->failures = halvings < 32 ? address->failures >> halvings : 0;
    if (address->failures < UINT32_MAX)
        address->failures++;
    address->last_ms = now.mono_ms;
    uint32_t failures = address->failures;
    pthread_mutex_unlock(&auth->lock);
    if (failures <= AUTH_FREE_FAILURES)
        return 0;
    uint32_t doublings = failures - AUTH_FREE_FAILURES - 1;
    uint64_t delay_ms = doublings < 16 ? (uint64_t)FIRST_DELAY_MS << doublings : AUTH_DELAY_MS_MAX;
    atomic_fetch_add_explicit(&auth->delayed, 1, memory_order_relaxed);
    return delay_ms < AUTH_DELAY_MS_MAX ? delay_ms : AUTH_DELAY_MS_MAX;
}
