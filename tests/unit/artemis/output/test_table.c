/* SPDX-License-Identifier: Apache-2.0
 *
 * A table is as wide as its cells, or as the terminal, and no line ends in blanks.
 */
#include "artemis/output/table.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS = 3 };

struct rows {
    const char *cells[3][COLUMNS];
};

static const char *cell(const void *rows, size_t row, size_t column, char *scratch)
{
    (void)scratch;
    return ((const struct rows *)rows)->cells[row][column];
}

static void assert_table(const struct rows *rows, size_t row_count, size_t columns_max,
                         const char *expected)
{
    static const struct table_column columns[COLUMNS] = {
        {.title = "NAME"},
        {.title = "UP", .right = true},
        {.title = "GROUP", .optional = true},
    };
    const struct table table = {
        .columns = columns,
        .column_count = COLUMNS,
        .row_count = row_count,
        .cell = cell,
        .rows = rows,
    };
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    table_print(&table, out, columns_max);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void print_columns_are_as_wide_as_their_cells(void **state)
{
    (void)state;
    const struct rows rows = {{{"a", "1", "blue"}, {"größer", "1000", ""}, {"", "7", "x"}}};
    assert_table(&rows, 3, 0,
                 "NAME      UP  GROUP\n"
                 "a          1  blue\n"
                 "größer  1000\n"
                 "           7  x\n");
}

static const char *note(const void *rows, size_t row, char scratch[TABLE_SCRATCH_MAX])
{
    (void)rows;
    snprintf(scratch, TABLE_SCRATCH_MAX, "a note of some length");
    return row == 0 ? scratch : "";
}

static void print_detail_is_below_its_row_and_wrapped(void **state)
{
    (void)state;
    static const struct table_column columns[] = {{.title = "NAME"}};
    const struct rows rows = {{{"a"}, {"b"}}};
    const struct table table = {.columns = columns,
                                .column_count = 1,
                                .row_count = 2,
                                .cell = cell,
                                .detail = note,
                                .rows = &rows};
    static const struct {
        size_t columns_max;
        const char *expected;
    } cases[] = {{0, "NAME\na\n  a note of some length\nb\n"},
                 {10, "NAME\na\n  a note\n  of some\n  length\nb\n"}};
    for (size_t i = 0; i < 2; i++) {
        char *printed = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&printed, &size);
        assert_non_null(out);
        table_print(&table, out, cases[i].columns_max);
        fclose(out);
        assert_string_equal(printed, cases[i].expected);
        free(printed);
    }
}

static void print_whole_column_is_never_cut(void **state)
{
    (void)state;
    static const struct table_column columns[] = {{.title = "TIME", .whole = true},
                                                  {.title = "NAME"}};
    const struct rows rows = {{{"2026-11-21T07:23:02Z", "orders-of-the-shop"}}};
    const struct table table = {
        .columns = columns, .column_count = 2, .row_count = 1, .cell = cell, .rows = &rows};
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    table_print(&table, out, 32);
    fclose(out);
    assert_string_equal(printed, "TIME                  NAME\n2026-11-21T07:23:02Z  orders-of…\n");
    free(printed);
}

static void print_optional_column_without_content_is_left_out(void **state)
{
    (void)state;
    const struct rows rows = {{{"a", "1", ""}, {"b", "2", ""}}};
    assert_table(&rows, 2, 0,
                 "NAME  UP\n"
                 "a      1\n"
                 "b      2\n");
}

static void print_without_rows_is_the_titles(void **state)
{
    (void)state;
    const struct rows rows = {0};
    assert_table(&rows, 0, 0, "NAME  UP\n");
}

static void print_narrow_terminal_cuts_the_widest_column(void **state)
{
    (void)state;
    const struct rows rows = {{{"abcdefghijklmnop", "1", "blue"}}};
    assert_table(&rows, 1, 20,
                 "NAME       UP  GROUP\n"
                 "abcdefgh…   1  blue\n");
    /* A narrower table is unreadable, so the terminal may break the lines. */
    assert_table(&rows, 1, 5,
                 "NAME      UP  GROUP\n"
                 "abcdefg…   1  blue\n");
}

static void print_control_characters_do_not_move_columns(void **state)
{
    (void)state;
    const struct rows rows = {{{"a\nb", "1", "x"}, {"\x1b", "2", "y"}}};
    assert_table(&rows, 2, 0,
                 "NAME  UP  GROUP\n"
                 "a\\nb   1  x\n"
                 "\\x1b   2  y\n");
}

static void width_without_terminal_is_unlimited(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(table_width_of(file), 0);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_columns_are_as_wide_as_their_cells),
        cmocka_unit_test(print_detail_is_below_its_row_and_wrapped),
        cmocka_unit_test(print_whole_column_is_never_cut),
        cmocka_unit_test(print_optional_column_without_content_is_left_out),
        cmocka_unit_test(print_without_rows_is_the_titles),
        cmocka_unit_test(print_narrow_terminal_cuts_the_widest_column),
        cmocka_unit_test(print_control_characters_do_not_move_columns),
        cmocka_unit_test(width_without_terminal_is_unlimited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
