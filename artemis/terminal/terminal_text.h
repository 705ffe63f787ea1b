/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal_text - escapes text for a terminal.
 *
 * Names in a registry are chosen by the clients that register them. Printed unchanged, a name could
 * clear the screen, forge a line, or reverse the direction of writing. Therefore all text that does
 * not come from this binary is printed by this module. It prints control characters, marks that
 * change the direction of writing, and bytes that are not UTF-8 as `\n`, `\x1b`, `\u202e` or
 * `\xff`. All other text stays unchanged.
 *
 * Pure but for the stream. One code point counts as one column, also a wide East Asian character,
 * so tables with such characters are not aligned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Number of columns of the escaped text. */
size_t terminal_text_width(const char *text);

/* Prints the escaped text, cut to `columns_max` columns with "…" at the end; 0: no limit. Returns
 * the number of columns printed. */
size_t terminal_text_print(FILE *out, const char *text, size_t columns_max);

/* Prints the escaped text on lines of at most `columns_max` columns, each with `indent` blanks
 * before it; 0: one line. A line ends at a blank where it has one. */
void terminal_text_wrap(FILE *out, const char *text, size_t indent, size_t columns_max);

/* Longest escaped form: "\\u202e". An unescaped code point takes at most 4 bytes. */
#define TERMINAL_PIECE_MAX 8

/* Writes the next code point of *at, of which `available` bytes remain, in escaped form, with a
 * NUL. Advances *at and returns the columns of the piece. */
size_t terminal_text_piece(const char **at, size_t available, char piece[TERMINAL_PIECE_MAX]);

/* Prints a JSON document escaped and on one line. The document stays equal: unsafe characters in
 * strings become \u escapes, and line breaks between values become blanks. */
void terminal_text_print_json(FILE *out, const char *json, size_t size_bytes);

#define VIEW_COUNT_MAX 32

/* "1,204". Returns `text`. */
const char *terminal_text_count(uint64_t count, char text[VIEW_COUNT_MAX]);

/* Prints an error as "artemis: MESSAGE", and below it what to do next (NULL: nothing). Both are
 * escaped. A message above 2,048 bytes is cut. */
void terminal_text_print_error(FILE *out, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
