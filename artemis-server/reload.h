/* SPDX-License-Identifier: Apache-2.0
 *
 * reload - takes over the reloadable settings of a configuration that was loaded while a node runs.
 *
 * The node keeps its configuration (engine.config). A reload changes its reloadable settings and
 * its tokens in place, under engine.settings_lock. Each change is a line of the log, a record of
 * the audit log, and a member of the report. Other threads hold that lock while they read a
 * reloadable setting; the other settings never change and need no lock.
 *
 * One thread at a time changes settings: the caller holds a lock of its own around these calls.
 * They read no file.
 */
#pragma once

#include "artemis-server/engine.h"

/* The result of a reload. Zero at first; released with reload_report_free. */
struct reload_report {
    uint32_t changed;
    uint32_t need_restart; /* settings that differ from those in force, and are not reloadable */
    /* Certificates whose files cannot be used: the earlier ones are kept. The caller of
     * reload_apply reads them (artemis/admin/node_control.h). */
    uint32_t certificates_failing;
    /* The changes, as members of a JSON array: {"setting","before","after","source","effect"}, of
     * which "effect" is "now" or "restart". A source is left out where there is none. */
    struct text changes;
    struct config_problem problem; /* why the reload was refused */
};
void reload_report_free(struct reload_report *report);

/* `config` is that of the engine, `loaded` is valid and gets the earlier tokens. Nothing has
 * changed on failure, and report->problem says why; with ERR_NO_MEMORY some settings may have.
 * ERR_INVALID_FIELD also if `loaded` would leave a listener open until the next start. */
MUST_USE enum error reload_apply(struct engine *engine, struct config *config,
                                 struct config *loaded, const struct audit_origin *origin,
                                 struct reload_report *report);
/* Changes log.level until the next reload. ERR_INVALID_FIELD with *problem. */
MUST_USE enum error reload_log_level(struct engine *engine, struct config *config,
                                     const char *level, const struct audit_origin *origin,
                                     struct config_problem *problem);
