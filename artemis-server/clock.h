/* SPDX-License-Identifier: Apache-2.0
 *
 * clock - the only place that reads one. Any thread.
 */
#pragma once

#include "artemis-core/base/moment.h"

struct moment clock_now(void);
uint64_t clock_mono_ns(void); /* for measuring how long something took */
