/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_commands - what the admin socket can do: {"command":"status"} and so on.
 *
 * A response begins with "ok":true, or has "ok":false and "error_message". Every call is recorded
 * in the audit log. Called by the thread of the admin socket.
 */
#pragma once

#include "artemis-server/audit/audit.h"
#include "artemis/admin/node_control.h"

struct admin_commands {
    struct node_control *control;
    struct engine *engine;
    struct web *web;
};

/* An admin_handler; the context is a struct admin_commands. */
void admin_commands_handle(void *context, struct slice request, const struct audit_origin *origin,
                           struct text *response);
