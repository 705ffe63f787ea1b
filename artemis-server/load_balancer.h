/* SPDX-License-Identifier: Apache-2.0
 *
 * load_balancer - chooses one of many: in turn, or at random.
 *
 * Candidates are the indexes below `count` for which `fits` is true. Both functions return an
 * index, or `count` if there is no candidate. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef bool load_balancer_fits(const void *context, uint32_t index);

/* The first candidate from *position on; *position moves behind it. */
uint32_t load_balancer_next(uint32_t count, load_balancer_fits *fits, const void *context,
                            uint32_t *position);
/* A candidate that follows from `random`; each is equally likely. */
uint32_t load_balancer_random(uint32_t count, load_balancer_fits *fits, const void *context,
                              uint32_t random);
