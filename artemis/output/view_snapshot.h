/* SPDX-License-Identifier: Apache-2.0
 *
 * view_snapshot - prints what `snapshot save` and `snapshot restore` have done, as text and
 * as JSON.
 *
 * All text is escaped for a terminal. Pure but for the stream. Check text_failed after a call that
 * appends.
 */
#pragma once

#include "artemis-core/base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct snapshot_saved {
    const char *file;
    const char *node;
    const char *cluster;
    uint64_t instances;
    uint64_t tombstones;
    uint64_t bytes;
};

void view_saved(const struct snapshot_saved *saved, FILE *out);
void view_saved_json(const struct snapshot_saved *saved, struct text *out);

/* Numbers of lines, in ascending order. */
struct line_list {
    uint64_t *lines;
    size_t count, capacity;
};

struct refused_line {
    uint64_t line;
    char *message; /* names the field */
    char *reason;
};

struct snapshot_restored {
    const char *file;
    const char *node;
    const char *cluster;
    bool dry_run;
    uint64_t taken;
    struct line_list newer; /* the node has a record or tombstone that is as new or newer */
    struct line_list ended; /* tombstones without effect */
    struct refused_line *refused;
    size_t refused_count, refused_capacity;
};

/* Prints the first ten refused lines. */
void view_restored(const struct snapshot_restored *restored, FILE *out);
void view_restored_json(const struct snapshot_restored *restored, struct text *out);
