/* SPDX-License-Identifier: Apache-2.0
 *
 * client_request - builds the bodies and paths of requests to the registry.
 *
 * Field names are those of docs/CONTRACT.md, in snake_case. Options that were not given are left
 * out, so that the server's defaults apply; only region and zone have defaults here, equal to the
 * defaults of the server's settings.
 *
 * Pure. The caller releases JSON with json_decref and text with text_free.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis/cmd/client_args.h"

#include <jansson.h>

/* The options that name an instance besides SERVICE and INSTANCE: rows for a command's table. */
/* clang-format off */
#define CLIENT_KEY_OPTIONS                                                                         \
    {.name = "region", .value = "R", .description = "region of the instance", .default_value = "local"},               \
    {.name = "zone", .value = "Z", .description = "zone of the instance", .default_value = "zone1"},                   \
    {.name = "group", .value = "G", .description = "group of the instance, if any"}

/* The options that describe it. */
#define CLIENT_INSTANCE_OPTIONS                                                                    \
    {.name = "ip", .value = "IP", .description = "IP address of the instance"},                   \
    {.name = "port", .value = "N", .description = "port of the instance", .min = 0,            \
     .max = 65535},                                                                                \
    {.name = "url", .value = "U", .description = "URL, if it is not http://IP:N"},               \
    {.name = "status", .value = "S", .description = "up (default), down, starting or unhealthy"},     \
    {.name = "protocol", .value = "P", .description = "protocol, such as http or grpc"},           \
    {.name = "machine", .value = "M", .description = "name of the machine"},               \
    {.name = "health-url", .value = "U", .description = "URL of its health check"},             \
    {.name = "meta", .value = "K=V", .description = "metadata; may be repeated"}
/* clang-format on */

/* {"instances":[..]} of a command with both sets of options. ERR_INVALID_FIELD: `problem` names
 * the option; ERR_NO_MEMORY. */
MUST_USE enum error client_request_instance(const struct client_args *args, json_t **body,
                                            char problem[CLIENT_PROBLEM_MAX]);

/* {"instance_keys":[..]} of a command with the first set. ERR_NO_MEMORY. */
MUST_USE enum error client_request_key(const struct client_args *args, json_t **body);

/* Path of /api/discovery/service, with the service escaped. Check text_failed afterwards. */
void client_request_service_path(const char *service, bool all, struct text *path);
