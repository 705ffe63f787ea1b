/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_event.h"

#include "artemis/terminal/terminal_text.h"

#include "artemis-core/json/json_writer.h"

static uint64_t time_of(const struct artemis_event *event)
{
    return event->time_ms > 0 ? (uint64_t)event->time_ms : 0;
}

void view_event(const struct artemis_event *event, FILE *out)
{
    struct text time = {0};
    struct json_writer w = jw_to(&time, CASING_SNAKE);
    jw_rfc3339(&w, time_of(event));
    if (!text_failed(&time) && time.size > 2) /* without the quotes of JSON */
        fprintf(out, "%.*s  ", (int)time.size - 2, time.data + 1);
    text_free(&time);
    terminal_text_print(out, event->topic, 0);
    fputs("  ", out);
    terminal_text_print(out, event->node_id, 0);
    fputs("  ", out);
    terminal_text_print_json(out, event->payload, event->payload_size);
}

enum error view_event_json(const struct artemis_event *event, FILE *out)
{
    struct text json = {0};
    struct json_writer w = jw_to(&json, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "topic");
    jw_string(&w, event->topic);
    jw_name(&w, "node_id");
    jw_string(&w, event->node_id);
    jw_name(&w, "run");
    jw_string(&w, event->run);
    jw_name(&w, "number");
    jw_u64(&w, event->number);
    jw_name(&w, "time");
    jw_rfc3339(&w, time_of(event));
    jw_name(&w, "payload");
    jw_raw(&w, (struct slice){event->payload, event->payload_size});
    jw_close(&w, '}');
    bool failed = text_failed(&json);
    if (!failed)
        terminal_text_print_json(out, json.data, json.size);
    text_free(&json);
    return failed ? ERR_NO_MEMORY : ERR_NONE;
}

void view_events_lost(const struct artemis_event *event, FILE *out)
{
    if (event->lost == 0)
        terminal_text_print_error(
            out, NULL, "%s: the connection was lost; events may be missing here", event->topic);
    else
        terminal_text_print_error(out, NULL, "%s: %llu event%s lost here", event->topic,
                                  (unsigned long long)event->lost,
                                  event->lost == 1 ? " was" : "s were");
}
