/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_status - the state of a node as members of a JSON object, for the admin socket.
 *
 * Takes short locks only, and none of a web thread. Any thread.
 */
#pragma once

#include "artemis-core/json/json_writer.h"
#include "artemis-web/web.h"

enum { ADMIN_SERVICES_MAX = 10000 };

/* Identity, state, counts, guard, peers, storage, audit log and connections. */
void admin_status_write(struct json_writer *w, struct engine *engine, struct web *web,
                        struct moment now);
/* The settings, the peers one by one, the services with their number of instances (at most
 * ADMIN_SERVICES_MAX), and all metrics. ERR_NO_MEMORY. */
MUST_USE enum error admin_status_write_details(struct json_writer *w, struct engine *engine,
                                               struct web *web, struct moment now);
