/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/lease_call.h"

#include "artemis/client/client_request.h"

void lease_call_get(const struct client_args *args, const char *service, const char *data,
                    struct client_result *result)
{
    struct text path = {0};
    text_append_string(&path, "/api/status/leases");
    if (service) {
        text_append_string(&path, "?service_id=");
        client_request_escape(&path, service);
    }
    const struct client_request request = {.path = text_string(&path), .data = data};
    if (text_failed(&path))
        client_call_set_no_memory(result);
    else
        client_call(args, &request, result);
    text_free(&path);
}
