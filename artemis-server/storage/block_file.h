/* SPDX-License-Identifier: Apache-2.0
 *
 * block_file - keeps the block list of a node over a restart: blocked.json in storage.data_dir.
 *
 * The file is replaced as a whole: after a power failure it is the old one or the new one. One
 * thread at a time.
 */
#pragma once

#include "artemis-server/cluster/blocks.h"

#define BLOCK_FILE "blocked.json"

/* Merges the file into an empty list. A file that cannot be read is reported in the log, and
 * replaced at the next change; the peers have the list too. */
void block_file_load(const char *folder, struct blocks *blocks);
/* Writes the list if it has changed since the last call. A failure is logged once, and the next
 * call tries again. */
void block_file_store(const char *folder, struct blocks *blocks);
