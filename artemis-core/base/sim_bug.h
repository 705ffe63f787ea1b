/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_bug - deliberate bugs, one for each invariant of the simulator, and for some mechanisms.
 *
 * `make sim-bug` compiles them in, switches on one after the other, and checks that the simulator
 * finds each. In every other build SIM_BUG is false, and the compiler removes what depends on it.
 */
#pragma once

#include <stdbool.h>

#ifdef ARTEMIS_SIM_BUG
extern int sim_bug; /* the bug that is on; 0: none. Defined by the simulator */
#define SIM_BUG(number) (sim_bug == (number))
#else
#define SIM_BUG(number) false
#endif
