/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/shutdown.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis/terminal/exit_code.h"

enum { MS_PER_SEC = 1000, NS_PER_MS = 1000000, WAKE_SIGNAL = SIGUSR1 };

static void end_process(void)
{
    log_event(LOG_LEVEL_ERROR, "the shutdown took too long; the process ends now",
              LOG_NUMBER("limit_secs", SHUTDOWN_SECS_MAX));
    log_stop();
    _exit(EXIT_REFUSED);
}

/* Waits for a signal until the deadline. Returns it, or -1. */
static int wait_for_signal(const sigset_t *signals, uint64_t deadline_ms)
{
    uint64_t now_ms = clock_now().mono_ms;
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    const struct timespec left = {
        .tv_sec = (time_t)(left_ms / MS_PER_SEC),
        .tv_nsec = (long)(left_ms % MS_PER_SEC) * NS_PER_MS,
    };
    return sigtimedwait(signals, NULL, &left);
}

static void *run(void *argument)
{
    struct shutdown_watch *watch = argument;
    uint64_t deadline_ms = clock_now().mono_ms + SHUTDOWN_SECS_MAX * (uint64_t)MS_PER_SEC;
    while (clock_now().mono_ms < deadline_ms) {
        int number = wait_for_signal(watch->signals, deadline_ms);
        if (atomic_load(&watch->has_ended))
            return NULL;
        if (number != SIGTERM && number != SIGINT)
            continue;
        if (atomic_exchange(&watch->is_hurried, true))
            continue;
        log_event(LOG_LEVEL_WARN, "a second signal: requests and peers get 1 s more at most",
                  LOG_TEXT("signal", sigabbrev_np(number)));
    }
    end_process();
    return NULL;
}

void shutdown_watch_start(struct shutdown_watch *watch, const sigset_t *signals)
{
    *watch = (struct shutdown_watch){.signals = signals};
    watch->is_started = pthread_create(&watch->thread, NULL, run, watch) == 0;
    if (watch->is_started)
        pthread_setname_np(watch->thread, "shutdown");
}

void shutdown_watch_stop(struct shutdown_watch *watch)
{
    if (!watch->is_started)
        return;
    atomic_store(&watch->has_ended, true);
    pthread_kill(watch->thread, WAKE_SIGNAL);
    pthread_join(watch->thread, NULL);
    watch->is_started = false;
}
