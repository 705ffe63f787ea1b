/* SPDX-License-Identifier: Apache-2.0
 *
 * topic_name - the names of the topics to which events are published.
 *
 * A name is 1 to TOPIC_BYTES_MAX bytes of a-z, 0-9, '.', '_' and '-'. Names that begin with
 * "artemis." are reserved: only nodes publish to them.
 *
 * Pure and thread-safe.
 */
#pragma once

#include "artemis-core/base/text.h"

enum { TOPIC_BYTES_MAX = 128 };

#define TOPIC_CLUSTER "artemis.cluster" /* members that join and leave, providers that fail */
#define TOPIC_GUARD   "artemis.guard"   /* mass-expiry guards that engage and are released */

/* The rule, for messages. */
extern const char topic_name_rule[];

bool topic_name_is_valid(struct slice topic);
bool topic_name_is_reserved(struct slice topic);
