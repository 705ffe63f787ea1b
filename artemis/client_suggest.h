/* SPDX-License-Identifier: Apache-2.0
 *
 * client_suggest - "did you mean ...?" for a word that was mistyped.
 *
 * Offer every word there is; the nearest stays in `best`, or NULL when none is near enough to be
 * meant: at most two slips (a letter too many, missing, wrong, or swapped with its neighbour) in at
 * most half of the letters, or the beginning of the word.
 *
 *     struct client_suggestion near = {.word = typed};
 *     client_suggest_offer(&near, "register");
 *     if (near.best) ...
 *
 * Pure. The words are borrowed.
 */
#pragma once

#include <stddef.h>

struct client_suggestion {
    const char *word; /* as typed */
    const char *best; /* the nearest so far, or NULL */
    size_t distance;  /* of `best`; means nothing without one */
};

void client_suggest_offer(struct client_suggestion *suggestion, const char *candidate);
