/* SPDX-License-Identifier: Apache-2.0
 *
 * url - reads the URL of a server.
 *
 * Pure; libcurl parses it.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>

enum { URL_BYTES_MAX = 1024 };

/* *url becomes the prefix of paths like /api/... and /ws, without a slash or /api at its end; the
 * caller frees it. *is_loopback: the host is this machine. ERR_INVALID_FIELD, with *fault: what is
 * wrong with the text, such as "must not have a query". ERR_NO_MEMORY. */
MUST_USE enum error url_read(const char *text, char **url, bool *is_loopback, const char **fault);
