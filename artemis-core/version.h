/* SPDX-License-Identifier: Apache-2.0
 *
 * version - hybrid logical clock stamps, which order the changes of a record between nodes.
 *
 * A stamp is 48 bits of wall-clock milliseconds and 16 bits of counter in one integer, so that
 * higher is later. It follows the wall clock where that moves forward and counts on where it stands
 * still or jumps back: a stamp never repeats and never goes back within a node. An overflowing
 * counter carries into the milliseconds, which is harmless: the clock only runs ahead a little.
 *
 * Pure. Equal stamps of two nodes are told apart by the node, which is not part of the stamp.
 */
#pragma once

#include <stdint.h>

/* The stamp that follows `last` at wall-clock time `wall_ms`. */
uint64_t version_next(uint64_t last, uint64_t wall_ms);

/* The wall-clock label of a stamp. */
uint64_t version_wall_ms(uint64_t version);
