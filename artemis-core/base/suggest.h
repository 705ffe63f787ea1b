/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest - "did you mean ...?" for a word that was mistyped.
 *
 * Offer every word there is; the nearest stays in `best`, or NULL when none is near enough to be
 * meant: at most two slips (a letter too many, missing, wrong, or swapped with its neighbour) in at
 * most half of the letters, or the beginning of the word.
 *
 *     struct suggestion near = {.word = typed};
 *     suggest_consider(&near, "register");
 *     if (near.best) ...
 *
 * Pure. The words are borrowed.
 */
#pragma once

#include <stddef.h>

struct suggestion {
    const char *word; /* as typed */
    const char *best; /* the nearest so far, or NULL */
    size_t distance;  /* of `best`; means nothing without one */
};

enum { SUGGEST_WORD_MAX = 40 }; /* longer words are not names of ours */

/* The slips between two words of at most SUGGEST_WORD_MAX letters. */
size_t suggest_distance(const char *a, const char *b);

void suggest_consider(struct suggestion *suggestion, const char *candidate);
