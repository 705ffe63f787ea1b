/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest - finds the word that a mistyped one was meant to be.
 *
 * Pass every candidate to suggest_consider; the closest one is then in `best`. `best` stays NULL
 * when no candidate is close enough. A candidate is close when it differs by at most two edits (a
 * letter added, missing, wrong, or swapped with the next), one for each three letters of the
 * longer word, or when the word is the beginning of it.
 *
 *     struct suggestion suggestion = {.word = typed};
 *     suggest_consider(&suggestion, "register");
 *     if (suggestion.best) ...
 *
 * Pure. Words are borrowed.
 */
#pragma once

#include <stddef.h>

struct suggestion {
    const char *word; /* as typed */
    const char *best; /* the closest candidate, or NULL */
    size_t distance;  /* of `best`, in edits; undefined while `best` is NULL */
};

enum { SUGGEST_WORD_MAX = 40 }; /* longer words are not considered */

/* The number of edits between two words of at most SUGGEST_WORD_MAX letters. A swap of neighbouring
 * letters is one edit. */
size_t suggest_distance(const char *a, const char *b);

void suggest_consider(struct suggestion *suggestion, const char *candidate);
