/* SPDX-License-Identifier: Apache-2.0
 *
 * client_request - what the client asks: the bodies of the registry's calls, and their paths.
 *
 * The fields are those of the contract, in snake_case. What was not given is left out, so the
 * server's own defaults hold; only region and zone have defaults here, the same as the server's
 * settings.
 *
 * Pure. Results belong to the caller: JSON is released with json_decref, text with text_free.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis/client_args.h"

#include <jansson.h>

/* The options that name an instance beyond SERVICE and INSTANCE: rows for a command's table. */
/* clang-format off */
#define CLIENT_KEY_OPTIONS                                                                         \
    {.name = "region", .value = "R", .sentence = "its region", .fallback = "local"},               \
    {.name = "zone", .value = "Z", .sentence = "its zone", .fallback = "zone1"},                   \
    {.name = "group", .value = "G", .sentence = "its group, if it has one"}

/* The options that describe it. */
#define CLIENT_INSTANCE_OPTIONS                                                                    \
    {.name = "ip", .value = "IP", .sentence = "address at which it is reached"},                   \
    {.name = "port", .value = "N", .sentence = "port at which it is reached", .min = 0,            \
     .max = 65535},                                                                                \
    {.name = "url", .value = "U", .sentence = "its URL, if other than http://IP:N"},               \
    {.name = "status", .value = "S", .sentence = "up, down, starting or unhealthy; none: up"},     \
    {.name = "protocol", .value = "P", .sentence = "what it speaks, like http or grpc"},           \
    {.name = "machine", .value = "M", .sentence = "name of the machine it runs on"},               \
    {.name = "health-url", .value = "U", .sentence = "where its health can be asked"},             \
    {.name = "meta", .value = "K=V", .sentence = "a note for its callers; may be repeated"}
/* clang-format on */

/* {"instances":[..]} of a command with both sets of options. ERR_INVALID_FIELD: `mistake` says what
 * to mend; ERR_NO_MEMORY. */
MUST_USE enum error client_request_instance(const struct client_args *args, json_t **body,
                                            char mistake[CLIENT_MISTAKE_MAX]);

/* {"instance_keys":[..]} of a command with the first set. ERR_NO_MEMORY. */
MUST_USE enum error client_request_key(const struct client_args *args, json_t **body);

/* Path of /api/discovery/service, with the service escaped. Ask text_failed. */
void client_request_service_path(const char *service, bool all, struct text *path);
