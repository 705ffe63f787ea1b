/* SPDX-License-Identifier: Apache-2.0
 *
 * client_url - parses the address of a server.
 *
 * `HOST`, `HOST:PORT`, or a URL with http or https, with a path if the server is behind one. The
 * form for messages contains no user and no password.
 *
 * Pure. The result owns its memory.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>

#define CLIENT_URL_MAX 1024

struct client_url {
    char base[CLIENT_URL_MAX];  /* prefix of all paths; does not end in '/' */
    char shown[CLIENT_URL_MAX]; /* the same without credentials, for messages */
    bool loopback;              /* the host is this machine: no proxy is used */
};

/* ERR_INVALID_FIELD: not an address; ERR_NO_MEMORY. */
MUST_USE enum error client_url_read(struct client_url *url, const char *text);
