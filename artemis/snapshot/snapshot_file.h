/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_file - writes and reads the bytes of a snapshot file: plain or gzip, a file or a stream.
 *
 * Writing: the name `-` is standard output. A file is written under a temporary name in its folder,
 * flushed to the disk and then renamed, so the file of that name is either the old one or a whole
 * new one. The suffix .gz selects gzip. SIGINT, SIGTERM and SIGHUP remove the temporary file.
 *
 * Reading: the name `-` is standard input. Gzip is recognized by its first bytes. A source that
 * cannot be read twice is first copied to a temporary file without a name.
 *
 * Failures fill `problem`, for people. Blocks. One thread; one file is written at a time.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_PATH_MAX    4096
#define SNAPSHOT_PROBLEM_MAX (SNAPSHOT_PATH_MAX + 256)

struct snapshot_writer;

/* ERR_INVALID_FIELD: the file cannot be written; ERR_NO_MEMORY. */
MUST_USE enum error snapshot_writer_open(const char *path, struct snapshot_writer **out,
                                         char problem[SNAPSHOT_PROBLEM_MAX]);
/* ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error snapshot_writer_add(struct snapshot_writer *writer, struct slice bytes,
                                        char problem[SNAPSHOT_PROBLEM_MAX]);
/* Makes the file complete and gives it its name. *size is its number of bytes. ERR_SYSTEM,
 * ERR_NO_MEMORY. */
MUST_USE enum error snapshot_writer_finish(struct snapshot_writer *writer, uint64_t *size,
                                           char problem[SNAPSHOT_PROBLEM_MAX]);
/* Removes what was not finished. Accepts NULL. */
void snapshot_writer_free(struct snapshot_writer *writer);

struct snapshot_reader;

/* ERR_INVALID_FIELD: the file cannot be read; ERR_NO_MEMORY. */
MUST_USE enum error snapshot_reader_open(const char *path, struct snapshot_reader **out,
                                         char problem[SNAPSHOT_PROBLEM_MAX]);
/* The next line without its line feed, valid until the next call; *ended at the end of the file. A
 * line that the file ends in counts. ERR_INVALID_JSON: the bytes are damaged or cut, or a line is
 * longer than SNAPSHOT_LINE_BYTES_MAX; ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error snapshot_reader_next(struct snapshot_reader *reader, struct slice *line,
                                         bool *ended, char problem[SNAPSHOT_PROBLEM_MAX]);
/* Starts again with the first line. ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error snapshot_reader_rewind(struct snapshot_reader *reader,
                                           char problem[SNAPSHOT_PROBLEM_MAX]);
void snapshot_reader_free(struct snapshot_reader *reader); /* accepts NULL */
