/* SPDX-License-Identifier: Apache-2.0
 *
 * clock - reads the system clocks. No other file of the server does. Any thread.
 */
#pragma once

#include "artemis-core/base/moment.h"

struct moment clock_now(void);
uint64_t clock_mono_ns(void); /* for measuring durations */
