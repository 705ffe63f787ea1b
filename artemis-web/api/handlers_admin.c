/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators do over HTTP. The admin socket does the same, and more, on the host itself.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>

#include "artemis-server/reload_thread.h"
#include "artemis-web/api/status_writer.h"

enum { RELOAD_POLL_MS = 20, MS_PER_SEC = 1000 };

static enum error begin_reload(struct request *request, char message[MESSAGE_BYTES])
{
    char client[REQUEST_ADDRESS_BYTES];
    struct reload_thread *thread = request->engine->reload_thread;
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    if (!thread)
        return ERR_NOT_READY;
    request_address_write(request->mhd, client);
    const struct audit_origin origin = {request->token ? request->token->name : NULL, client};
    request->reload_until_ms = request->now.mono_ms + RELOAD_WAIT_MS;
    error = reload_thread_add(thread, &origin, &request->reload);
    if (error == ERR_OVERLOADED)
        snprintf(message, MESSAGE_BYTES, "%d reloads wait already; repeat it when one has ended",
                 RELOADS_MAX);
    return error;
}

/* The reload has not ended. */
static enum error wait_longer(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    if (request->now.mono_ms < request->reload_until_ms) {
        *response = (struct response){.kind = RESPONSE_LATER,
                                      .later_ms = request->now.mono_ms + RELOAD_POLL_MS};
        return ERR_NONE;
    }
    request_end_reload(request);
    snprintf(message, MESSAGE_BYTES,
             "the reload has not ended within %d s; the log will have its result",
             RELOAD_WAIT_MS / MS_PER_SEC);
    return ERR_OVERLOADED;
}

static void write_report(struct request *request, struct response *response,
                         const struct reload_report *report)
{
    struct json_writer w = status_begin(request, response);
    named_u64(&w, "changed", report->changed);
    named_u64(&w, "need_restart", report->need_restart);
    named_u64(&w, "certificates_failing", report->certificates_failing);
    jw_name(&w, "changes");
    jw_open(&w, '[');
    jw_raw(&w, (struct slice){report->changes.data, report->changes.size});
    jw_close(&w, ']');
    jw_close(&w, '}');
}

enum error handle_reload(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES])
{
    struct reload_report report;
    enum error error = request->reload ? ERR_NONE : begin_reload(request, message);
    if (error)
        return error;
    if (!reload_job_wait(request->reload, 0, &error, &report))
        return wait_longer(request, response, message);
    request_end_reload(request);
    if (error)
        snprintf(message, MESSAGE_BYTES, "%.*s", MESSAGE_BYTES - 1, report.problem.text);
    else
        write_report(request, response, &report);
    reload_report_free(&report);
    return error;
}
