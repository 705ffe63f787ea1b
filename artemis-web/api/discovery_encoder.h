/* SPDX-License-Identifier: Apache-2.0
 *
 * discovery_encoder - writes the bodies of discovery responses, in each dialect.
 *
 * The views are for the response cache, which calls their encoders. Any thread.
 */
#pragma once

#include "artemis-server/response_cache.h"

/* The response with one service, and the one with all services. */
struct service_view discovery_service_view(enum dialect dialect, bool all_statuses);
struct all_services_view discovery_all_services_view(enum dialect dialect);
/* The same with a filter, which is borrowed. */
struct service_view discovery_filtered_view(enum dialect dialect,
                                            const struct instance_filter *filter);
struct all_services_view discovery_all_services_filtered_view(enum dialect dialect,
                                                              const struct instance_filter *filter);

/* Appends the object of a service, with the instances that match. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY. */
MUST_USE enum error discovery_write_service(struct registry *registry, struct slice id,
                                            enum dialect dialect,
                                            const struct instance_filter *filter,
                                            struct json_writer *w);
/* Appends the response with all changes after a revision. ERR_VERSION_GONE: the log no longer has
 * them, or they are so many that fetching everything is cheaper. ERR_NO_MEMORY. */
MUST_USE enum error discovery_write_delta(struct registry *registry, uint64_t since,
                                          enum dialect dialect, struct text *out);
