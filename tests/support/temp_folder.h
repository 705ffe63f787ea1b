/* SPDX-License-Identifier: Apache-2.0
 *
 * temp_folder - a folder for the files of one test, taken away with all that is in it.
 */
#pragma once

struct temp_folder {
    char path[64];
};

void temp_folder_make(struct temp_folder *folder);

/* Writes a file, name like "config.d/10-a.toml": folders on the way are made. The full path is
 * returned and lasts until the next call. */
const char *temp_folder_write(const struct temp_folder *folder, const char *name,
                              const char *content);

void temp_folder_remove(const struct temp_folder *folder);
