/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

struct moment clock_now(void)
{
    return (struct moment){.mono_ms = read_ns(CLOCK_MONOTONIC) / 1000000,
                           .wall_ms = read_ns(CLOCK_REALTIME) / 1000000};
}

uint64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}
