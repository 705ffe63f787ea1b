/* SPDX-License-Identifier: Apache-2.0
 *
 * Client revisions: a late request is refused, and nodes that exchange their records end with the
 * same one, also where some of the changes carry no revision.
 */
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

static struct registry *node;
static char case_id[16] = "a"; /* the instance of do_register and do_unregister */

static int set_up(void **state)
{
    (void)state;
    node = make_node("self");
    registry_set_replicating(node, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(node);
    registry_free(node);
    return 0;
}

static enum error do_register(struct registry *registry, uint64_t revision, const char *machine,
                              struct moment now)
{
    struct instance *instance = make_instance(
        (struct brief){.service = "s", .id = case_id, .machine = machine, .revision = revision});
    enum error error = registry_register(registry, instance, now);
    instance_unref(instance);
    return error;
}

static enum error do_unregister(struct registry *registry, uint64_t revision, struct moment now)
{
    struct instance_key key = make_key("s", case_id);
    return registry_unregister(registry, &key, revision, now);
}

/* The content is `machine`; NULL: there is a tombstone. */
static void assert_holds(struct registry *registry, const char *machine, uint64_t revision)
{
    struct instance_key key = make_key("s", "a");
    struct record_copy state;
    assert_true(registry_read_key(registry, instance_key_packed(&key), &state));
    assert_int_equal(state.deleted, machine == NULL);
    if (machine)
        assert_true(
            slice_equal(instance_text(state.instance, FIELD_MACHINE_NAME), slice_of(machine)));
    assert_true(instance_client_revision(state.instance) == revision);
    record_copy_unref(&state);
}

/* --- requests of clients ---------------------------------------------------------------------- */

static void lower_revision_is_refused(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_register(node, 5, "old", at_ms(1)), ERR_STALE_REVISION);
    assert_int_equal(do_register(node, 5, "new", at_ms(1)), ERR_STALE_REVISION);
    assert_holds(node, "new", 6);
    assert_int_equal(do_register(node, 7, "newer", at_ms(2)), ERR_NONE);
    assert_holds(node, "newer", 7);
}

static void refused_registration_renews_nothing(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_register(node, 5, "old", at_ms(TTL_MS - 1)), ERR_STALE_REVISION);
    registry_set_replicating(node, false);
    registry_expire(node, at_ms(TTL_MS + 10 * TICK_MS));
    assert_int_equal(shown(node, "s"), 0);
}

static void equal_revision_renews_the_same_content_only(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    uint64_t revision = registry_revision(node);
    assert_int_equal(do_register(node, 6, "new", at_ms(1)), ERR_NONE);
    assert_int_equal(do_register(node, 6, "other", at_ms(1)), ERR_STALE_REVISION);
    assert_holds(node, "new", 6);
    assert_true(registry_revision(node) == revision);
    assert_int_equal(stats_of(node).renewed, 1);
}

static void repeated_registration_does_not_confirm_its_content(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_register(node, 6, "new", at_ms(20)), ERR_NONE);
    struct word of_operator = {.stamp = 10u << 16, .machine = "down"};
    assert_int_equal(say_registered(node, of_operator, at_ms(30)), ERR_NONE);
    assert_holds(node, "down", 6);
}

static void higher_revision_with_the_same_content_is_a_change(void **state)
{
    (void)state;
    struct record_copy before, after;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_true(read_state(node, "s", "a", &before));
    assert_int_equal(do_register(node, 7, "new", at_ms(1)), ERR_NONE);
    assert_true(read_state(node, "s", "a", &after));
    assert_true(after.hlc > before.hlc);
    assert_int_equal(do_register(node, 6, "new", at_ms(2)), ERR_STALE_REVISION);
}

static void change_without_a_revision_keeps_the_stored_one(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_register(node, 0, "new", at_ms(1)), ERR_NONE); /* a renewal */
    assert_int_equal(stats_of(node).renewed, 1);
    assert_int_equal(do_register(node, 0, "down", at_ms(2)), ERR_NONE);
    assert_holds(node, "down", 6);
    assert_int_equal(do_register(node, 5, "old", at_ms(3)), ERR_STALE_REVISION);
    assert_int_equal(do_register(node, 6, "new", at_ms(3)), ERR_STALE_REVISION);
}

