/* SPDX-License-Identifier: Apache-2.0
 *
 * json_writer - writes compact JSON into a text, in either casing.
 *
 * Commas come by themselves; names are given in snake_case and written as the casing of the answer
 * asks (region_id or regionId). Reading foreign JSON is Jansson's work (artemis-core/codec);
 * writing our own needs no tree, and answers are built often enough for that to count
 * (docs/decisions/0003-json.md). Failures stay in the text: ask `text_failed` at the end.
 *
 *     struct json_writer w = jw_to(&text, CASING_SNAKE);
 *     jw_open(&w, '{');
 *     jw_name(&w, "service_id"), jw_text(&w, id);
 *     jw_close(&w, '}');
 *
 * Strings must be valid UTF-8, as all are that came in by the codec.
 */
#pragma once

#include "artemis-core/base/text.h"

enum casing { CASING_SNAKE, CASING_CAMEL };

struct json_writer {
    struct text *out;
    enum casing casing;
    bool comma; /* the next value or name follows another */
};

struct json_writer jw_to(struct text *out, enum casing casing);

void jw_open(struct json_writer *w, char bracket);               /* '{' or '[' */
void jw_close(struct json_writer *w, char bracket);              /* '}' or ']' */
void jw_name(struct json_writer *w, const char *snake_case);     /* a name of ours */
void jw_verbatim_name(struct json_writer *w, struct slice name); /* a user's name, escaped */
void jw_text(struct json_writer *w, struct slice value);
void jw_string(struct json_writer *w, const char *terminated);
void jw_u64(struct json_writer *w, uint64_t value);
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_rfc3339(struct json_writer *w, uint64_t wall_ms); /* "2026-02-14T08:00:00.123Z" */
/* A whole value, written elsewhere. */
void jw_raw(struct json_writer *w, struct slice value);

/* Writes the camelCase form of a snake_case name into `out` (as long as the name, at most). */
size_t jw_camel(char *out, const char *snake_case);
