/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot - saves the records of a node to a file (snapshot_save.c) and restores them
 * (snapshot_restore.c), for the command `snapshot`.
 *
 * Prints the results, the errors, and the progress of long work. Not thread-safe.
 */
#pragma once

#include "artemis/terminal/args.h"

#include <stdint.h>

/* Each returns an exit code. `path` is FILE; `-` is a standard stream. */
int snapshot_save(const struct args *args, const char *path);
int snapshot_restore(const struct args *args, const char *path);

/* The progress of long work, on stderr if it is a terminal. Initialize it with zero. */
struct snapshot_progress {
    uint64_t next_ms; /* not before */
    bool is_shown;
};
void snapshot_progress_show(struct snapshot_progress *progress, const char *what, uint64_t count);
void snapshot_progress_clear(struct snapshot_progress *progress);
