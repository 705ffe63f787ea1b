/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/terminal/input_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES (64u << 20)

static enum error refuse(const char *path, const char *why, char problem[ARGS_PROBLEM_MAX])
{
    snprintf(problem, ARGS_PROBLEM_MAX, "cannot read the file %.128s: %s", path, why);
    return ERR_INVALID_FIELD;
}

static enum error read_stream(FILE *file, const char *path, struct text *text,
                              char problem[ARGS_PROBLEM_MAX])
{
    char block[8192];
    size_t length = 0;
    while ((length = fread(block, 1, sizeof block, file)) > 0) {
        if (text->size + length > FILE_MAX_BYTES)
            return refuse(path, "it is larger than 64 MiB", problem);
        text_append(text, block, length);
    }
    if (ferror(file))
        return refuse(path, strerror(errno), problem);
    if (text_failed(text))
        return ERR_NO_MEMORY;
    return text->size > 0 ? ERR_NONE : refuse(path, "it is empty", problem);
}

enum error input_file_read(const char *path, struct text *text, char problem[ARGS_PROBLEM_MAX])
{
    if (strcmp(path, "-") == 0)
        return read_stream(stdin, path, text, problem);
    FILE *file = fopen(path, "re");
    if (!file)
        return refuse(path, strerror(errno), problem);
    enum error error = read_stream(file, path, text, problem);
    fclose(file);
    return error;
}
