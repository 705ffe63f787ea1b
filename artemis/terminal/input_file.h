/* SPDX-License-Identifier: Apache-2.0
 *
 * input_file - reads a whole file into memory, or standard input for the name `-`.
 *
 * Blocks until the end of the file. The limit is 64 MiB, more than a server accepts.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis/terminal/args.h"

/* Appends the file to `text`, which the caller frees also after a failure. ERR_INVALID_FIELD:
 * `problem` states why the file cannot be used; ERR_NO_MEMORY. */
MUST_USE enum error input_file_read(const char *path, struct text *text,
                                    char problem[ARGS_PROBLEM_MAX]);
