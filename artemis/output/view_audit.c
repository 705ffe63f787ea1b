/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_audit.h"

#include "artemis-core/auth/token.h"
#include "artemis/call/call_response.h"
#include "artemis/terminal/terminal_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MS_PER_SEC = 1000,
    DAY_BYTES = 10, /* of 2026-01-31 */
    TIME_BYTES = 19,
    NUMBER_MAX = 1000000,
};

/* --- selection -------------------------------------------------------------------------------- */

static uint64_t unit_secs(char unit)
{
    static const struct {
        char unit;
        uint64_t secs;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}, {'d', 24 * 60 * 60}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].unit == unit)
            return units[i].secs;
    return 0;
}

/* "15m" before now. */
static bool read_span(struct audit_filter *filter, const char *text, uint64_t now_wall_ms)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number = strtoull(text, NULL, 10);
    if (digits == 0 || digits > 7 || text[digits] == '\0' || text[digits + 1] != '\0' ||
        number > NUMBER_MAX || !unit_secs(text[digits]))
        return false;
    uint64_t now_secs = now_wall_ms / MS_PER_SEC;
    uint64_t span_secs = number * unit_secs(text[digits]);
    time_t since = (time_t)(now_secs > span_secs ? now_secs - span_secs : 0);
    struct tm parts;
    gmtime_r(&since, &parts);
    strftime(filter->since, sizeof(filter->since), "%Y-%m-%dT%H:%M:%S", &parts);
    return true;
}

bool audit_filter_since(struct audit_filter *filter, const char *text, uint64_t now_wall_ms)
{
    uint64_t wall_ms;
    if (read_span(filter, text, now_wall_ms))
        return true;
    size_t size = strlen(text);
    if (!token_expiry_read(slice_of(text), &wall_ms) || size >= sizeof(filter->since))
        return false;
    /* Records have milliseconds before the "Z". */
    snprintf(filter->since, sizeof(filter->since), "%.*s",
             (int)(size > DAY_BYTES ? TIME_BYTES : DAY_BYTES), text);
    return true;
}

static bool is_selected(const json_t *record, const char *member, const char *wanted)
{
    return !wanted || strcmp(call_response_text(record, member), wanted) == 0;
}

bool audit_filter_matches(const struct audit_filter *filter, const json_t *record)
{
    return strcmp(call_response_text(record, "time"), filter->since) >= 0 &&
           is_selected(record, "token", filter->token) &&
           is_selected(record, "action", filter->action) &&
           is_selected(record, "object", filter->object);
}

/* --- printing --------------------------------------------------------------------------------- */

static void append(struct text *line, const char *before, const char *value)
{
    if (!value[0])
        return;
    text_append_string(line, before);
    text_append_string(line, value);
}

/* "ops at 127.0.0.1:4711" */
static void append_origin(struct text *line, const json_t *record)
{
    const char *token = call_response_text(record, "token");
    const char *address = call_response_text(record, "address");
    append(line, "  by ", token[0] ? token : address);
    if (token[0])
        append(line, " at ", address);
}

void view_audit_record(const json_t *record, FILE *out, size_t columns_max)
{
    struct text line = {0};
    const char *time = call_response_text(record, "time");
    const char *before = call_response_text(record, "before");
    const char *after = call_response_text(record, "after");
    const char *action = call_response_text(record, "action");
    /* A token that was added, or removed, has one of the two. */
    if (strcmp(action, "change-setting") == 0) {
        before = before[0] ? before : "(none)";
        after = after[0] ? after : "(none)";
    }
    text_printf(&line, "%.10s %.8s  %-14s", time, strlen(time) >= TIME_BYTES ? time + 11 : "",
                action);
    const char *object = call_response_text(record, "object");
    append(&line, "  ", object);
    append(&line, object[0] ? ": " : "  ", before);
    if (before[0])
        append(&line, " -> ", after);
    else
        append(&line, object[0] ? ": " : "  ", after);
    append(&line, "  ", call_response_text(record, "outcome"));
    append_origin(&line, record);
    terminal_text_print(out, text_string(&line), columns_max);
    fputc('\n', out);
    text_free(&line);
}
