/* SPDX-License-Identifier: Apache-2.0
 *
 * client_table - rows in columns, for eyes and for awk.
 *
 * The table asks for its cells one by one, so it holds no copy of them and allocates nothing; it
 * asks twice, first to measure and then to print. A cell is text of others and is made safe
 * (client_text). Given a width, the widest columns are cut with "…" until the lines fit; without
 * one nothing is cut, which is right for pipes. Lines do not end in blanks.
 *
 * Pure but for the stream it is given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CLIENT_TABLE_COLUMNS_MAX 10
#define CLIENT_TABLE_SCRATCH_MAX 600

struct client_column {
    const char *title;
    bool right;    /* numbers stand at the right */
    bool optional; /* left out when no row has anything to say in it */
};

struct client_table {
    const struct client_column *columns;
    size_t column_count; /* at most CLIENT_TABLE_COLUMNS_MAX */
    size_t row_count;

    /* Text of a cell; may be written to `scratch` and is used before the next call. Never NULL. */
    const char *(*cell)(const void *rows, size_t row, size_t column,
                        char scratch[CLIENT_TABLE_SCRATCH_MAX]);
    /* A line below the row, indented and cut to the width; "" for none. May be NULL: no row has
     * one.
     */
    const char *(*note)(const void *rows, size_t row, char scratch[CLIENT_TABLE_SCRATCH_MAX]);
    const void *rows; /* handed to both */
};

/* Prints the titles and the rows; `columns_max` is the width to fit, 0 for none. */
void client_table_print(const struct client_table *table, FILE *out, size_t columns_max);

/* The width to fit on this stream: that of the terminal, or 0 when it is none. */
size_t client_table_room(FILE *out);
