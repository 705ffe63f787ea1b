/* SPDX-License-Identifier: Apache-2.0
 *
 * json_writer - appends compact JSON to a text, in snake_case or camelCase.
 *
 * The writer inserts commas. Names are passed in snake_case and written in the casing of the writer
 * (region_id or regionId). No tree is built, because responses are written often
 * (docs/decisions/0003-json.md). An allocation failure is recorded in the text: call `text_failed`
 * at the end.
 *
 *     struct json_writer w = jw_to(&text, CASING_SNAKE);
 *     jw_open(&w, '{');
 *     jw_name(&w, "service_id"), jw_text(&w, id);
 *     jw_close(&w, '}');
 *
 * Strings must be valid UTF-8, as all texts read by the codec are; jw_foreign takes any bytes. A
 * writer belongs to one thread.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-core/json/casing.h"

struct json_writer {
    struct text *out;
    enum casing casing;
    bool comma; /* a comma goes before the next name or value */
};

struct json_writer jw_to(struct text *out, enum casing casing);

void jw_open(struct json_writer *w, char bracket);               /* '{' or '[' */
void jw_close(struct json_writer *w, char bracket);              /* '}' or ']' */
void jw_name(struct json_writer *w, const char *snake_case);     /* written in the casing */
void jw_verbatim_name(struct json_writer *w, struct slice name); /* written as it is, escaped */
void jw_text(struct json_writer *w, struct slice value);
void jw_string(struct json_writer *w, const char *terminated);
/* Writes bytes that may be invalid UTF-8, such as the name of a file, or a message that was cut:
 * each invalid byte becomes U+FFFD. */
void jw_foreign(struct json_writer *w, const char *terminated);
void jw_u64(struct json_writer *w, uint64_t value);
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_rfc3339(struct json_writer *w, uint64_t wall_ms); /* "2026-02-14T08:00:00.123Z" */
/* Appends a value that is already JSON. */
void jw_raw(struct json_writer *w, struct slice value);

/* Writes the camelCase form of a snake_case name to `out`, not terminated. Returns its size, which
 * is at most that of the name. */
size_t jw_camel(char *out, const char *snake_case);
