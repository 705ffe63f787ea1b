/* SPDX-License-Identifier: Apache-2.0
 *
 * view_filter - applies the filter of a caller (struct artemis_filter) to instances as callers see
 * them. Servers push every instance of a service, and the client selects.
 *
 * Pure; any thread.
 */
#pragma once

#include "artemis-core/model/instance_filter.h"
#include "libartemis/base/shared_instance.h"

/* Reads the filter of a caller, whose texts *out borrows. `statuses` counts if it has no status.
 * ERR_INVALID_FIELD: `problem` names the field. */
MUST_USE enum error view_filter_read(const struct artemis_filter *filter, unsigned statuses,
                                     struct instance_filter *out, struct field_problem *problem);
/* Copies a filter; *texts holds what the copy borrows, to be freed by the caller. ERR_NO_MEMORY. */
MUST_USE enum error view_filter_copy(const struct instance_filter *filter,
                                     struct instance_filter *out, char **texts);

bool view_filter_matches(const struct instance_filter *filter,
                         const struct artemis_instance *instance);
/* Puts the instances that match into `out`, which has memory for `count`, the nearest first.
 * Returns how many they are. */
size_t view_filter_select(const struct instance_filter *filter,
                          struct shared_instance *const *instances, size_t count,
                          const struct artemis_instance **out, struct near_counts *near);