static void tombstone_keeps_the_revision(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_unregister(node, 7, at_ms(1)), ERR_NONE);
    assert_holds(node, NULL, 7);
    assert_int_equal(do_register(node, 6, "new", at_ms(2)), ERR_STALE_REVISION);
    assert_int_equal(do_register(node, 7, "new", at_ms(2)), ERR_STALE_REVISION);
    assert_int_equal(do_unregister(node, 6, at_ms(2)), ERR_STALE_REVISION);
    assert_int_equal(do_unregister(node, 7, at_ms(2)), ERR_NONE); /* repeated */
    assert_int_equal(do_unregister(node, 9, at_ms(2)), ERR_NONE);
    assert_holds(node, NULL, 9);
    assert_int_equal(do_register(node, 10, "again", at_ms(3)), ERR_NONE);
    assert_holds(node, "again", 10);
}

static void unregistration_without_a_revision_keeps_the_stored_one(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_unregister(node, 0, at_ms(1)), ERR_NONE);
    assert_holds(node, NULL, 6);
    assert_int_equal(do_register(node, 6, "new", at_ms(2)), ERR_STALE_REVISION);
    assert_int_equal(do_register(node, 0, "other", at_ms(3)), ERR_NONE);
    assert_holds(node, "other", 6);
}

static void late_unregistration_is_refused(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(do_unregister(node, 5, at_ms(1)), ERR_STALE_REVISION);
    assert_holds(node, "new", 6);
}

static void unregistration_of_an_unknown_key_keeps_its_revision(void **state)
{
    (void)state;
    assert_int_equal(do_unregister(node, 6, at_ms(1)), ERR_NONE);
    assert_holds(node, NULL, 6);
    assert_int_equal(do_register(node, 5, "late", at_ms(2)), ERR_STALE_REVISION);
}

static void record_without_a_revision_takes_no_more_memory(void **state)
{
    (void)state;
    struct instance *with = make_instance((struct brief){.service = "s", .id = "a", .revision = 1});
    struct instance *without = make_instance((struct brief){.service = "s", .id = "a"});
    assert_int_equal(instance_size(with), instance_size(without) + sizeof(uint64_t));
    instance_unref(with);
    instance_unref(without);
}

static void failing_memory_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    struct instance *plain =
        make_instance((struct brief){.service = "s", .id = "a", .machine = "down"});
    failing_malloc_after(1);
    enum error error = registry_register(node, plain, at_ms(1));
    failing_malloc_after(-1);
    assert_int_equal(error, ERR_NO_MEMORY);
    assert_holds(node, "new", 6);
    instance_unref(plain);
}

/* --- records of peers ------------------------------------------------------------------------- */

static void higher_revision_of_a_peer_wins_over_a_later_stamp(void **state)
{
    (void)state;
    struct word late = {.stamp = 20, .revision = 5, .machine = "old"};
    struct word newer = {.stamp = 10, .revision = 6, .machine = "new"};
    assert_int_equal(say_registered(node, late, at_ms(0)), ERR_NONE);
    assert_int_equal(say_registered(node, newer, at_ms(1)), ERR_NONE);
    assert_holds(node, "new", 6);
    assert_int_equal(say_registered(node, late, at_ms(2)), ERR_NONE);
    assert_holds(node, "new", 6);
}

static void tombstone_of_a_peer_wins_by_its_revision(void **state)
{
    (void)state;
    struct word late = {.stamp = 20, .revision = 5, .machine = "old"};
    struct word gone = {.stamp = 10, .revision = 6};
    assert_int_equal(say_registered(node, late, at_ms(0)), ERR_NONE);
    assert_int_equal(say_unregistered(node, gone, at_ms(1)), ERR_NONE);
    assert_holds(node, NULL, 6);
    assert_int_equal(say_registered(node, late, at_ms(2)), ERR_NONE);
    assert_holds(node, NULL, 6);
}

