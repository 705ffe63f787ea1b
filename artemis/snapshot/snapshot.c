/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/snapshot/snapshot.h"

#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_INTERVAL_MS = 250 };

static uint64_t now_ms(void)
{
    struct timespec time = {0};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

void snapshot_progress_show(struct snapshot_progress *progress, const char *what, uint64_t count)
{
    char text[VIEW_COUNT_MAX];
    uint64_t time_ms = now_ms();
    if (time_ms < progress->next_ms || !isatty(STDERR_FILENO))
        return;
    if (progress->next_ms) { /* short work shows nothing */
        fprintf(stderr, "\r%s %s records", what, terminal_text_count(count, text));
        progress->is_shown = true;
    }
    progress->next_ms = time_ms + PROGRESS_INTERVAL_MS;
}

void snapshot_progress_clear(struct snapshot_progress *progress)
{
    if (progress->is_shown)
        fputs("\r\033[K", stderr);
    progress->is_shown = false;
}
