/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/table.h"

#include "artemis/terminal/terminal_text.h"

#include <assert.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP        2 /* blanks between columns */
#define COLUMN_MIN 8 /* a column is never cut below this */

static const char *cell(const struct table *table, size_t row, size_t column, char *scratch)
{
    return table->cell(table->rows, row, column, scratch);
}

/* Sets the width of a column that is left out to 0. */
static void measure(const struct table *table, size_t *widths)
{
    char scratch[TABLE_SCRATCH_MAX];
    for (size_t column = 0; column < table->column_count; column++) {
        size_t title = terminal_text_width(table->columns[column].title);
        size_t widest = 0;
        for (size_t row = 0; row < table->row_count; row++) {
            size_t width = terminal_text_width(cell(table, row, column, scratch));
            widest = width > widest ? width : widest;
        }
        bool absent = table->columns[column].optional && widest == 0;
        widths[column] = absent ? 0 : widest > title ? widest : title;
    }
}

/* Narrows the widest column, one column of text at a time, until the lines fit. */
static void shrink(const struct table *table, size_t *widths, size_t columns_max)
{
    for (;;) {
        size_t total = 0;
        size_t *widest = NULL;
        for (size_t i = 0; i < table->column_count; i++) {
            total += widths[i] + (widths[i] > 0 && total > 0 ? GAP : 0);
            if (!table->columns[i].whole && (!widest || widths[i] > *widest))
                widest = &widths[i];
        }
        if (total <= columns_max || !widest || *widest <= COLUMN_MIN)
            return;
        (*widest)--;
    }
}

static void print_blanks(FILE *out, size_t count)
{
    while (count-- > 0)
        fputc(' ', out);
}

/* `row` is that of the cells, or `row_count` for the titles. */
static void print_line(const struct table *table, FILE *out, size_t row, const size_t *widths)
{
    char scratch[TABLE_SCRATCH_MAX];
    size_t pending = 0; /* blanks to print before the next text */
    for (size_t column = 0; column < table->column_count; column++) {
        const struct table_column *format = &table->columns[column];
        if (widths[column] == 0)
            continue;
        const char *text =
            row == table->row_count ? format->title : cell(table, row, column, scratch);
        size_t width = terminal_text_width(text);
        size_t rest = width < widths[column] ? widths[column] - width : 0;
        if (width > 0) {
            print_blanks(out, pending + (format->right ? rest : 0));
            terminal_text_print(out, text, widths[column]);
            pending = format->right ? GAP : rest + GAP;
        } else {
            pending += rest + GAP;
        }
    }
    fputc('\n', out);
}

static void print_detail(const struct table *table, FILE *out, size_t row, size_t columns_max)
{
    char scratch[TABLE_SCRATCH_MAX];
    const char *detail = table->detail ? table->detail(table->rows, row, scratch) : "";
    terminal_text_wrap(out, detail, GAP, columns_max);
}

void table_print(const struct table *table, FILE *out, size_t columns_max)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    assert(table->column_count <= TABLE_COLUMNS_MAX);
    measure(table, widths);
    if (columns_max > 0)
        shrink(table, widths, columns_max);
    print_line(table, out, table->row_count, widths);
    for (size_t row = 0; row < table->row_count; row++) {
        print_line(table, out, row, widths);
        print_detail(table, out, row, columns_max);
    }
}

size_t table_width_of(FILE *out)
{
    struct winsize size = {0};
    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}
