/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/backoff.h"

uint64_t backoff_ms(unsigned failures, uint64_t random)
{
    uint64_t wait_ms = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    if (wait_ms > BACKOFF_MAX_MS)
        wait_ms = BACKOFF_MAX_MS;
    return wait_ms - random % (wait_ms / 2 + 1);
}
