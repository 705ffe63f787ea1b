/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/admin/admin_commands.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/json/codec.h"
#include "artemis-server/clock.h"
#include "artemis/admin/admin_status.h"

/* A call in progress. */
struct call {
    const struct admin_commands *commands;
    const struct audit_origin *origin;
    struct document *request;
    struct json_writer w; /* of the response, within its object */
    struct moment now;
    /* For the audit log. */
    char object[ID_BYTES_MAX + 1];
    const char *before;
    const char *after;
    char message[MESSAGE_BYTES]; /* of a failure */
};

static void set_message(struct call *call, const char *text)
{
    snprintf(call->message, sizeof(call->message), "%.*s", MESSAGE_BYTES - 1, text);
}

/* --- commands --------------------------------------------------------------------------------- */

static enum error status(struct call *call)
{
    admin_status_write(&call->w, call->commands->engine, call->commands->web, call->now);
    return ERR_NONE;
}

static enum error dump(struct call *call)
{
    admin_status_write(&call->w, call->commands->engine, call->commands->web, call->now);
    return admin_status_write_details(&call->w, call->commands->engine, call->commands->web,
                                      call->now);
}

static enum error reload(struct call *call)
{
    struct reload_report report = {0};
    enum error error = node_control_reload(call->commands->control, call->origin, &report);
    if (error) {
        set_message(call, report.problem.text);
    } else {
        jw_name(&call->w, "changed");
        jw_u64(&call->w, report.changed);
        jw_name(&call->w, "need_restart");
        jw_u64(&call->w, report.need_restart);
        jw_name(&call->w, "certificates_failing");
        jw_u64(&call->w, report.certificates_failing);
        jw_name(&call->w, "changes");
        jw_open(&call->w, '[');
        jw_raw(&call->w, (struct slice){report.changes.data, report.changes.size});
        jw_close(&call->w, ']');
    }
    reload_report_free(&report);
    return error;
}

/* Reads a text of the request into call->object; "" if it is absent. A text that is given must not
 * be empty: release-guard would take it for "everything". */
static enum error read_object(struct call *call, const char *name)
{
    struct slice text = {0};
    enum error error = document_text(call->request, name, &text, call->message);
    bool is_empty = text.data && text.size == 0;
    if (!error && (is_empty || text.size >= sizeof(call->object))) {
        snprintf(call->message, sizeof(call->message), "%s: is %s", name,
                 is_empty ? "empty" : "too long");
        error = ERR_INVALID_FIELD;
    }
    if (!error)
        snprintf(call->object, sizeof(call->object), "%.*s", (int)text.size,
                 text.data ? text.data : "");
    return error;
}

static enum error log_level(struct call *call)
{
    struct config_problem problem = {0};
    enum error error = read_object(call, "level");
    if (error)
        return error;
    error = node_control_log_level(call->commands->control, call->object, call->origin, &problem);
    if (error)
        set_message(call, problem.text);
    return error;
}

static enum error release_guard(struct call *call)
{
    char id[ID_BYTES_MAX];
    size_t id_size = 0;
    struct field_problem problem;
    struct engine *engine = call->commands->engine;
    enum error error = read_object(call, "service_id");
    if (!error && call->object[0]) {
        error = service_id_canonical(slice_of(call->object), id, &id_size, &problem);
        if (error)
            snprintf(call->message, sizeof(call->message), "service_id: %s", problem.problem);
    }
    if (error)
        return error;
    const struct slice service_id = {id, id_size};
    bool was_engaged = engine_is_guard_engaged(engine, service_id, call->now);
    call->before = was_engaged ? "engaged" : "not engaged";
    error = engine_release_guard(engine, service_id, call->now);
    if (id_size == 0)
        snprintf(call->object, sizeof(call->object), "the node and all services");
    if (error)
        return error;
    call->after = was_engaged ? "released" : NULL;
    jw_name(&call->w, "was_engaged");
    jw_bool(&call->w, was_engaged);
    return ERR_NONE;
}

static enum error drain(struct call *call)
{
    enum error error = read_object(call, "value");
    bool is_on = strcmp(call->object, "on") == 0;
    if (!error && !is_on && strcmp(call->object, "off") != 0) {
        char quoted[160];
        text_quote(quoted, sizeof(quoted), slice_of(call->object));
        snprintf(call->message, sizeof(call->message), "value: must be on or off, is %s", quoted);
        error = ERR_INVALID_FIELD;
    }
    if (error)
        return error;
    call->before = engine_drain(call->commands->engine, is_on) ? "drained" : "not drained";
    call->after = is_on ? "drained" : "not drained";
    jw_name(&call->w, "drained");
    jw_bool(&call->w, is_on);
    return ERR_NONE;
}

static const struct {
    const char *name;
    enum error (*run)(struct call *call);
    bool is_recorded_apart; /* by what it calls */
} table[] = {
    {"status", status, false},
    {"dump", dump, false},
    {"reload", reload, true},
    {"log-level", log_level, false},
    {"release-guard", release_guard, false},
    {"drain", drain, false},
};
enum { COMMANDS = sizeof(table) / sizeof(table[0]) };

/* --- calls ------------------------------------------------------------------------------------ */

static void record(const struct call *call, const char *action, enum error error)
{
    const struct audit_event event = {
        .origin = *call->origin,
        .action = action,
        .object = call->object,
        .before = call->before,
        .after = call->after,
        .outcome = error ? error_info(error)->reason : "done",
    };
    audit_record(call->commands->engine->audit, &event, call->now);
}

static enum error run(struct call *call, struct slice request)
{
    struct slice name = {0};
    enum error error = document_parse(request, &call->request, call->message);
    if (!error)
        error = document_text(call->request, "command", &name, call->message);
    if (error) {
        record(call, "unknown", error);
        return error;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!slice_equal(name, slice_of(table[i].name)))
            continue;
        error = table[i].run(call);
        if (!table[i].is_recorded_apart)
            record(call, table[i].name, error);
        return error;
    }
    char quoted[160];
    text_quote(quoted, sizeof(quoted), name);
    snprintf(call->message, sizeof(call->message),
             "command: must be status, dump, reload, log-level, release-guard or drain, is %s",
             quoted);
    record(call, "unknown", ERR_INVALID_FIELD);
    return ERR_INVALID_FIELD;
}

void admin_commands_handle(void *context, struct slice request, const struct audit_origin *origin,
                           struct text *response)
{
    struct call call = {
        .commands = context,
        .origin = origin,
        .w = jw_to(response, CASING_SNAKE),
        .now = clock_now(),
    };
    jw_open(&call.w, '{');
    jw_name(&call.w, "ok");
    jw_bool(&call.w, true);
    enum error error = run(&call, request);
    if (error) { /* what a command has written before is not sent */
        text_clear(response);
        call.w = jw_to(response, CASING_SNAKE);
        jw_open(&call.w, '{');
        jw_name(&call.w, "ok");
        jw_bool(&call.w, false);
        jw_name(&call.w, "reason");
        jw_string(&call.w, error_info(error)->reason);
        jw_name(&call.w, "error_message");
        jw_foreign(&call.w, call.message[0] ? call.message : error_info(error)->message);
    }
    jw_close(&call.w, '}');
    document_free(call.request);
}
