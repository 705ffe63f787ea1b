/* SPDX-License-Identifier: Apache-2.0
 *
 * node_control - what signals and operators have a node do: read the settings again, and change the
 * log level.
 *
 * SIGHUP, the admin socket and POST /api/admin/reload do the same. One of them runs at a time, and
 * none after the shutdown has begun. A reload reads files and may therefore block; it blocks the
 * thread that makes it, and the others that want one too.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/reload.h"
#include "artemis-web/web.h"

struct node_settings {
    struct config *config; /* borrowed; a reload changes it */
    /* Loads the settings anew from their sources, and logs the warnings. Fails as settings_load. */
    enum error (*load)(void *context, struct config *out, struct config_problem *problem);
    void *context;
};

struct node_control {
    const struct node_settings *settings;
    struct engine *engine;
    pthread_mutex_t lock; /* guards the rest, and the settings against a second writer */
    struct web *web;      /* NULL: not serving yet, or not any more */
};

/* Registers itself as engine.control. Both are borrowed. */
void node_control_init(struct node_control *control, const struct node_settings *settings,
                       struct engine *engine);
void node_control_free(struct node_control *control);
/* The node serves, until node_control_stop. */
void node_control_start(struct node_control *control, struct web *web);
/* Waits for a reload that runs; from now on they are refused. */
void node_control_stop(struct node_control *control);
/* The periodic work of the main thread. */
void node_control_tick(struct node_control *control, struct moment now);

/* Reads the settings and certificates again. On failure no setting has changed, and
 * report->problem says why: ERR_INVALID_FIELD, ERR_NO_MEMORY, ERR_SYSTEM, ERR_DRAINING. */
MUST_USE enum error node_control_reload(struct node_control *control,
                                        const struct audit_origin *origin,
                                        struct reload_report *report);
/* Changes log.level until the next reload. ERR_INVALID_FIELD, ERR_DRAINING; with *problem. */
MUST_USE enum error node_control_log_level(struct node_control *control, const char *level,
                                           const struct audit_origin *origin,
                                           struct config_problem *problem);
