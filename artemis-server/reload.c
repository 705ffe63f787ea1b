/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/reload.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/config/config_listeners.h"
#include "artemis-server/clock.h"
#include "artemis-server/log.h"

/* A reload in progress. */
struct reload {
    struct engine *engine;
    const struct audit_origin *origin;
    struct reload_report *report;
};

void reload_report_free(struct reload_report *report)
{
    text_free(&report->changes);
}

/* --- changes ---------------------------------------------------------------------------------- */

struct setting_change {
    const char *setting;
    const char *before;
    const char *after;
    const char *source;
    bool needs_restart;
};

static void write_change(struct text *out, const struct setting_change *change)
{
    if (out->size > 0)
        text_append_char(out, ',');
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "setting");
    jw_foreign(&w, change->setting);
    jw_name(&w, "before");
    jw_foreign(&w, change->before);
    jw_name(&w, "after");
    jw_foreign(&w, change->after);
    if (change->source)
        jw_name(&w, "source"), jw_foreign(&w, change->source);
    jw_name(&w, "effect");
    jw_string(&w, change->needs_restart ? "restart" : "now");
    jw_close(&w, '}');
}

/* Adds a change to the report and to the audit log; the caller logs it. */
static void note_change(const struct reload *reload, const struct setting_change *change)
{
    const struct audit_event event = {
        .origin = *reload->origin,
        .action = "change-setting",
        .object = change->setting,
        .before = change->before,
        .after = change->after,
        .outcome = change->needs_restart ? "needs a restart" : "done",
        .is_logged_apart = true,
    };
    audit_record(reload->engine->audit, &event, clock_now());
    write_change(&reload->report->changes, change);
    reload->report->changed += !change->needs_restart;
    reload->report->need_restart += change->needs_restart;
}

static void note_setting(const struct reload *reload, const struct config *before,
                         const struct config *after, const struct config_setting *setting)
{
    struct text old_value = {0};
    struct text new_value = {0};
    config_write_text(&old_value, before, setting);
    config_write_text(&new_value, after, setting);
    const struct setting_change change = {
        .setting = setting->key,
        .before = text_string(&old_value),
        .after = text_string(&new_value),
        .source = config_source(after, setting),
        .needs_restart = !setting->reloadable,
    };
    log_event(change.needs_restart ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              change.needs_restart ? "setting changes at the next start of this node"
                                   : "setting changed",
              LOG_TEXT("setting", change.setting), LOG_TEXT("before", change.before),
              LOG_TEXT("after", change.after), LOG_TEXT("source", change.source));
    note_change(reload, &change);
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
           a->max_services == b->max_services && strcmp(a->expires, b->expires) == 0 &&
           same_list(&a->services, &b->services);
}

/* `before` or `after` is NULL for a token that is added or removed. The digest of a secret is not
 * shown. */
static void note_token(const struct reload *reload, const struct config_token *before,
                       const struct config_token *after)
{
    struct text setting = {0};
    struct text old_value = {0};
    struct text new_value = {0};
    const char *name = (before ? before : after)->name;
    text_printf(&setting, "auth.tokens %s", name);
    if (before)
        config_write_token(&old_value, before);
    if (after)
        config_write_token(&new_value, after);
    if (before && after && strcmp(before->sha256, after->sha256) != 0)
        text_append_string(&new_value, ", another secret");
    const char *message = "token changed";
    if (!before || !after)
        message = after ? "token added" : "token removed";
    log_event(LOG_LEVEL_INFO, message, LOG_TEXT("token", name),
              LOG_TEXT("source", before ? NULL : after->source));
    const struct setting_change change = {
        .setting = text_string(&setting),
        .before = text_string(&old_value),
        .after = text_string(&new_value),
        .source = after ? after->source : NULL,
    };
    note_change(reload, &change);
    text_free(&setting);
    text_free(&old_value);
    text_free(&new_value);
}

