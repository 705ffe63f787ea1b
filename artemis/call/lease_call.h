/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_call - the call for leases and guards, which `leases` and `guard` share.
 */
#pragma once

#include "artemis/call/server_call.h"

/* Gets /api/status/leases, for one service unless `service` is NULL. The response must have `data`.
 * Release `result` with server_call_result_free. */
void lease_call_get(const struct args *args, const char *service, const char *data,
                    struct server_call_result *result);
