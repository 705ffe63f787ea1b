/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the block list: it is loaded as it was stored, and a damaged one is replaced.
 */
#include "artemis-server/storage/block_file.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"

#include <stdio.h>
#include <string.h>

static struct temp_folder folder;
static struct blocks blocks[2];

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    for (int i = 0; i < 2; i++)
        blocks_init(&blocks[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        blocks_free(&blocks[i]);
    temp_folder_remove(&folder);
    return 0;
}

static void block(const char *node_id)
{
    struct block block = {.origin = "n1", .by = "ada", .reason = "test"};
    snprintf(block.node_id, sizeof(block.node_id), "%s", node_id);
    assert_int_equal(blocks_block(&blocks[0], &block, 1000), ERR_NONE);
}

static void list_is_loaded_as_it_was_stored(void **state)
{
    (void)state;
    block_file_load(folder.path, &blocks[0]); /* there is none */
    assert_int_equal(blocks_hash(&blocks[0]), 0);
    block("n3");
    block_file_store(folder.path, &blocks[0]);
    block("n4");
    block_file_store(folder.path, &blocks[0]);
    block_file_load(folder.path, &blocks[1]);
    assert_true(blocks_has_node(&blocks[1], "n3"));
    assert_true(blocks_has_node(&blocks[1], "n4"));
    assert_true(blocks_hash(&blocks[0]) == blocks_hash(&blocks[1]));
}

static void file_that_is_damaged_is_replaced_at_the_next_change(void **state)
{
    (void)state;
    temp_folder_write(&folder, BLOCK_FILE, "{\"blocks\":[{\"node");
    block_file_load(folder.path, &blocks[0]);
    assert_int_equal(blocks_hash(&blocks[0]), 0);
    block("n3");
    block_file_store(folder.path, &blocks[0]);
    block_file_load(folder.path, &blocks[1]);
    assert_true(blocks_has_node(&blocks[1], "n3"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_is_loaded_as_it_was_stored),
        TEST(file_that_is_damaged_is_replaced_at_the_next_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
