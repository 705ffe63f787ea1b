/* SPDX-License-Identifier: Apache-2.0
 *
 * client_url - the address of a server, as people write it.
 *
 * `HOST`, `HOST:PORT`, or a URL of http or https, with a path when the server stands behind one.
 * What is shown in messages has no user and no password in it.
 *
 * Pure. The result owns all it holds.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>

#define CLIENT_URL_MAX 1024

struct client_url {
    char base[CLIENT_URL_MAX];  /* what paths are appended to; does not end in '/' */
    char shown[CLIENT_URL_MAX]; /* the same for people, without credentials */
    bool loopback;              /* this machine: no proxy has a say */
};

/* ERR_INVALID_FIELD: not such an address; ERR_NO_MEMORY. */
MUST_USE enum error client_url_read(struct client_url *url, const char *text);