static void renewal_of_a_higher_revision_asks_for_the_record(void **state)
{
    (void)state;
    struct word late = {.stamp = 20, .revision = 5, .machine = "old"};
    assert_int_equal(say_registered(node, late, at_ms(0)), ERR_NONE);
    struct word newer = {.stamp = 10, .revision = 6};
    assert_int_equal(say_renewed(node, newer, at_ms(1)), ERR_INSTANCE_NOT_FOUND);
    struct word older = {.stamp = 30, .revision = 4};
    assert_int_equal(say_renewed(node, older, at_ms(1)), ERR_NONE);
}

static void stamps_decide_about_a_record_without_a_revision(void **state)
{
    (void)state;
    struct word mine = {.stamp = 10, .revision = 5, .machine = "new"};
    struct word plain = {.stamp = 20, .machine = "down"};
    assert_int_equal(say_registered(node, mine, at_ms(0)), ERR_NONE);
    assert_int_equal(say_registered(node, plain, at_ms(1)), ERR_NONE);
    assert_holds(node, "down", 5);
    struct word late = {.stamp = 30, .revision = 4, .machine = "old"};
    assert_int_equal(say_registered(node, late, at_ms(2)), ERR_NONE);
    assert_holds(node, "down", 5);
}

static void registration_of_a_legacy_peer_keeps_the_revision(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 5, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(say_registered(node, (struct word){.machine = "other"}, at_ms(1)), ERR_NONE);
    assert_holds(node, "other", 5);
    assert_int_equal(do_register(node, 5, "new", at_ms(2)), ERR_STALE_REVISION);
}

/* --- snapshot files --------------------------------------------------------------------------- */

static enum restore_result restore(uint64_t small_stamp, uint64_t revision, const char *machine)
{
    enum restore_result result;
    struct instance *instance = make_instance(
        (struct brief){.service = "s", .id = "a", .machine = machine, .revision = revision});
    struct instance_key key = make_key("s", "a");
    struct wire_record record = {.key = &key,
                                 .instance = machine ? instance : NULL,
                                 .stamp = {full_stamp(small_stamp), SLICE("peer")},
                                 .client_revision = revision,
                                 .deleted = !machine};
    assert_int_equal(registry_restore(node, &record, false, at_ms(10), &result), ERR_NONE);
    instance_unref(instance);
    return result;
}

static void restored_record_is_ordered_by_its_revision(void **state)
{
    (void)state;
    assert_int_equal(do_register(node, 6, "new", at_ms(0)), ERR_NONE);
    assert_int_equal(restore(100u << 16, 5, "old"), RESTORE_NEWER);
    assert_int_equal(restore(1, 7, "newer"), RESTORE_TAKEN);
    assert_holds(node, "newer", 7);
    assert_int_equal(restore(2, 6, NULL), RESTORE_NEWER);
    assert_int_equal(restore(3, 8, NULL), RESTORE_TAKEN);
    assert_holds(node, NULL, 8);
    assert_int_equal(restore(2, 9, NULL), RESTORE_TAKEN);
    assert_holds(node, NULL, 9);
    assert_int_equal(restore(200u << 16, 0, "plain"), RESTORE_TAKEN);
    assert_holds(node, "plain", 9);
}

/* --- convergence ------------------------------------------------------------------------------ */

/* To make and compare nodes takes most of the time, so they serve many cases: each has its key. */
enum { NODES = 3, STEPS = 14, ROUNDS = 30, CASES_PER_ROUND = 100, CASE_MS = 2000 };

static struct registry *nodes[NODES];

/* Sends the record of the case from one node to another. `plain`: a node of an earlier version that
 * lies between them drops the client revision. */
static void exchange(uint32_t from, uint32_t to, bool plain, struct moment now)
{
    struct instance_key key = make_key("s", case_id);
    struct record_copy state;
    if (from == to || !registry_read_key(nodes[from], instance_key_packed(&key), &state))
        return;
    struct wire_record record = registry_wire_record(nodes[from], &state, now);
    struct slice machine = instance_text(state.instance, FIELD_MACHINE_NAME);
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)machine.size, machine.data ? machine.data : "");
    struct instance *copy =
        make_instance((struct brief){.service = "s", .id = case_id, .machine = text});
    if (plain)
        record.instance = copy;
    enum error error = state.deleted ? registry_apply_unregister(nodes[to], &record, now)
                                     : registry_apply(nodes[to], &record, now);
    assert_int_equal(error, ERR_NONE);
    instance_unref(copy);
    record_copy_unref(&state);
}

