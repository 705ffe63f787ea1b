/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_reader - reads the lines of a file of the audit log and of its earlier files, oldest first
 * (artemis-server/audit/audit_file.h).
 *
 * A file that is renamed meanwhile is read once and as a whole. The last line is returned only with
 * its line break. A line above AUDIT_LINE_BYTES_MAX, which is no record, is cut. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "artemis-core/base/error.h"
#include "artemis-server/audit/audit_file.h"

enum {
    AUDIT_READER_FILES_MAX = AUDIT_FILES_MAX + 1,
    AUDIT_LINE_BYTES_MAX = 1024 * 1024, /* the queue of the node takes no larger record */
};

struct audit_reader {
    char path[AUDIT_PATH_BYTES];
    FILE *files[AUDIT_READER_FILES_MAX]; /* from the newest to the oldest */
    size_t left;                         /* files that are not read to their end */
    char *line;                          /* NULL: it is not open */
};

/* Opens the files of this name in a folder. ERR_SYSTEM and ERR_NO_MEMORY, with errno; ENOENT: there
 * is none. */
MUST_USE enum error audit_reader_open(struct audit_reader *reader, const char *folder,
                                      const char *name);
void audit_reader_close(struct audit_reader *reader);
/* The next line without its line break, valid until the next call; NULL: there is none now. After
 * NULL, a later call returns lines that were written meanwhile. */
const char *audit_reader_next(struct audit_reader *reader);
