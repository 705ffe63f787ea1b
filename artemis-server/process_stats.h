/* SPDX-License-Identifier: Apache-2.0
 *
 * process_stats - what the system says about this process: processor time, memory, files. Any
 * thread.
 */
#pragma once

#include <stdint.h>

struct process_stats {
    double cpu_seconds; /* of all threads, in user and system mode */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_files;
    uint64_t max_files; /* soft limit */
};

/* Values that cannot be read are 0. */
void process_stats(struct process_stats *out);
