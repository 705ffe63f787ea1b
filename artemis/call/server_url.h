/* SPDX-License-Identifier: Apache-2.0
 *
 * server_url - parses the addresses of servers.
 *
 * `HOST`, `HOST:PORT`, or a URL with http or https, with a path if the server is behind one. An
 * address without a scheme is called with TLS if the command has a certificate or an authority
 * (server_credentials.h), so that these are never ignored. The form for messages contains no user
 * and no password.
 *
 * Pure. The result owns its memory.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define SERVER_URL_MAX 1024

struct server_url {
    char base[SERVER_URL_MAX];  /* prefix of all paths; does not end in '/' */
    char shown[SERVER_URL_MAX]; /* the same without credentials, for messages */
    bool loopback;              /* the host is this machine: no proxy is used */
};

#define SERVER_LIST_MAX 16

/* The servers of a command, in the order in which they are tried. */
struct server_list {
    struct server_url *urls;
    size_t count;
};

/* ERR_INVALID_FIELD: not an address; ERR_NO_MEMORY. */
MUST_USE enum error server_url_read(struct server_url *url, const char *text,
                                    bool has_certificates);

/* Parses addresses separated by commas. ERR_INVALID_FIELD: one of them is not an address, or there
 * are more than SERVER_LIST_MAX; ERR_NO_MEMORY. Release with server_list_free. */
MUST_USE enum error server_list_read(struct server_list *servers, const char *text,
                                     bool has_certificates);
void server_list_free(struct server_list *servers);
