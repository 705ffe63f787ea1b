/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/clock.h"

#include <sys/random.h>
#include <time.h>

static struct timespec read_clock(clockid_t which)
{
    struct timespec time = {0};
    clock_gettime(which, &time);
    return time;
}

uint64_t client_clock_ms(void)
{
    struct timespec time = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

int64_t client_clock_wall_ms(void)
{
    struct timespec time = read_clock(CLOCK_REALTIME);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

uint64_t client_clock_wall_us(void)
{
    struct timespec time = read_clock(CLOCK_REALTIME);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t client_clock_random(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        number = (uint64_t)read_clock(CLOCK_MONOTONIC).tv_nsec;
    return number;
}
