/* SPDX-License-Identifier: Apache-2.0
 *
 * client_file - a whole file in memory, or the standard input for the name `-`.
 *
 * Blocks until the end of the file. At most 64 MiB, far above what a server takes.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis/client_args.h"

/* Appends the file to `text`, which the caller frees also after a failure. ERR_INVALID_FIELD:
 * `mistake` says why it cannot be used; ERR_NO_MEMORY. */
MUST_USE enum error client_file_read(const char *path, struct text *text,
                                     char mistake[CLIENT_MISTAKE_MAX]);
