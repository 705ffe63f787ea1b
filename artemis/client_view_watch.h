/* SPDX-License-Identifier: Apache-2.0
 *
 * client_view_watch - what the client library tells, for people and as JSON.
 *
 * All text is made safe. JSON is in snake_case, one document a line, in the shapes of the contract
 * (Change, and the answer of /api/discovery/services). Pure but for the stream; what is shown is
 * borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "libartemis/artemis.h"

#include <stdio.h>

/* Time, kind of change, instance, address and status, with two blanks between. */
void client_view_change(const struct artemis_change *change, FILE *out);
/* ERR_NO_MEMORY: nothing was printed. */
MUST_USE enum error client_view_change_json(const struct artemis_change *change, FILE *out);

/* A line for each service of `all` ("*"), as client_view_services; and a sentence if it is stale.
 * ERR_NO_MEMORY. */
MUST_USE enum error client_view_registry(const struct artemis_service *all, FILE *out,
                                         size_t columns_max);
MUST_USE enum error client_view_registry_json(const struct artemis_service *all, FILE *out);
