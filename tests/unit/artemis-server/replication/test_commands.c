/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of the replication thread: they are taken once, a later topology replaces an earlier
 * one, and the queue never grows.
 */
#include "artemis-server/replication/commands.h"

#include "tests/support/cmocka_all.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct command_queue queue;
static struct command_list list;

static int set_up(void **state)
{
    (void)state;
    command_queue_init(&queue);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    command_queue_free(&queue);
    return 0;
}

static void put_topology(const char *address)
{
    struct member_list topology = {0};
    assert_int_equal(member_list_add(&topology, address), ERR_NONE);
    command_queue_put_topology(&queue, &topology);
}

static void empty_queue_has_nothing_to_take(void **state)
{
    (void)state;
    assert_false(command_queue_take(&queue, &list));
}

static void commands_are_taken_once(void **state)
{
    (void)state;
    put_topology("a:1");
    command_queue_put_goodbye(&queue, "n1");
    assert_true(command_queue_take(&queue, &list));
    assert_true(list.has_topology);
    assert_int_equal(list.goodbye_count, 1);
    assert_string_equal(list.goodbyes[0], "n1");
    assert_false(command_queue_take(&queue, &list));
    command_queue_put_check_clocks(&queue);
    assert_true(command_queue_take(&queue, &list));
    assert_false(list.has_topology);
    assert_int_equal(list.goodbye_count, 0);
    assert_true(list.check_clocks);
    command_queue_put_flush(&queue);
    assert_true(command_queue_take(&queue, &list));
    assert_false(list.check_clocks);
}

static void later_topology_replaces_the_earlier_one(void **state)
{
    (void)state;
    put_topology("a:1");
    put_topology("b:1");
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.topology.count, 1);
    assert_string_equal(list.topology.items[0].url, "http://b:1");
}

static void flush_requests_are_numbered(void **state)
{
    (void)state;
    assert_int_equal(command_queue_put_flush(&queue), 1);
    assert_int_equal(command_queue_put_flush(&queue), 2);
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.flush, 2);
    put_topology("a:1");
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.flush, 2); /* the last request stays known */
}

static void goodbyes_are_bounded(void **state)
{
    (void)state;
    char name[PEER_NAME_BYTES + 1];
    for (int i = 0; i < 3 * MEMBERS_MAX; i++) {
        snprintf(name, sizeof name, "n%d", i);
        command_queue_put_goodbye(&queue, name);
        command_queue_put_goodbye(&queue, name);
    }
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.goodbye_count, MEMBERS_MAX);
    assert_string_equal(list.goodbyes[1], "n1");
    memset(name, 'x', PEER_NAME_BYTES);
    name[PEER_NAME_BYTES] = '\0';
    command_queue_put_goodbye(&queue, name); /* too long to be the name of a peer */
    assert_false(command_queue_take(&queue, &list));
}

/* The id of a peer is empty until its first response: an empty name would match all of these. */
static void goodbye_without_a_node_id_is_ignored(void **state)
{
    (void)state;
    command_queue_put_goodbye(&queue, "");
    assert_false(command_queue_take(&queue, &list));
    command_queue_put_goodbye(&queue, "n1");
    command_queue_put_goodbye(&queue, "");
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.goodbye_count, 1);
}

static enum error put_release(const char *service_id, uint64_t at_ms)
{
    return command_queue_put_release(&queue, slice_of(service_id), at_ms, at_ms + 1000, at_ms);
}

/* A burst that the thread has not taken yet. */
static void no_release_that_is_accepted_is_lost(void **state)
{
    (void)state;
    char id[16];
    unsigned accepted = 0;
    for (unsigned i = 0; i < 2 * RELEASES_MAX; i++) {
        snprintf(id, sizeof id, "s%u", i);
        bool can_put = command_queue_can_put_release(&queue, slice_of(id), 1, 1);
        enum error error = put_release(id, 1);
        assert_int_equal(error, can_put ? ERR_NONE : ERR_TOO_MANY_RELEASES);
        accepted += !error;
    }
    assert_int_equal(accepted, RELEASES_MAX);
    assert_true(command_queue_take(&queue, &list));
    assert_true(list.has_releases);
    assert_int_equal(list.releases.count, accepted);
    assert_int_equal(put_release("s0", 1), ERR_NONE); /* known */
    assert_int_equal(put_release("more", 2), ERR_TOO_MANY_RELEASES);
    assert_false(command_queue_take(&queue, &list));
    assert_int_equal(put_release("", 2), ERR_NONE);
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.releases.count, 1);
    command_queue_put_recompare(&queue, 7);
    assert_true(command_queue_take(&queue, &list));
    assert_false(list.has_releases);
    assert_int_equal(list.recompare, 7);
    command_queue_put_check_clocks(&queue);
    assert_true(command_queue_take(&queue, &list));
    assert_int_equal(list.recompare, 0);
}

static void *put_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10000; i++)
        command_queue_put_flush(&queue);
    return NULL;
}

static void no_command_of_many_threads_is_lost(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, NULL), 0);
    uint64_t last = 0;
    while (last < 40000)
        if (command_queue_take(&queue, &list))
            last = list.flush;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(last, 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_queue_has_nothing_to_take, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commands_are_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(later_topology_replaces_the_earlier_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flush_requests_are_numbered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goodbyes_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goodbye_without_a_node_id_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_release_that_is_accepted_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_command_of_many_threads_is_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
