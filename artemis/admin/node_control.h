/* SPDX-License-Identifier: Apache-2.0
 *
 * node_control - what signals and operators have a node do: read the settings again, and change the
 * log level.
 *
 * SIGHUP, the admin socket and POST /api/admin/reload do the same: they add a reload to the thread
 * of reload_thread.h, which reads the files. What it has read comes into force under a lock that is
 * not held while files are read, so a file system that does not respond delays no request, no
 * change of the log level and no shutdown.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/reload_thread.h"
#include "artemis-web/web.h"

struct node_settings {
    struct config *config; /* borrowed; a reload changes it */
    /* Loads all settings again from their sources, and logs the warnings. Fails as settings_load.
     */
    enum error (*load)(void *context, struct config *out, struct config_problem *problem);
    void *context;
};

struct node_control {
    const struct node_settings *settings;
    struct engine *engine;
    struct reload_thread *thread; /* NULL: not started */
    pthread_mutex_t lock;         /* guards the rest, and the settings against a second writer */
    struct web *web;              /* NULL: not serving yet, or not any more; changes are refused */
};

/* All are borrowed. Starts the thread and sets engine.reload_thread. ERR_NO_MEMORY, ERR_SYSTEM;
 * node_control_free is called also then. */
MUST_USE enum error node_control_start(struct node_control *control,
                                       const struct node_settings *settings, struct engine *engine);
/* The node serves, until node_control_refuse. */
void node_control_serve(struct node_control *control, struct web *web);
/* Changes are refused from now on. Waits for nothing. */
void node_control_refuse(struct node_control *control);
/* Ends the thread. False: it still reads a file after timeout_ms; nothing that it uses may be freed
 * then. */
MUST_USE bool node_control_stop(struct node_control *control, uint64_t timeout_ms);
/* After web_stop, whose requests use the thread. */
void node_control_free(struct node_control *control);

/* Reads the settings and certificates again, without waiting for the end. Failures are logged. */
void node_control_reload_later(struct node_control *control, const struct audit_origin *origin);
/* The same, and waits for the end. On failure report->problem says why. ERR_INVALID_FIELD,
 * ERR_SYSTEM: no setting has changed. ERR_NO_MEMORY: some may have (reload_apply). ERR_OVERLOADED:
 * too many reloads wait, or this one has not ended within RELOAD_WAIT_MS, and still runs.
 * ERR_DRAINING: the node shuts down, and this one may still run. */
MUST_USE enum error node_control_reload(struct node_control *control,
                                        const struct audit_origin *origin,
                                        struct reload_report *report);
/* Changes log.level until the next reload. ERR_INVALID_FIELD, ERR_DRAINING; with *problem. */
MUST_USE enum error node_control_log_level(struct node_control *control, const char *level,
                                           const struct audit_origin *origin,
                                           struct config_problem *problem);
