/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of releases: a later release replaces those that it covers, and a release that does not
 * fit is refused.
 */
#include "artemis-server/cluster/release_list.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

enum { TTL_MS = 30000, START_MS = 100000 };

static struct release_list list;

static int set_up(void **state)
{
    (void)state;
    memset(&list, 0, sizeof(list));
    return 0;
}

/* A release that is put as soon as it is made: both clocks are the same here. */
static enum error put(const char *service_id, uint64_t clock_ms)
{
    return release_list_put(&list, slice_of(service_id), clock_ms, clock_ms + TTL_MS, clock_ms);
}

static void assert_next(uint64_t number, uint64_t now_ms, const char *service_id)
{
    const struct guard_release *next = release_list_next(&list, number, now_ms);
    if (!service_id) {
        assert_null(next);
        return;
    }
    assert_non_null(next);
    assert_true(slice_equal((struct slice){next->service_id, next->id_size}, slice_of(service_id)));
}

static void fill(uint64_t clock_ms)
{
    char id[16];
    for (unsigned i = 0; i < RELEASES_MAX; i++) {
        snprintf(id, sizeof(id), "s%u", i);
        assert_int_equal(put(id, clock_ms), ERR_NONE);
    }
}

static void releases_are_listed_by_their_numbers(void **state)
{
    (void)state;
    assert_next(0, START_MS, NULL);
    assert_int_equal(put("web", START_MS), ERR_NONE);
    assert_int_equal(put("db", START_MS), ERR_NONE);
    assert_next(0, START_MS, "web");
    assert_next(1, START_MS, "web");
    assert_next(2, START_MS, "db");
    assert_next(3, START_MS, NULL);
}

static void later_release_of_a_service_replaces_the_earlier_one(void **state)
{
    (void)state;
    assert_int_equal(put("web", START_MS), ERR_NONE);
    assert_int_equal(put("db", START_MS), ERR_NONE);
    assert_int_equal(put("web", START_MS + 1), ERR_NONE);
    assert_int_equal(list.count, 2);
    assert_next(0, START_MS, "db");
    assert_next(3, START_MS, "web"); /* also for a peer that had the earlier one */
    assert_next(3, START_MS + TTL_MS, "web");
}

static void release_that_is_known_is_not_added_again(void **state)
{
    (void)state;
    assert_int_equal(put("web", START_MS), ERR_NONE);
    assert_int_equal(put("web", START_MS), ERR_NONE);
    assert_int_equal(put("web", START_MS - 1), ERR_NONE);
    assert_int_equal(list.last, 1);
}

static void release_of_all_guards_replaces_those_of_services(void **state)
{
    (void)state;
    assert_int_equal(put("web", START_MS), ERR_NONE);
    assert_int_equal(put("late", START_MS + 2), ERR_NONE);
    assert_int_equal(put("", START_MS + 1), ERR_NONE);
    assert_int_equal(list.count, 2);
    assert_next(0, START_MS, "late");
    assert_next(3, START_MS, "");
    assert_int_equal(put("db", START_MS + 1), ERR_NONE);
    assert_int_equal(list.last, 3); /* it is covered */
    assert_int_equal(put("db", START_MS + 2), ERR_NONE);
    assert_next(4, START_MS, "db");
}

static void release_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    fill(START_MS);
    assert_false(release_list_can_put(&list, slice_of("more"), START_MS, START_MS));
    assert_int_equal(put("more", START_MS), ERR_TOO_MANY_RELEASES);
    assert_next(0, START_MS, "s0");
    assert_int_equal(list.last, RELEASES_MAX);
    assert_true(release_list_can_put(&list, slice_of("s7"), START_MS, START_MS)); /* covered */
    assert_int_equal(put("s7", START_MS + 1), ERR_NONE);
    assert_true(release_list_can_put(&list, slice_of(""), START_MS, START_MS));
    assert_int_equal(put("", START_MS + 1), ERR_NONE);
    assert_int_equal(list.count, 1);
}

static void release_that_has_ended_gives_its_place_away(void **state)
{
    (void)state;
    fill(START_MS);
    assert_int_equal(put("more", START_MS + TTL_MS - 1), ERR_TOO_MANY_RELEASES);
    assert_int_equal(put("more", START_MS + TTL_MS), ERR_NONE);
    assert_int_equal(list.count, 1);
    assert_next(0, START_MS + TTL_MS, "more");
    assert_next(0, START_MS + 2 * TTL_MS, NULL);
}

static void release_that_has_ended_is_not_added(void **state)
{
    (void)state;
    fill(START_MS);
    assert_int_equal(release_list_put(&list, slice_of("old"), 1, START_MS, START_MS), ERR_NONE);
    assert_int_equal(list.last, RELEASES_MAX);
}

static void longest_id_fits(void **state)
{
    (void)state;
    char id[ID_BYTES_MAX];
    memset(id, 'x', sizeof(id));
    struct slice longest = {id, sizeof(id)};
    assert_int_equal(release_list_put(&list, longest, 1, START_MS + 1, START_MS), ERR_NONE);
    assert_memory_equal(release_list_next(&list, 0, START_MS)->service_id, id, sizeof(id));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(releases_are_listed_by_their_numbers),
        TEST(later_release_of_a_service_replaces_the_earlier_one),
        TEST(release_that_is_known_is_not_added_again),
        TEST(release_of_all_guards_replaces_those_of_services),
        TEST(release_that_does_not_fit_is_refused),
        TEST(release_that_has_ended_gives_its_place_away),
        TEST(release_that_has_ended_is_not_added),
        TEST(longest_id_fits),
    };
    return cmocka_run_group_tests_name("release list", tests, NULL, NULL);
}