static void do_step(uint64_t *random, uint64_t ms)
{
    uint32_t at = random_below(random, NODES);
    uint64_t revision = random_below(random, 2) ? 1 + random_below(random, 6) : 0;
    char machine[16];
    snprintf(machine, sizeof(machine), "m%u", random_below(random, 4));
    enum error error = ERR_NONE;
    switch (random_below(random, 5)) {
    case 0:
        error = do_unregister(nodes[at], revision, at_ms(ms));
        break;
    case 1:
    case 2:
        error = do_register(nodes[at], revision, machine, at_ms(ms));
        break;
    default:
        exchange(at, random_below(random, NODES), random_below(random, 4) == 0, at_ms(ms));
    }
    assert_true(error == ERR_NONE || error == ERR_STALE_REVISION);
}

static void exchange_all(uint64_t ms)
{
    for (uint32_t round = 0; round < 2 * NODES; round++)
        for (uint32_t from = 0; from < NODES; from++)
            for (uint32_t to = 0; to < NODES; to++)
                exchange(from, to, false, at_ms(ms));
}

/* UINT64_MAX: the node does not know the key. */
static uint64_t revision_at(uint32_t number)
{
    struct instance_key key = make_key("s", case_id);
    struct record_copy copy;
    if (!registry_read_key(nodes[number], instance_key_packed(&key), &copy))
        return UINT64_MAX;
    uint64_t revision = instance_client_revision(copy.instance);
    record_copy_unref(&copy);
    return revision;
}

static void make_nodes(void)
{
    for (uint32_t n = 0; n < NODES; n++) {
        char name[8];
        snprintf(name, sizeof(name), "n%u", n);
        nodes[n] = make_node(name);
    }
}

static void run_case(uint64_t seed, uint64_t start_ms)
{
    uint64_t random = seed;
    snprintf(case_id, sizeof(case_id), "i%llu", (unsigned long long)seed);
    for (uint64_t step = 1; step <= STEPS; step++)
        do_step(&random, start_ms + step * 2);
    exchange_all(start_ms + CASE_MS / 2);
    for (uint32_t n = 1; n < NODES; n++)
        if (revision_at(0) != revision_at(n))
            fail_msg("seed %llu: the revisions of n0 and n%u differ", (unsigned long long)seed, n);
}

static void nodes_that_exchange_their_records_agree(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        make_nodes();
        for (uint64_t i = 0; i < CASES_PER_ROUND; i++)
            run_case(1 + round * CASES_PER_ROUND + i, i * CASE_MS);
        for (uint32_t n = 1; n < NODES; n++)
            if (!same_holdings(nodes[0], nodes[n]) || !same_digests(nodes[0], nodes[n]))
                fail_msg("round %llu: n0 and n%u differ", (unsigned long long)round, n);
        for (uint32_t n = 0; n < NODES; n++)
            registry_free(nodes[n]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lower_revision_is_refused),
        TEST(refused_registration_renews_nothing),
        TEST(equal_revision_renews_the_same_content_only),
        TEST(repeated_registration_does_not_confirm_its_content),
        TEST(higher_revision_with_the_same_content_is_a_change),
        TEST(change_without_a_revision_keeps_the_stored_one),
        TEST(tombstone_keeps_the_revision),
        TEST(unregistration_without_a_revision_keeps_the_stored_one),
        TEST(late_unregistration_is_refused),
        TEST(unregistration_of_an_unknown_key_keeps_its_revision),
        TEST(record_without_a_revision_takes_no_more_memory),
        TEST(failing_memory_changes_nothing),
        TEST(higher_revision_of_a_peer_wins_over_a_later_stamp),
        TEST(tombstone_of_a_peer_wins_by_its_revision),
        TEST(renewal_of_a_higher_revision_asks_for_the_record),
        TEST(stamps_decide_about_a_record_without_a_revision),
        TEST(registration_of_a_legacy_peer_keeps_the_revision),
        TEST(restored_record_is_ordered_by_its_revision),
        cmocka_unit_test(nodes_that_exchange_their_records_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
