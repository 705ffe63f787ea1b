/* SPDX-License-Identifier: Apache-2.0
 *
 * client_url - parses the addresses of servers.
 *
 * `HOST`, `HOST:PORT`, or a URL with http or https, with a path if the server is behind one. The
 * form for messages contains no user and no password.
 *
 * Pure. The result owns its memory.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_URL_MAX 1024

struct client_url {
    char base[CLIENT_URL_MAX];  /* prefix of all paths; does not end in '/' */
    char shown[CLIENT_URL_MAX]; /* the same without credentials, for messages */
    bool loopback;              /* the host is this machine: no proxy is used */
};

#define CLIENT_SERVERS_MAX 16

/* The servers of a command, in the order in which they are tried. */
struct client_servers {
    struct client_url *urls;
    size_t count;
};

/* ERR_INVALID_FIELD: not an address; ERR_NO_MEMORY. */
MUST_USE enum error client_url_read(struct client_url *url, const char *text);

/* Parses addresses separated by commas. ERR_INVALID_FIELD: one of them is not an address, or there
 * are more than CLIENT_SERVERS_MAX; ERR_NO_MEMORY. Release with client_servers_free. */
MUST_USE enum error client_servers_read(struct client_servers *servers, const char *text);
void client_servers_free(struct client_servers *servers);
