/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/local/audit_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_same_file(FILE *file, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fileno(file), &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* From the newest file on: one that is renamed meanwhile is met again under its next name. */
enum error audit_reader_open(struct audit_reader *reader, const char *folder, const char *name)
{
    char path[AUDIT_PATH_BYTES];
    *reader = (struct audit_reader){0};
    snprintf(reader->path, sizeof(reader->path), "%s/%s", folder, name);
    for (uint32_t number = 0; reader->left < AUDIT_READER_FILES_MAX; number++) {
        audit_file_path(reader->path, number, path);
        if (reader->left > 0 && is_same_file(reader->files[reader->left - 1], path))
            continue;
        FILE *file = fopen(path, "re");
        if (!file && number == 0 && errno == ENOENT)
            continue; /* just renamed, or never written */
        if (!file)
            break;
        reader->files[reader->left++] = file;
    }
    if (reader->left == 0)
        return ERR_SYSTEM;
    reader->line = malloc(AUDIT_LINE_BYTES_MAX + 1);
    if (reader->line)
        return ERR_NONE;
    audit_reader_close(reader);
    errno = ENOMEM;
    return ERR_NO_MEMORY;
}

void audit_reader_close(struct audit_reader *reader)
{
    for (size_t i = 0; i < AUDIT_READER_FILES_MAX; i++)
        if (reader->files[i])
            fclose(reader->files[i]);
    free(reader->line);
    *reader = (struct audit_reader){0};
}

/* Reads a whole line. A part of one is read again later. */
static bool read_line(struct audit_reader *reader, FILE *file)
{
    long start = ftell(file);
    size_t size = 0;
    int next;
    clearerr(file);
    while ((next = getc_unlocked(file)) != EOF && next != '\n')
        if (size < AUDIT_LINE_BYTES_MAX)
            reader->line[size++] = (char)next;
    reader->line[size] = '\0';
    if (next == EOF && size > 0)
        fseek(file, start, SEEK_SET);
    return next == '\n';
}

/* Opens the file that follows the one that is read, which has been renamed, perhaps several times;
 * the newest if it was removed. NULL: there is none yet. */
static FILE *open_successor(const struct audit_reader *reader)
{
    char own[AUDIT_PATH_BYTES];
    char next[AUDIT_PATH_BYTES];
    for (uint32_t number = 1; number < AUDIT_READER_FILES_MAX; number++) {
        audit_file_path(reader->path, number, own);
        if (!is_same_file(reader->files[0], own))
            continue;
        audit_file_path(reader->path, number - 1, next);
        FILE *file = fopen(next, "re");
        if (!file || is_same_file(reader->files[0], own))
            return file;
        fclose(file); /* both were renamed meanwhile: this one has the next number now */
    }
    return fopen(reader->path, "re");
}

/* False: there is no further file yet. */
static bool open_next(struct audit_reader *reader)
{
    FILE *file = open_successor(reader);
    if (!file)
        return false;
    fclose(reader->files[0]);
    reader->files[0] = file;
    return true;
}

const char *audit_reader_next(struct audit_reader *reader)
{
    while (reader->left > 1) {
        FILE *file = reader->files[reader->left - 1];
        if (read_line(reader, file))
            return reader->line;
        fclose(file);
        reader->files[--reader->left] = NULL;
    }
    for (;;) {
        if (read_line(reader, reader->files[0]))
            return reader->line;
        if (is_same_file(reader->files[0], reader->path))
            return NULL;
        /* A line may have been written before the file was renamed. */
        if (read_line(reader, reader->files[0]))
            return reader->line;
        if (!open_next(reader))
            return NULL;
    }
}
