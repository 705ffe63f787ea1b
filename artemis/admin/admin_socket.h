/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_socket - the emergency access of the operator of this host: a UNIX socket with a thread of
 * its own, which depends on no web thread and on no connection limit.
 *
 * The protocol: a client connects, sends one JSON object on one line (ADMIN_REQUEST_BYTES_MAX at
 * most), gets one JSON object on one line (ADMIN_RESPONSE_BYTES_MAX at most), and the connection is
 * closed. Each direction may take ADMIN_IO_MS. Clients are served one after the other.
 *
 * The socket has mode 0600, and a client whose user is neither that of this process nor root is
 * refused. A file of a process that has ended is replaced; that of one that lives, or a file that
 * is no socket, makes the start fail.
 *
 * The main thread starts and stops it.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-server/audit/audit.h"

enum {
    ADMIN_REQUEST_BYTES_MAX = 4096,
    ADMIN_RESPONSE_BYTES_MAX = 16 * 1024 * 1024,
    ADMIN_IO_MS = 5000,
    ADMIN_PROBLEM_BYTES = 512,
};

struct admin_socket;

/* Appends the response to a request, without the line break. Called by the thread. */
typedef void admin_handler(void *context, struct slice request, const struct audit_origin *origin,
                           struct text *response);

struct admin_socket_options {
    const char *path; /* borrowed */
    admin_handler *handle;
    void *context;
    struct audit *audit; /* for clients that are refused */
};

/* ERR_SYSTEM, ERR_NO_MEMORY; *problem says why. */
MUST_USE enum error admin_socket_start(const struct admin_socket_options *options,
                                       struct admin_socket **out,
                                       char problem[ADMIN_PROBLEM_BYTES]);
/* Ends the thread, and removes the file unless another process has replaced it. Accepts NULL. */
void admin_socket_stop(struct admin_socket *socket);
