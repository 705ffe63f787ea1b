/* SPDX-License-Identifier: Apache-2.0
 *
 * view_audit - selects and prints records of the audit log.
 *
 * Pure but for the stream. The JSON is borrowed; text is escaped for a terminal.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { AUDIT_SINCE_BYTES = 32 };

/* NULL: not selected by it. */
struct audit_filter {
    const char *token;
    const char *action;
    const char *object;
    char since[AUDIT_SINCE_BYTES]; /* the beginning of a time in UTC; "": all */
};

/* Reads a time: "15m", "2h", "3d" or "90s" before now, "2026-01-31" or "2026-01-31T12:00:00Z".
 * False: it is something else. */
bool audit_filter_since(struct audit_filter *filter, const char *text, uint64_t now_wall_ms);
bool audit_filter_matches(const struct audit_filter *filter, const json_t *record);

/* Prints a record on one line; `columns_max` is the width to fit, 0: no limit. */
void view_audit_record(const json_t *record, FILE *out, size_t columns_max);
