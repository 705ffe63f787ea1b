/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client_suggest.h"

#include <string.h>

#define WORD_MAX     32 /* longer words are not names of ours */
#define DISTANCE_MAX 2

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits between two words of at most WORD_MAX letters, where swapped neighbours count as one. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t cost[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= b_length; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= a_length; i++)
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            size_t best = least(cost[i - 1][j], cost[i][j - 1]) + 1;
            best = least(best, cost[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = least(best, cost[i - 2][j - 2] + 1);
            cost[i][j] = best;
        }
    return cost[a_length][b_length];
}

void client_suggest_offer(struct client_suggestion *suggestion, const char *candidate)
{
    size_t typed = strlen(suggestion->word);
    size_t length = strlen(candidate);
    if (typed == 0 || typed > WORD_MAX || length > WORD_MAX)
        return;
    size_t edits = strncmp(suggestion->word, candidate, typed) == 0
                       ? 1
                       : distance(suggestion->word, typed, candidate, length);
    if (edits > DISTANCE_MAX || 2 * edits > length)
        return;
    if (suggestion->best && suggestion->distance <= edits)
        return;
    suggestion->best = candidate;
    suggestion->distance = edits;
}
