/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/auth/token_table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sha256.h"

/* Shared by the tables of all reloads that keep a token. */
struct shared_token {
    _Atomic uint32_t references;
    atomic_bool revoked;
    struct token_services services;
};

struct stored_token {
    struct token token;
    struct sha256 digest;
    struct shared_token *shared;
};

struct token_table {
    _Atomic uint32_t references;
    size_t count;
    char *text; /* what the names and patterns point to */
    const char **patterns;
    struct stored_token tokens[]; /* ordered by digest */
};

/* --- create and free -------------------------------------------------------------------------- */

static int by_digest(const void *a, const void *b)
{
    return memcmp(((const struct stored_token *)a)->digest.bytes,
                  ((const struct stored_token *)b)->digest.bytes, SHA256_BYTES);
}

static size_t text_bytes(const struct config *config, size_t *patterns)
{
    size_t bytes = 0;
    *patterns = 0;
    for (size_t i = 0; i < config->auth.tokens.count; i++) {
        const struct config_token *token = &config->auth.tokens.items[i];
        bytes += strlen(token->name) + 1;
        for (size_t j = 0; j < token->services.count; j++)
            bytes += strlen(token->services.items[j]) + 1;
        *patterns += token->services.count;
    }
    return bytes;
}

static struct shared_token *make_shared(void)
{
    struct shared_token *shared = calloc(1, sizeof(*shared));
    if (!shared)
        return NULL;
    atomic_init(&shared->references, 1);
    token_services_init(&shared->services);
    return shared;
}

static void unref_shared(struct shared_token *shared)
{
    if (!shared || atomic_fetch_sub(&shared->references, 1) != 1)
        return;
    token_services_free(&shared->services);
    free(shared);
}

static bool make_all_shared(struct token_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (!(table->tokens[i].shared = make_shared()))
            return false;
    return true;
}

/* Copies the tokens. The memory for them is there. */
static void fill(struct token_table *table, const struct config *config)
{
    char *text = table->text;
    const char **patterns = table->patterns;
    for (size_t i = 0; i < table->count; i++) {
        const struct config_token *from = &config->auth.tokens.items[i];
        struct stored_token *to = &table->tokens[i];
        to->token = (struct token){
            .table = table,
            .name = text,
            .role = config_token_role(from),
            .patterns = patterns,
            .pattern_count = from->services.count,
            .expires_ms = config_token_expires_ms(from),
            .max_services = from->max_services,
            .services = &to->shared->services,
        };
        text = stpcpy(text, from->name) + 1;
        for (size_t j = 0; j < from->services.count; j++) {
            *patterns++ = text;
            text = stpcpy(text, from->services.items[j]) + 1;
        }
        (void)sha256_read_hex(slice_of(from->sha256), &to->digest); /* the settings are checked */
    }
    qsort(table->tokens, table->count, sizeof(table->tokens[0]), by_digest);
}

enum error token_table_create(const struct config *config, struct token_table **out)
{
    size_t patterns;
    size_t count = config->auth.tokens.count;
    *out = NULL;
    if (count == 0)
        return ERR_NONE;
    size_t bytes = text_bytes(config, &patterns);
    struct token_table *table = calloc(1, sizeof(*table) + count * sizeof(table->tokens[0]));
    if (!table)
        return ERR_NO_MEMORY;
    atomic_init(&table->references, 1);
    table->count = count;
    table->text = malloc(bytes);
    table->patterns = malloc((patterns + 1) * sizeof(*table->patterns));
    if (!table->text || !table->patterns || !make_all_shared(table)) {
        token_table_unref(table);
        return ERR_NO_MEMORY;
    }
    fill(table, config);
    *out = table;
    return ERR_NONE;
}

struct token_table *token_table_ref(struct token_table *table)
{
    if (table)
        atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void token_table_unref(struct token_table *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < table->count; i++)
        unref_shared(table->tokens[i].shared);
    free(table->text);
    free(table->patterns);
    free(table);
}

/* --- lookups ---------------------------------------------------------------------------------- */

static const struct stored_token *find_digest(const struct token_table *table,
                                              const struct sha256 *digest)
{
    struct stored_token wanted = {.digest = *digest};
    if (!table)
        return NULL;
    const struct stored_token *found =
        bsearch(&wanted, table->tokens, table->count, sizeof(table->tokens[0]), by_digest);
    return found && sha256_equal(&found->digest, digest) ? found : NULL;
}

const struct token *token_table_find(const struct token_table *table, struct slice secret)
{
    struct sha256 digest = sha256_of(secret);
    const struct stored_token *found = find_digest(table, &digest);
    return found ? &found->token : NULL;
}

static bool allows_the_same(const struct token *a, const struct token *b)
{
    if (a->role != b->role || a->pattern_count != b->pattern_count)
        return false;
    for (size_t i = 0; i < a->pattern_count; i++)
        if (strcmp(a->patterns[i], b->patterns[i]) != 0)
            return false;
    return true;
}

static bool is_kept(const struct stored_token *token, const struct token_table *other)
{
    const struct stored_token *kept = find_digest(other, &token->digest);
    return kept && allows_the_same(&token->token, &kept->token) &&
           token->token.expires_ms == kept->token.expires_ms;
}

void token_table_inherit(struct token_table *table, const struct token_table *old)
{
    for (size_t i = 0; table && i < table->count; i++) {
        struct stored_token *token = &table->tokens[i];
        if (!is_kept(token, old))
            continue;
        unref_shared(token->shared);
        token->shared = find_digest(old, &token->digest)->shared;
        token->token.services = &token->shared->services;
        atomic_fetch_add(&token->shared->references, 1);
    }
}

void token_table_revoke_missing(struct token_table *old, const struct token_table *current)
{
    for (size_t i = 0; old && i < old->count; i++)
        if (!is_kept(&old->tokens[i], current))
            atomic_store(&old->tokens[i].shared->revoked, true);
}

/* --- rights ----------------------------------------------------------------------------------- */

enum error token_check(const struct token *token, uint64_t wall_ms)
{
    const struct stored_token *stored = (const struct stored_token *)token; /* its first member */
    if (atomic_load_explicit(&stored->shared->revoked, memory_order_relaxed))
        return ERR_INVALID_TOKEN;
    return token->expires_ms && wall_ms >= token->expires_ms ? ERR_TOKEN_EXPIRED : ERR_NONE;
}

static bool is_listed(const struct token *token, struct slice service_id)
{
    for (size_t i = 0; i < token->pattern_count; i++)
        if (token_pattern_matches(slice_of(token->patterns[i]), service_id))
            return true;
    return token->pattern_count == 0;
}

bool token_may_write(const struct token *token, struct slice service_id)
{
    return !token || is_listed(token, service_id);
}

bool token_reads_all(const struct token *token)
{
    return !token || token->role != ROLE_READ || token->pattern_count == 0;
}

bool token_may_read(const struct token *token, struct slice service_id)
{
    return token_reads_all(token) || is_listed(token, service_id);
}
