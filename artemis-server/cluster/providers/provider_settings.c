/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/provider_settings.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-server/log.h"

static bool has_prefix(const struct config_setting *setting, const char *prefix)
{
    return strncmp(setting->key, prefix, strlen(prefix)) == 0;
}

/* `copy` may be NULL. */
static void free_copy(struct config *copy)
{
    config_free(copy);
    free(copy);
}

/* NULL: no memory. */
static struct config *copy_of(const struct config *config, const char *prefix)
{
    struct config *copy = calloc(1, sizeof(*copy));
    enum error error = copy ? ERR_NONE : ERR_NO_MEMORY;
    for (size_t i = 0; i < config_setting_count && !error; i++)
        if (has_prefix(&config_settings[i], prefix))
            error = config_copy(copy, config, &config_settings[i]);
    if (!error)
        return copy;
    free_copy(copy);
    return NULL;
}

static bool are_equal(const struct config *a, const struct config *b, const char *prefix)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (has_prefix(&config_settings[i], prefix) && !config_same(a, b, &config_settings[i]))
            return false;
    return true;
}

enum error provider_settings_init(struct provider_settings *settings, const char *prefix,
                                  const struct config *config)
{
    *settings = (struct provider_settings){.prefix = prefix, .current = copy_of(config, prefix)};
    pthread_mutex_init(&settings->lock, NULL);
    return settings->current ? ERR_NONE : ERR_NO_MEMORY;
}

void provider_settings_free(struct provider_settings *settings)
{
    free_copy(settings->current);
    free_copy(settings->next);
    pthread_mutex_destroy(&settings->lock);
}

bool provider_settings_reload(struct provider_settings *settings, const struct config *config)
{
    struct config *next = copy_of(config, settings->prefix);
    if (!next) {
        log_event(LOG_LEVEL_ERROR,
                  "out of memory; a membership provider keeps its earlier settings",
                  LOG_TEXT("section", settings->prefix));
        return false;
    }
    pthread_mutex_lock(&settings->lock);
    const struct config *latest = settings->next ? settings->next : settings->current;
    bool has_changed = !are_equal(latest, next, settings->prefix);
    if (has_changed) {
        free_copy(settings->next);
        settings->next = next;
    }
    pthread_mutex_unlock(&settings->lock);
    if (!has_changed)
        free_copy(next);
    return has_changed;
}

bool provider_settings_take(struct provider_settings *settings)
{
    pthread_mutex_lock(&settings->lock);
    struct config *next = settings->next;
    if (next) {
        free_copy(settings->current);
        settings->current = next;
        settings->next = NULL;
    }
    pthread_mutex_unlock(&settings->lock);
    return next != NULL;
}
