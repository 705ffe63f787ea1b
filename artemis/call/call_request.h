/* SPDX-License-Identifier: Apache-2.0
 *
 * call_request - builds the bodies and paths of requests to the registry.
 *
 * Field names are those of docs/CONTRACT.md, in snake_case. Options that were not given are left
 * out, so that the server's defaults apply. Values of options are checked here, before anything is
 * sent.
 *
 * Pure. The caller releases JSON with json_decref and text with text_free.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis/call/key_args.h"
#include "artemis/terminal/args.h"

#include <jansson.h>

/* The options that describe an instance: rows for a command's table. */
/* clang-format off */
#define INSTANCE_OPTIONS                                                                           \
    {.name = "ip", .value = "IP", .description = "IP address of the instance"},                    \
    {.name = "port", .value = "N", .description = "port of the instance", .min = 0, .max = 65535}, \
    {.name = "url", .value = "U", .description = "URL, if it is not http://IP:N"},                 \
    {.name = "status", .value = "S",                                                               \
     .description = "up (default), down, starting, unhealthy or unknown"},                         \
    {.name = "weight", .value = "W", .min = 0, .max = 1000,                                        \
     .description = "share of the traffic (100); 0: none"},                                        \
    {.name = "protocol", .value = "P", .description = "protocol, such as http or grpc"},           \
    {.name = "machine", .value = "M", .description = "name of the machine"},                       \
    {.name = "health-url", .value = "U", .description = "URL of its health check"},                \
    {.name = "meta", .value = "K=V", .description = "metadata; may be repeated"}
/* clang-format on */

/* Checks the options that describe an instance. ERR_INVALID_FIELD: `problem` names the option. */
MUST_USE enum error call_request_check_instance(const struct args *args,
                                                char problem[ARGS_PROBLEM_MAX]);

/* ERR_INVALID_FIELD: not the name of a status; `problem` lists the names. `what` is the argument.
 */
MUST_USE enum error call_request_check_status(const char *what, const char *status,
                                              char problem[ARGS_PROBLEM_MAX]);

/* {"instances":[..]} of a command with INSTANCE_OPTIONS, which were checked.
 * ERR_NO_MEMORY. */
MUST_USE enum error call_request_instance(const struct args *args, const struct key_args *key,
                                          json_t **body);

/* {"instance_keys":[..]}. ERR_NO_MEMORY. */
MUST_USE enum error call_request_key(const struct key_args *key, json_t **body);

/* {LIST:[item]}. Consumes the item, also on failure. ERR_NO_MEMORY. */
MUST_USE enum error call_request_wrap(const char *list, json_t *item, json_t **body);

/* Appends text as part of a query, percent-encoded. Check text_failed afterwards. */
void call_request_escape(struct text *to, const char *from);

/* Path of /api/discovery/service, with the service escaped. Check text_failed afterwards. */
void call_request_service_path(const char *service, bool all, struct text *path);
