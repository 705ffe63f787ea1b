/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_merge - reads the audit log of a node: the records of its two files (artemis-server/audit/
 * audit.h) in order of time, oldest first.
 *
 * The records of one file keep their order, also where the clock was set back. Not thread-safe.
 */
#pragma once

#include "artemis/local/audit_reader.h"

enum { AUDIT_MERGE_FILES = 2 };

struct audit_merge {
    const char *folder; /* borrowed */
    struct audit_merge_source {
        const char *name;
        struct audit_reader reader; /* not open without a line */
        const char *next;           /* the first line that is not returned; NULL: not read */
    } sources[AUDIT_MERGE_FILES];
};

/* Opens the files in a folder. ERR_SYSTEM and ERR_NO_MEMORY, with errno; ENOENT: there is none. */
MUST_USE enum error audit_merge_open(struct audit_merge *merge, const char *folder);
void audit_merge_close(struct audit_merge *merge);
/* The next line without its line break, valid until the next call; NULL: there is none now. After
 * NULL, a later call returns lines that were written meanwhile. */
const char *audit_merge_next(struct audit_merge *merge);
