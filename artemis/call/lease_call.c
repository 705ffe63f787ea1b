/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/lease_call.h"

#include "artemis/call/call_request.h"

void lease_call_get(const struct args *args, const char *service, const char *data,
                    struct server_call_result *result)
{
    struct text path = {0};
    text_append_string(&path, "/api/status/leases");
    if (service) {
        text_append_string(&path, "?service_id=");
        call_request_escape(&path, service);
    }
    server_call_get(args, &path, data, result);
}
