/* SPDX-License-Identifier: Apache-2.0
 *
 * provider_settings - the settings of a provider that its thread reads while a reload changes them.
 *
 * The thread has a copy of its section. A reload leaves a new copy, which the thread takes when it
 * is ready for it. The reload thread calls provider_settings_reload; after the start all other
 * calls are of the provider's thread.
 */
#pragma once

#include <pthread.h>

#include "artemis-core/config/config.h"

struct provider_settings {
    const char *prefix;     /* "cluster.etcd."; constant */
    struct config *current; /* has only the settings with the prefix */
    pthread_mutex_t lock;   /* of `next`, and of changes of `current` */
    struct config *next;    /* NULL: nothing has changed */
};

/* The prefix is borrowed. ERR_NO_MEMORY; provider_settings_free may be called in either case. */
MUST_USE enum error provider_settings_init(struct provider_settings *settings, const char *prefix,
                                           const struct config *config);
void provider_settings_free(struct provider_settings *settings);

/* A reload has changed the config. True: the settings with the prefix differ, and the thread should
 * take them. Without memory they stay as they were, which is logged. */
bool provider_settings_reload(struct provider_settings *settings, const struct config *config);
/* Replaces the current settings by those of a reload; what was borrowed from them ends. False:
 * there are none. */
bool provider_settings_take(struct provider_settings *settings);
