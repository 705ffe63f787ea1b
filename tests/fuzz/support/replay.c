/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes each stored input of a fuzz target to it, once, without libFuzzer. So each target is
 * compiled and its inputs are read by `make unit`, also under the sanitizers. The program is named
 * replay_TARGET, and reads tests/fuzz/corpus/TARGET.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/support/fuzz.h"

enum { INPUT_BYTES = 1024 * 1024 };

/* A buffer of exactly the size of the input, so that AddressSanitizer sees a read beyond it. */
static bool replay(const char *path)
{
    static uint8_t read[INPUT_BYTES];
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t size = fread(read, 1, sizeof(read), file);
    bool complete = !ferror(file) && feof(file);
    fclose(file);
    uint8_t *input = malloc(size + (size == 0));
    if (!complete || !input) {
        free(input);
        return false;
    }
    memcpy(input, read, size);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    return true;
}

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? strstr(argv[0], "replay_") : NULL;
    if (!name)
        return 2;
    char folder[PATH_MAX], path[2 * PATH_MAX];
    snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("replay_"));
    DIR *inputs = opendir(folder);
    if (!inputs) {
        perror(folder);
        return 1;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(inputs));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (!replay(path)) {
            fprintf(stderr, "%s cannot be read\n", path);
            return 1;
        }
        count++;
    }
    closedir(inputs);
    LLVMFuzzerTestOneInput(NULL, 0);
    printf("%d inputs of %s\n", count, folder);
    return count > 0 ? 0 : 1;
}
