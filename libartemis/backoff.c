/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/backoff.h"

uint64_t backoff_ms(unsigned failures, uint64_t random)
{
    uint64_t longest = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && longest < BACKOFF_MAX_MS; i++)
        longest *= 2;
    if (longest > BACKOFF_MAX_MS)
        longest = BACKOFF_MAX_MS;
    return longest - random % (longest / 2 + 1);
}
