/* SPDX-License-Identifier: Apache-2.0
 *
 * Items of lists are handed over one by one, the rest is kept, and limits hold, however the
 * document is cut into pieces.
 */
#include "libartemis/wire/list_reader.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const lists[] = {"instances", "failed", NULL};

struct log {
    char text[1024]; /* each item, followed by ';' */
    size_t items;
    size_t fails_at; /* this item is refused; 0: none */
};

static enum error log_item(void *context, struct slice item)
{
    struct log *log = context;
    size_t size = strlen(log->text);
    snprintf(log->text + size, sizeof log->text - size, "%.*s;", (int)item.size, item.data);
    return ++log->items == log->fails_at ? ERR_TOO_MANY_ITEMS : ERR_NONE;
}

/* Reads the document in pieces of `step` bytes. */
static enum error read_in_steps(const char *json, size_t size, size_t step, struct log *log,
                                char rest_text[256])
{
    struct list_reader reader = {.lists = lists, .on_item = log_item, .context = log};
    struct slice rest = {0};
    enum error error = list_reader_feed(&reader, (struct slice){NULL, 0});
    for (size_t at = 0; at < size && !error; at += step)
        error = list_reader_feed(&reader,
                                 (struct slice){json + at, size - at < step ? size - at : step});
    if (!error)
        error = list_reader_end(&reader, &rest);
    if (rest_text)
        snprintf(rest_text, 256, "%.*s", (int)rest.size, rest.size ? rest.data : "");
    list_reader_free(&reader);
    return error;
}

static void items_and_rest_are_separated(void **state)
{
    (void)state;
    static const struct {
        const char *json, *items, *rest;
    } rows[] = {
        {"{}", "", "{}"},
        {" {\"a\" : 1}\n", "", "{\"a\" : 1}"},
        {"{\"v\":7,\"service\":{\"instances\":[{\"a\":{\"b\":[1,{}]}},{}]}}",
         "{\"a\":{\"b\":[1,{}]}};{};", "{\"v\":7,\"service\":{\"instances\":[]}}"},
        {"{\"services\":[{\"id\":\"x\",\"instances\":[{\"a\":1}]},{\"instances\":[{\"b\":2}]}],"
         "\"v\":1}",
         "{\"a\":1};{\"b\":2};", "{\"services\":[],\"v\":1}"},
        {"{\"failed\":[{\"s\":\"}]\\\"{\"}],\"instances\":[]}", "{\"s\":\"}]\\\"{\"};",
         "{\"failed\":[],\"instances\":[]}"},
        {"{\"instances\":[1,\"x\",[{\"a\":1}],null],\"other\":[{\"a\":1}]}", "",
         "{\"instances\":[],\"other\":[]}"},
        {"{\"x\":\"instances\",\"y\":[{}]}", "", "{\"x\":\"instances\",\"y\":[]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step <= strlen(rows[i].json); step++) {
            struct log log = {0};
            char rest[256];
            assert_int_equal(read_in_steps(rows[i].json, strlen(rows[i].json), step, &log, rest),
                             ERR_NONE);
            assert_string_equal(log.text, rows[i].items);
            assert_string_equal(rest, rows[i].rest);
        }
}

static void other_text_is_invalid(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "[]",
                                       "x",
                                       "{",
                                       "{\"a",
                                       "{]",
                                       "{}}",
                                       "{} {}",
                                       "{}x",
                                       "<html></html>",
                                       "{\"instances\":[{]}]}"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct log log = {0};
        assert_int_equal(read_in_steps(rows[i], strlen(rows[i]), 3, &log, NULL), ERR_INVALID_JSON);
    }
}

/* `head`, `count` times `part`, `tail`. */
static enum error read_repeated(const char *head, const char *part, size_t count, const char *tail)
{
    struct log log = {0};
    struct list_reader reader = {.lists = lists, .on_item = log_item, .context = &log};
    struct slice rest;
    enum error error = list_reader_feed(&reader, slice_of(head));
    for (size_t i = 0; i < count && !error; i++)
        error = list_reader_feed(&reader, slice_of(part));
    if (!error)
        error = list_reader_feed(&reader, slice_of(tail));
    if (!error)
        error = list_reader_end(&reader, &rest);
    assert_true(reader.item.capacity <= 2 * LIST_READER_ITEM_BYTES_MAX);
    assert_true(reader.rest.capacity <= 2 * LIST_READER_REST_BYTES_MAX);
    list_reader_free(&reader);
    return error;
}

static void limits_of_item_rest_and_depth_hold(void **state)
{
    (void)state;
    static const struct {
        const char *head, *part, *tail;
        size_t allowed, refused;
        enum error error;
    } rows[] = {
        {"{\"instances\":[{\"a\":\"", "x", "\"}]}", LIST_READER_ITEM_BYTES_MAX - 8,
         LIST_READER_ITEM_BYTES_MAX - 7, ERR_BODY_TOO_LARGE},
        {"{\"a\":\"", "x", "\"}", LIST_READER_REST_BYTES_MAX - 8, LIST_READER_REST_BYTES_MAX - 7,
         ERR_BODY_TOO_LARGE},
        {"{\"a\":", "[", "", 0, LIST_READER_DEPTH_MAX, ERR_INVALID_JSON},
        {"{\"a\":", "{\"a\":", "", 0, LIST_READER_DEPTH_MAX, ERR_INVALID_JSON},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].allowed)
            assert_int_equal(
                read_repeated(rows[i].head, rows[i].part, rows[i].allowed, rows[i].tail), ERR_NONE);
        assert_int_equal(read_repeated(rows[i].head, rows[i].part, rows[i].refused, rows[i].tail),
                         rows[i].error);
    }
    /* What is in no list has no limit here, and is not kept. */
    assert_int_equal(read_repeated("{\"a\":[", "{\"b\":[1,2]},", 100000, "{}]}"), ERR_NONE);
}

static void error_of_an_item_ends_the_reading(void **state)
{
    (void)state;
    static const char json[] = "{\"instances\":[{\"a\":1},{\"a\":2},{\"a\":3}]}";
    struct log log = {.fails_at = 2};
    assert_int_equal(read_in_steps(json, sizeof json - 1, sizeof json, &log, NULL),
                     ERR_TOO_MANY_ITEMS);
    assert_string_equal(log.text, "{\"a\":1};{\"a\":2};");
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    static const char json[] = "{\"v\":1,\"instances\":[{\"a\":1}]}";
    for (long n = 1;; n++) {
        struct log log = {0};
        failing_malloc_after(n);
        enum error error = read_in_steps(json, sizeof json - 1, 4, &log, NULL);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_and_rest_are_separated),
        cmocka_unit_test(other_text_is_invalid),
        cmocka_unit_test(limits_of_item_rest_and_depth_hold),
        cmocka_unit_test(error_of_an_item_ends_the_reading),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
