/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/local/audit_merge.h"

#include <errno.h>
#include <string.h>

static const char *const names[AUDIT_MERGE_FILES] = {AUDIT_FILE_NAME, AUDIT_FAILURES_NAME};

static bool is_open(const struct audit_merge_source *source)
{
    return source->reader.line != NULL;
}

/* A file that does not exist is opened later. */
static enum error open_source(const struct audit_merge *merge, struct audit_merge_source *source)
{
    return is_open(source) ? ERR_NONE
                           : audit_reader_open(&source->reader, merge->folder, source->name);
}

enum error audit_merge_open(struct audit_merge *merge, const char *folder)
{
    *merge = (struct audit_merge){.folder = folder};
    size_t missing = 0;
    for (size_t i = 0; i < AUDIT_MERGE_FILES; i++) {
        merge->sources[i].name = names[i];
        enum error error = open_source(merge, &merge->sources[i]);
        missing += error != ERR_NONE;
        if (error && (errno != ENOENT || missing == AUDIT_MERGE_FILES)) {
            int reason = errno;
            audit_merge_close(merge);
            errno = reason;
            return error;
        }
    }
    return ERR_NONE;
}

void audit_merge_close(struct audit_merge *merge)
{
    for (size_t i = 0; i < AUDIT_MERGE_FILES; i++)
        audit_reader_close(&merge->sources[i].reader);
    *merge = (struct audit_merge){0};
}

/* The time of a record, which is its first member, up to the quote; "" for another line. */
static struct slice time_of(const char *line)
{
    static const char start[] = "{\"time\":\"";
    if (strncmp(line, start, sizeof(start) - 1) != 0)
        return (struct slice){"", 0};
    const char *time = line + sizeof(start) - 1;
    return (struct slice){time, strcspn(time, "\"")};
}

static bool is_earlier(const char *a, const char *b)
{
    struct slice time_a = time_of(a);
    struct slice time_b = time_of(b);
    size_t size = time_a.size < time_b.size ? time_a.size : time_b.size;
    int order = memcmp(time_a.data, time_b.data, size);
    return order < 0 || (order == 0 && time_a.size < time_b.size);
}

const char *audit_merge_next(struct audit_merge *merge)
{
    struct audit_merge_source *first = NULL;
    for (size_t i = 0; i < AUDIT_MERGE_FILES; i++) {
        struct audit_merge_source *source = &merge->sources[i];
        if (!source->next && !open_source(merge, source))
            source->next = audit_reader_next(&source->reader);
        if (source->next && (!first || is_earlier(source->next, first->next)))
            first = source;
    }
    if (!first)
        return NULL;
    const char *line = first->next;
    first->next = NULL;
    return line;
}
