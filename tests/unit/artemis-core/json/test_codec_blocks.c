/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON of a block list: what is written is read again, and entries that are not valid are left
 * out.
 */
#include "artemis-core/json/codec_blocks.h"

#include "tests/support/cmocka_all.h"

#include <string.h>

static struct block_list list;

static enum error read_text(const char *text)
{
    char message[MESSAGE_BYTES] = "";
    memset(&list, 0, sizeof(list));
    enum error error = codec_read_blocks(slice_of(text), &list, message);
    assert_true(!error == !message[0]);
    return error;
}

static void list_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const char text[] =
        "{\"blocks\":[{\"address\":\"10.0.0.8:80\",\"blocked\":false,\"clock_ms\":7,\"origin\":"
        "\"n1\"},{\"node_id\":\"n\\\"3\",\"address\":\"10.0.0.9:80\",\"blocked\":true,\"clock_ms\":"
        "1234567890123,\"origin\":\"n2\",\"by\":\"ada\",\"reason\":\"a broken disk\"}]}";
    struct text written = {0};
    assert_int_equal(read_text(text), ERR_NONE);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].node_id, "n\"3");
    assert_true(list.items[1].is_blocked);
    assert_int_equal(list.items[1].clock_ms, 1234567890123);
    codec_write_blocks(&written, &list);
    assert_string_equal(text_string(&written), text);
    text_free(&written);
}

static void entries_that_are_not_valid_are_left_out(void **state)
{
    (void)state;
    static const char *const entries[] = {
        "{\"blocks\":[1]}",
        "{\"blocks\":[{\"node_id\":\"n3\",\"blocked\":true,\"origin\":\"n1\"}]}",
        "{\"blocks\":[{\"node_id\":\"n3\",\"blocked\":true,\"clock_ms\":-1,\"origin\":\"n1\"}]}",
        "{\"blocks\":[{\"node_id\":\"n3\",\"blocked\":true,\"clock_ms\":1}]}",
        "{\"blocks\":[{\"blocked\":true,\"clock_ms\":1,\"origin\":\"n1\"}]}",
        "{\"blocks\":[{\"node_id\":\"n\\u001b3\",\"clock_ms\":1,\"origin\":\"n1\"}]}",
        "{\"blocks\":[{\"node_id\":3,\"clock_ms\":1,\"origin\":\"n1\"}]}",
    };
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        assert_int_equal(read_text(entries[i]), ERR_NONE);
        assert_int_equal(list.count, 0);
    }
    assert_int_equal(read_text("{}"), ERR_INVALID_FIELD);
    assert_int_equal(read_text("{\"blocks\":"), ERR_INVALID_JSON);
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    struct text text = {0};
    text_append_string(&text, "{\"blocks\":[0");
    for (int i = 0; i < BLOCKS_MAX; i++)
        text_append_string(&text, ",0");
    text_append_string(&text, "]}");
    assert_int_equal(read_text(text_string(&text)), ERR_TOO_MANY_ITEMS);
    text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_read_as_it_was_written),
        cmocka_unit_test(entries_that_are_not_valid_are_left_out),
        cmocka_unit_test(too_many_entries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
