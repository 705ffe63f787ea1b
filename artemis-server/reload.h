/* SPDX-License-Identifier: Apache-2.0
 *
 * reload - takes over the reloadable settings of a configuration that was loaded while a node runs.
 *
 * The node keeps its configuration (engine.config). A reload changes its reloadable settings and
 * its tokens in place, under engine.settings_lock, and logs each change. Threads other than the
 * main thread hold that lock while they read a reloadable setting; the other settings never change
 * and need no lock.
 *
 * The main thread reloads.
 */
#pragma once

#include "artemis-server/engine.h"

struct reload_counts {
    uint32_t changed;
    uint32_t need_restart; /* settings that differ from those in force, and are not reloadable */
};

/* `config` is that of the engine, `loaded` is valid and gets the earlier tokens. Nothing has
 * changed on failure, and *problem says why; with ERR_NO_MEMORY some settings may have.
 * ERR_INVALID_FIELD also if `loaded` would leave a listener open until the next start. */
MUST_USE enum error reload_apply(struct engine *engine, struct config *config,
                                 struct config *loaded, struct reload_counts *counts,
                                 struct config_problem *problem);
