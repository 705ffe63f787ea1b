/* SPDX-License-Identifier: Apache-2.0
 *
 * table - prints rows in aligned columns, for people and for awk.
 *
 * The table requests its cells one by one, so it copies and allocates nothing. It requests each
 * cell twice: first to measure the width, then to print. Cells are escaped for a terminal
 * (terminal_text). If a width is given, the widest columns are cut with "…" until the lines fit;
 * without a width nothing is cut, which is right for pipes. Lines have no trailing blanks.
 *
 * Pure but for the stream it is given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 10
#define TABLE_SCRATCH_MAX 9216 /* more than the metadata of an instance */

struct table_column {
    const char *title;
    bool right;    /* aligned to the right, for numbers */
    bool optional; /* left out when all its cells are empty */
    bool whole;    /* never cut, as a time */
};

struct table {
    const struct table_column *columns;
    size_t column_count; /* at most TABLE_COLUMNS_MAX */
    size_t row_count;

    /* Text of a cell, never NULL. It may be written to `scratch`; it is used before the next call.
     */
    const char *(*cell)(const void *rows, size_t row, size_t column,
                        char scratch[TABLE_SCRATCH_MAX]);
    /* A text below the row, indented and wrapped; "" for none. NULL: no row has one. */
    const char *(*detail)(const void *rows, size_t row, char scratch[TABLE_SCRATCH_MAX]);
    const void *rows; /* passed to both */
};

/* Prints the titles and the rows. `columns_max` is the width to fit; 0: no limit. */
void table_print(const struct table *table, FILE *out, size_t columns_max);

/* The width of the terminal behind the stream; 0 when it is not a terminal. */
size_t table_width_of(FILE *out);
