/* SPDX-License-Identifier: Apache-2.0
 *
 * load_balancer - chooses one of many: in turn, at random, or at random by weight.
 *
 * Candidates are the indexes below `count` for which `fits` is true. The functions return an index,
 * or `count` if there is no candidate. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef bool load_balancer_fits(const void *context, uint32_t index);
typedef uint32_t load_balancer_weight(const void *context, uint32_t index); /* of a candidate */

/* The first candidate from *position on; *position moves behind it. */
uint32_t load_balancer_next(uint32_t count, load_balancer_fits *fits, const void *context,
                            uint32_t *position);
/* A candidate that follows from `random`; each is equally likely. */
uint32_t load_balancer_random(uint32_t count, load_balancer_fits *fits, const void *context,
                              uint32_t random);
/* The sum of the weights of all candidates. */
uint64_t load_balancer_total(uint32_t count, load_balancer_fits *fits, load_balancer_weight *weight,
                             const void *context);
/* A candidate that follows from `random`, each as likely as its weight says. If no candidate has a
 * weight above 0, each is equally likely. */
uint32_t load_balancer_weighted(uint32_t count, load_balancer_fits *fits,
                                load_balancer_weight *weight, const void *context, uint32_t random);
