/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_argument - converts the struct artemis_instance that a caller passes to a struct
 * instance of artemis-core, and checks it.
 *
 * Pure.
 */
#pragma once

#include "libartemis/artemis.h"

#include "artemis-core/base/error.h"
#include "artemis-core/model/instance.h"

/* `region_id` and `zone_id` replace absent ones. ERR_INVALID_FIELD with *problem, ERR_NO_MEMORY. */
MUST_USE enum error instance_argument_read(const struct artemis_instance *from,
                                           const char *region_id, const char *zone_id,
                                           struct instance **out, struct field_problem *problem);
/* Reads the identity only. ERR_INVALID_FIELD with *problem. */
MUST_USE enum error instance_argument_read_key(const struct artemis_instance *from,
                                               const char *region_id, const char *zone_id,
                                               struct instance_key *out,
                                               struct field_problem *problem);
/* Creates an instance with this identity and a placeholder as its address. ERR_INVALID_FIELD with
 * *problem, ERR_NO_MEMORY. */
MUST_USE enum error instance_argument_read_identity(const struct artemis_instance *from,
                                                    const char *region_id, const char *zone_id,
                                                    struct instance **out,
                                                    struct field_problem *problem);
/* Creates a copy of the instance with another status. ERR_INVALID_FIELD with *problem,
 * ERR_NO_MEMORY. */
MUST_USE enum error instance_with_status(const struct instance *from, const char *status,
                                         struct instance **out, struct field_problem *problem);
