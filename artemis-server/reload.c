/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/reload.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/config/config_listeners.h"
#include "artemis-server/log.h"

static void log_change(const struct config *before, const struct config *after,
                       const struct config_setting *setting)
{
    struct text old_value = {0};
    struct text new_value = {0};
    config_write_text(&old_value, before, setting);
    config_write_text(&new_value, after, setting);
    if (setting->reloadable)
        log_event(LOG_LEVEL_INFO, "setting changed", LOG_TEXT("setting", setting->key),
                  LOG_TEXT("before", text_string(&old_value)),
                  LOG_TEXT("after", text_string(&new_value)),
                  LOG_TEXT("source", config_source(after, setting)));
    else
        log_event(LOG_LEVEL_WARN, "setting changes at the next start of this node",
                  LOG_TEXT("setting", setting->key), LOG_TEXT("before", text_string(&old_value)),
                  LOG_TEXT("after", text_string(&new_value)),
                  LOG_TEXT("source", config_source(after, setting)));
    text_free(&old_value);
    text_free(&new_value);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static const struct config_token *find_token(const struct config_tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (strcmp(tokens->items[i].name, name) == 0)
            return &tokens->items[i];
    return NULL;
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static bool same_token(const struct config_token *a, const struct config_token *b)
{
    return a->role == b->role && strcmp(a->sha256, b->sha256) == 0 &&
           strcmp(a->expires, b->expires) == 0 && same_list(&a->services, &b->services);
}

static uint32_t log_tokens(const struct config_tokens *before, const struct config_tokens *after)
{
    uint32_t changed = 0;
    for (size_t i = 0; i < before->count; i++) {
        const char *name = before->items[i].name;
        const struct config_token *found = find_token(after, name);
        if (found && same_token(found, &before->items[i]))
            continue;
        log_event(LOG_LEVEL_INFO, found ? "token changed" : "token removed",
                  LOG_TEXT("token", name));
        changed++;
    }
    for (size_t i = 0; i < after->count; i++) {
        if (find_token(before, after->items[i].name))
            continue;
        log_event(LOG_LEVEL_INFO, "token added", LOG_TEXT("token", after->items[i].name),
                  LOG_TEXT("source", after->items[i].source));
        changed++;
    }
    return changed;
}

static void exchange_tokens(struct engine *engine, struct config *config, struct config *loaded)
{
    pthread_mutex_lock(&engine->settings_lock);
    struct config_tokens before = config->auth.tokens;
    config->auth.tokens = loaded->auth.tokens;
    loaded->auth.tokens = before;
    pthread_mutex_unlock(&engine->settings_lock);
}

/* --- settings --------------------------------------------------------------------------------- */

static enum error copy_settings(struct engine *engine, struct config *config,
                                const struct config *loaded, struct reload_counts *counts)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (config_same(config, loaded, setting))
            continue;
        log_change(config, loaded, setting);
        counts->changed += setting->reloadable;
        counts->need_restart += !setting->reloadable;
        if (!setting->reloadable)
            continue;
        pthread_mutex_lock(&engine->settings_lock);
        enum error error = config_copy(config, loaded, setting);
        pthread_mutex_unlock(&engine->settings_lock);
        if (error)
            return error;
    }
    return ERR_NONE;
}

/* The rules about listeners hold for `loaded` as a whole, which comes into force at the next start.
 * They must hold for the new tokens and peers beside the listeners of today, too: otherwise a
 * reload that replaces tokens by something else would open a listener until then. */
static enum error check_in_force(const struct config *config, const struct config *loaded,
                                 struct config_problem *problem)
{
    struct config next = *config; /* borrows everything */
    next.auth.tokens = loaded->auth.tokens;
    next.cluster.peers = loaded->cluster.peers;
    return config_listeners_check(&next, problem);
}

enum error reload_apply(struct engine *engine, struct config *config, struct config *loaded,
                        struct reload_counts *counts, struct config_problem *problem)
{
    assert(engine->config == config);
    *counts = (struct reload_counts){0};
    enum error error = check_in_force(config, loaded, problem);
    if (error)
        return error;
    snprintf(problem->text, sizeof(problem->text),
             "cluster.peers: too many addresses, or one that is too long");
    error = provider_check(loaded);
    if (error)
        return error;
    snprintf(problem->text, sizeof(problem->text), "out of memory");
    error = auth_reload(&engine->auth, loaded);
    if (error)
        return error;
    counts->changed += log_tokens(&config->auth.tokens, &loaded->auth.tokens);
    exchange_tokens(engine, config, loaded);
    error = copy_settings(engine, config, loaded, counts);
    log_setup(config->log.level, config->log.format, config->server.node_id);
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++)
        rate_limiter_set(&engine->limiters[kind],
                         config->ratelimit.enabled ? config->ratelimit.requests_per_second : 0,
                         config->ratelimit.burst_size);
    provider_reload(&engine->provider);
    return error;
}
