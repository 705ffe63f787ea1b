/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_file - a file of the audit log: appends lines, and rotates by size.
 *
 * The current file is FOLDER/NAME. When a line would make it larger than the limit, it becomes
 * NAME.1, the earlier NAME.1 becomes NAME.2, and so on; the oldest file is removed, and so are
 * files of a larger earlier limit. Files have mode 0600; one that others may use gets it. A line is
 * in the file as a whole or not at all: what a full disk has cut is removed, and after a power
 * failure the next line begins on a line of its own.
 *
 * A file that another program has moved or removed is created again. Calls block on the disk. One
 * thread uses a struct audit_file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

#define AUDIT_FILE_NAME     "audit.log"
#define AUDIT_FAILURES_NAME "audit-failures.log"
enum { AUDIT_PATH_BYTES = 320, AUDIT_FILES_MAX = 100 /* the limit of audit.max_files */ };

struct audit_file {
    char path[AUDIT_PATH_BYTES];
    uint64_t bytes_max; /* of one file */
    uint32_t files_max; /* with the current one; at least 2 */
    int fd;             /* -1: not open */
    uint64_t size;
    bool is_tidied; /* earlier files have been removed, or got their mode */
};

void audit_file_init(struct audit_file *file, const char *folder, const char *name,
                     uint64_t bytes_max, uint32_t files_max);
/* Appends a line, its line break included. Returns 0 or an errno; then nothing was appended. */
int audit_file_append(struct audit_file *file, struct slice line);
/* Waits until the appended lines are on the disk. Returns 0 or an errno. */
int audit_file_sync(struct audit_file *file);
void audit_file_close(struct audit_file *file);

/* Writes the path of a file: 0 is the current one, 1 the newest of the earlier ones. */
void audit_file_path(const char *current, uint32_t number, char out[AUDIT_PATH_BYTES]);