static void note_tokens(const struct reload *reload, const struct config_tokens *before,
                        const struct config_tokens *after)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct config_token *found = find_token(after, before->items[i].name);
        if (!found || !same_token(found, &before->items[i]))
            note_token(reload, &before->items[i], found);
    }
    for (size_t i = 0; i < after->count; i++)
        if (!find_token(before, after->items[i].name))
            note_token(reload, NULL, &after->items[i]);
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

static enum error copy_setting(struct engine *engine, struct config *config,
                               const struct config *from, const struct config_setting *setting)
{
    pthread_mutex_lock(&engine->settings_lock);
    enum error error = config_copy(config, from, setting);
    pthread_mutex_unlock(&engine->settings_lock);
    return error;
}

static enum error copy_settings(const struct reload *reload, struct config *config,
                                const struct config *loaded)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < config_setting_count && !error; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (config_same(config, loaded, setting))
            continue;
        note_setting(reload, config, loaded, setting);
        if (setting->reloadable)
            error = copy_setting(reload->engine, config, loaded, setting);
    }
    return error;
}

/* The rules hold for `loaded` as a whole, which comes into force at the next start. They must also
 * hold for the reloadable settings together with the other settings that are in force now:
 * otherwise a reload that replaces tokens by something else would open a listener until then, and
 * one with a shorter lease would end leases at the peers before their renewals are sent. */
static enum error check_in_force(const struct config *config, const struct config *loaded,
                                 struct config_problem *problem)
{
    struct config next = *config; /* borrows everything */
    next.auth.tokens = loaded->auth.tokens;
    next.cluster.peers = loaded->cluster.peers;
    next.cluster.seeds = loaded->cluster.seeds;
    enum error error = config_copy(&next, loaded, config_find("lease.ttl_secs"));
    if (!error)
        error = config_batches_check(&next, problem);
    return error ? error : config_listeners_check(&next, problem);
}

static enum error check(struct engine *engine, const struct config *config,
                        const struct config *loaded, struct config_problem *problem)
{
    enum error error = check_in_force(config, loaded, problem);
    if (error)
        return error;
    snprintf(problem->text, sizeof(problem->text),
             "cluster.provider: cannot change while the node runs; restart it to use the new one");
    if (!membership_has_same_providers(config, loaded))
        return ERR_INVALID_FIELD;
    snprintf(problem->text, sizeof(problem->text),
             "cluster.peers: too many addresses, or one that is too long");
    error = membership_check(loaded);
    if (error)
        return error;
    snprintf(problem->text, sizeof(problem->text), "out of memory");
    return auth_reload(&engine->auth, loaded);
}

enum error reload_apply(struct engine *engine, struct config *config, struct config *loaded,
                        const struct audit_origin *origin, struct reload_report *report)
{
    const struct reload reload = {engine, origin, report};
    assert(engine->config == config);
    enum error error = check(engine, config, loaded, &report->problem);
    if (error)
        return error;
    note_tokens(&reload, &config->auth.tokens, &loaded->auth.tokens);
    exchange_tokens(engine, config, loaded);
    error = copy_settings(&reload, config, loaded);
    log_setup(config->log.level, config->log.format, config->server.node_id);
    engine_reload_limits(engine);
    membership_reload(&engine->membership);
    return error;
}

enum error reload_log_level(struct engine *engine, struct config *config, const char *level,
                            const struct audit_origin *origin, struct config_problem *problem)
{
    struct reload_report report = {0};
    const struct reload reload = {engine, origin, &report};
    const struct config_setting *setting = config_find("log.level");
    struct config changed = *config; /* borrows its lists */
    enum error error = config_set_text(&changed, setting->key, level, "the admin socket", problem);
    if (!error && !config_same(config, &changed, setting)) {
        note_setting(&reload, config, &changed, setting);
        error = copy_setting(engine, config, &changed, setting);
        log_setup(config->log.level, config->log.format, config->server.node_id);
    }
    reload_report_free(&report);
    return error;
}
