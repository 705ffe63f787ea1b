/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t wait_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool wait_slow_build(void)
{
    const char *binary = getenv("ARTEMIS_BINARY");
    return binary != NULL && strstr(binary, "san/") != NULL;
}

int64_t wait_timeout_ms(void)
{
    return wait_slow_build() ? 60000 : 15000;
}

int64_t wait_deadline_ms(void)
{
    return wait_now_ms() + wait_timeout_ms();
}

void wait_for_time(int64_t time_ms)
{
    for (int64_t left = time_ms - wait_now_ms(); left > 0; left = time_ms - wait_now_ms()) {
        nanosleep(&(struct timespec){left / 1000, left % 1000 * 1000000}, NULL);
    }
}

bool wait_until(bool (*condition)(void *context), void *context, int64_t deadline_ms)
{
    while (!condition(context)) {
        if (wait_now_ms() >= deadline_ms) {
            return false;
        }
        wait_for_time(wait_now_ms() + 5);
    }
    return true;
}

bool wait_readable(int fd, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - wait_now_ms();
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        int found = poll(&watched, 1, left > 0 ? (int)left : 0);
        if (found > 0) {
            return true;
        }
        if (found == 0 || errno != EINTR) {
            return false;
        }
    }
}
