/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators do over HTTP. The admin socket does the same, and more, on the host itself.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>

#include "artemis-server/reload.h"
#include "artemis-web/api/status_writer.h"

/* Reads files on the web thread: an operator does this rarely. */
enum error handle_reload(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES])
{
    char client[REQUEST_ADDRESS_BYTES];
    const struct engine_control *control = &request->engine->control;
    struct reload_report report = {0};
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    if (!control->reload)
        return ERR_NOT_READY;
    request_address_write(request->mhd, client);
    const struct audit_origin origin = {request->token ? request->token->name : NULL, client};
    error = control->reload(control->context, &origin, &report);
    if (error) {
        snprintf(message, MESSAGE_BYTES, "%.*s", MESSAGE_BYTES - 1, report.problem.text);
    } else {
        struct json_writer w = status_begin(request, response);
        named_u64(&w, "changed", report.changed);
        named_u64(&w, "need_restart", report.need_restart);
        named_u64(&w, "certificates_failing", report.certificates_failing);
        jw_name(&w, "changes");
        jw_open(&w, '[');
        jw_raw(&w, (struct slice){report.changes.data, report.changes.size});
        jw_close(&w, ']');
        jw_close(&w, '}');
    }
    reload_report_free(&report);
    return error;
}
