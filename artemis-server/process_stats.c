/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Reads the sizes from /proc/self/statm, in pages. */
static void read_memory(struct process_stats *out)
{
    char text[128] = "";
    unsigned long total = 0;
    unsigned long resident = 0;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t size = read(file, text, sizeof(text) - 1);
    close(file);
    if (size <= 0 || sscanf(text, "%lu %lu", &total, &resident) != 2)
        return;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    out->virtual_bytes = total * page_bytes;
    out->resident_bytes = resident * page_bytes;
}

/* Counts the entries of /proc/self/fd, without the one of the folder itself. */
static void count_files(struct process_stats *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        out->open_files += entry->d_name[0] != '.';
    closedir(folder);
    if (out->open_files)
        out->open_files--;
}

void process_stats(struct process_stats *out)
{
    struct rusage usage;
    struct rlimit limit;
    memset(out, 0, sizeof(*out));
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_files = limit.rlim_cur;
    read_memory(out);
    count_files(out);
}
