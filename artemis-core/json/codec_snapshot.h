/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_snapshot - the lines of a snapshot file (artemis snapshot), which are JSON objects.
 *
 *     {"artemis_snapshot":1,"cluster_id":"c","node_id":"n1","time":"2026-02-14T08:00:00.123Z"}
 *     an instance as on the wire, with "version", "origin", "age_ms"
 *     the key of a tombstone with the same members and "deleted":true
 *     {"complete":true,"instances":1,"tombstones":1}
 *
 * The last line shows that the file was not cut. snapshot_check reads a file line by line and
 * decides whether the file as a whole can be restored.
 *
 * Pure.
 */
#pragma once

#include "artemis-core/json/codec.h"

enum { SNAPSHOT_FORMAT = 1, SNAPSHOT_LINE_BYTES_MAX = 256 * 1024 };

struct snapshot_head {
    char cluster_id[ID_BYTES_MAX + 1];
    char node_id[ID_BYTES_MAX + 1];
};

/* Each appends one line with its line feed. */
void codec_write_snapshot_head(struct text *out, const struct snapshot_head *head,
                               uint64_t wall_ms);
void codec_write_snapshot_record(struct text *out, const struct wire_record *record);
void codec_write_snapshot_end(struct text *out, uint64_t instances, uint64_t tombstones);

/* The state of reading a file. Initialize it with zero. */
struct snapshot_check {
    uint64_t lines; /* read so far; the number of the last one */
    struct snapshot_head head;
    uint64_t instances;
    uint64_t tombstones;
    bool is_complete; /* the last line was read */
};

enum snapshot_line { SNAPSHOT_HEAD, SNAPSHOT_RECORD, SNAPSHOT_END };

/* Checks the next line, without its line feed. ERR_INVALID_JSON, ERR_INVALID_FIELD: *message says
 * why, without the number of the line; ERR_NO_MEMORY. */
MUST_USE enum error snapshot_check_line(struct snapshot_check *check, struct slice line,
                                        enum snapshot_line *kind, char message[MESSAGE_BYTES]);
/* At the end of the file: as above, if the last line is missing. */
MUST_USE enum error snapshot_check_end(const struct snapshot_check *check,
                                       char message[MESSAGE_BYTES]);
