/* SPDX-License-Identifier: Apache-2.0
 *
 * client_text - text of others, made safe for a terminal.
 *
 * A name in a registry is chosen by whoever registers it. Printed as it is, it could clear the
 * screen, forge a line, or turn a line around. So everything that did not come from this binary is
 * printed through this room: control characters, marks that change the direction of writing, and
 * bytes that are not UTF-8 appear as `\n`, `\x1b`, `\u202e` or `\xff`. All else stays.
 *
 * Pure but for the stream it is given. A column is a code point: wide East Asian characters count
 * as one, so a table that holds them is a little ragged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Columns that `text` takes on a terminal once made safe. */
size_t client_text_width(const char *text);

/* Prints `text`, made safe; cut to `columns_max` columns with "…" at the end, 0 for no limit.
 * Returns the columns printed. */
size_t client_text_print(FILE *out, const char *text, size_t columns_max);

/* Prints a JSON document made safe, as one line: it stays the same document, since what is unsafe
 * in a string becomes a \u escape and line breaks between values become blanks. */
void client_text_print_json(FILE *out, const char *json, size_t size_bytes);

#define CLIENT_COUNT_MAX 32

/* "1,204". Returns `text`. */
const char *client_text_count(uint64_t count, char text[CLIENT_COUNT_MAX]);

/* The one form of a complaint: "artemis: MESSAGE", and below it what to do next (NULL for nothing).
 * Both are made safe; beyond 2,048 bytes the message is cut. */
void client_text_complain(FILE *out, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
