/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/shutdown.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis/terminal/exit_code.h"

enum { MS_PER_SEC = 1000, NS_PER_MS = 1000000, WAKE_SIGNAL = SIGUSR1 };

const struct shutdown_limits shutdown_limits = {
    .requests_ms = 30 * MS_PER_SEC,
    .peers_ms = 20 * MS_PER_SEC,
    .storage_ms = 60 * MS_PER_SEC,
    .all_ms = 120 * MS_PER_SEC,
    .hurried_ms = MS_PER_SEC,
    .hurried_all_ms = 10 * MS_PER_SEC,
};

uint64_t shutdown_next_limit_ms(const struct shutdown_limits *limits, uint64_t started_ms,
                                uint64_t second_signal_ms, uint64_t now_ms, bool *is_last)
{
    uint64_t end_ms = started_ms + limits->all_ms;
    if (second_signal_ms && second_signal_ms + limits->hurried_all_ms < end_ms)
        end_ms = second_signal_ms + limits->hurried_all_ms;
    uint64_t storage_ms = started_ms + limits->storage_ms;
    *is_last = now_ms >= storage_ms || storage_ms >= end_ms;
    return *is_last ? end_ms : storage_ms;
}

static void end_process(uint64_t started_ms)
{
    log_event(LOG_LEVEL_ERROR, "the shutdown took too long; the process ends now",
              LOG_NUMBER("duration_ms", clock_now().mono_ms - started_ms));
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

static void hurry(struct shutdown_watch *watch, int signal_number)
{
    log_event(LOG_LEVEL_WARN, "a second signal: each phase of the shutdown is shortened",
              LOG_TEXT("signal", sigabbrev_np(signal_number)),
              LOG_NUMBER("phase_ms", watch->limits.hurried_ms),
              LOG_NUMBER("all_ms", watch->limits.hurried_all_ms));
    atomic_store(&watch->is_hurried, true);
}

static void *run(void *argument)
{
    struct shutdown_watch *watch = argument;
    uint64_t second_ms = 0; /* of the second signal */
    for (;;) {
        bool is_last;
        uint64_t limit_ms = shutdown_next_limit_ms(&watch->limits, watch->started_ms, second_ms,
                                                   clock_now().mono_ms, &is_last);
        int number = wait_for_signal(watch->signals, limit_ms);
        uint64_t now_ms = clock_now().mono_ms;
        if (atomic_load(&watch->has_ended))
            return NULL;
        if (now_ms >= limit_ms && is_last)
            end_process(watch->started_ms);
        if (now_ms >= limit_ms)
            log_event(LOG_LEVEL_ERROR,
                      "the shutdown takes long: peers or the disk do not respond; the process ends "
                      "at the limit",
                      LOG_NUMBER("duration_ms", now_ms - watch->started_ms),
                      LOG_NUMBER("limit_ms", watch->limits.all_ms));
        if ((number == SIGTERM || number == SIGINT) && !second_ms) {
            second_ms = now_ms;
            hurry(watch, number);
        }
    }
}

void shutdown_watch_start(struct shutdown_watch *watch, const struct shutdown_limits *limits,
                          const sigset_t *signals)
{
    *watch = (struct shutdown_watch){
        .signals = signals,
        .limits = *limits,
        .started_ms = clock_now().mono_ms,
    };
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
