/* SPDX-License-Identifier: Apache-2.0
 *
 * temp_folder - a folder for the files of one test; removing it removes its content.
 */
#pragma once

struct temp_folder {
    char path[64];
};

void temp_folder_make(struct temp_folder *folder);

/* Writes a file with a name like "config.d/10-a.toml" and creates its folders. Returns its full
 * path, valid until the next call. */
const char *temp_folder_write(const struct temp_folder *folder, const char *name,
                              const char *content);

void temp_folder_remove(const struct temp_folder *folder);
