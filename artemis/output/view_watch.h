/* SPDX-License-Identifier: Apache-2.0
 *
 * view_watch - prints the changes and lists that libartemis delivers, as text and as JSON.
 *
 * All text is escaped for a terminal. JSON is in snake_case, one document a line, in the shapes of
 * docs/CONTRACT.md (Change, and the response of /api/discovery/services). Pure but for the stream.
 * Arguments are borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "libartemis/artemis.h"

#include <stdio.h>

/* Prints time, kind of change, instance, address and status, separated by two blanks. */
void view_change(const struct artemis_change *change, FILE *out);
/* ERR_NO_MEMORY: nothing was printed. */
MUST_USE enum error view_change_json(const struct artemis_change *change, FILE *out);

/* Prints what became of an instance that the library keeps registered. ERR_NO_MEMORY: nothing was
 * printed. */
MUST_USE enum error view_registration_json(const struct artemis_registration_event *event,
                                           FILE *out);

/* Prints one line for each service of `all` ("*"), as view_services does, and a message if
 * the list is stale. ERR_NO_MEMORY. */
MUST_USE enum error view_registry(const struct artemis_service *all, FILE *out, size_t columns_max);
MUST_USE enum error view_registry_json(const struct artemis_service *all, FILE *out);
