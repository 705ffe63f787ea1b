/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/suggest.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define DISTANCE_MAX 2

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    assert(a_length <= SUGGEST_WORD_MAX && b_length <= SUGGEST_WORD_MAX);
    size_t cost[SUGGEST_WORD_MAX + 1][SUGGEST_WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= b_length; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= a_length; i++)
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            size_t best = smaller(cost[i - 1][j], cost[i][j - 1]) + 1;
            best = smaller(best, cost[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = smaller(best, cost[i - 2][j - 2] + 1);
            cost[i][j] = best;
        }
    return cost[a_length][b_length];
}

void suggest_consider(struct suggestion *suggestion, const char *candidate)
{
    size_t typed = strlen(suggestion->word);
    size_t length = strlen(candidate);
    if (typed == 0 || typed > SUGGEST_WORD_MAX || length > SUGGEST_WORD_MAX)
        return;
    bool begins = strncmp(suggestion->word, candidate, typed) == 0;
    size_t edits = begins ? 1 : suggest_distance(suggestion->word, candidate);
    size_t letters = typed > length ? typed : length;
    if (!begins && (edits > DISTANCE_MAX || 3 * edits > letters))
        return;
    if (suggestion->best && suggestion->distance <= edits)
        return;
    suggestion->best = candidate;
    suggestion->distance = edits;
}
