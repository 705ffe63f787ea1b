/* SPDX-License-Identifier: Apache-2.0
 *
 * One shard without its lock: services, members, the states of a lease, cached responses, and what
 * cleanup removes. Every test ends with the shard's own check of its invariants.
 */
#include "artemis-server/registry/shard.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { DEADLINE_MS = 30000, UNUSED_MS = 5000, EMPTY_MS = 2000 };

static struct shard shard;
static struct cache_budget cache_budget = {.limit_bytes = SIZE_MAX};
static _Atomic uint32_t tombstones;

static int set_up(void **state)
{
    (void)state;
    shard_init(&shard, 0,
               (struct shard_settings){.unused_ms = UNUSED_MS,
                                       .empty_ms = EMPTY_MS,
                                       .tombstones_max = 100,
                                       .tombstones_of_node = &tombstones});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_validate(&shard);
    shard_free(&shard);
    assert_int_equal(cache_budget.used_bytes, 0);
    return 0;
}

static uint32_t hash_of(struct slice text)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    return hash;
}

static uint32_t insert_as(struct brief brief, uint64_t deadline_ms)
{
    struct instance *instance = make_instance(brief);
    uint32_t number = 0;
    assert_int_equal(shard_insert(&shard, hash_of(instance_text(instance, FIELD_SERVICE)),
                                  hash_of(instance_packed_key(instance)), instance, deadline_ms,
                                  &number),
                     ERR_NONE);
    instance_unref(instance); /* the shard has its own reference */
    return number;
}

static uint32_t insert(const char *service, const char *id)
{
    return insert_as((struct brief){.service = service, .id = id}, DEADLINE_MS);
}

static uint32_t find(const char *service, const char *id)
{
    struct instance_key key = make_key(service, id);
    struct slice packed = instance_key_packed(&key);
    return shard_find(&shard, hash_of(packed), packed);
}

static uint32_t find_service(const char *id)
{
    return shard_find_service(&shard, hash_of(slice_of(id)), slice_of(id));
}

static struct service *service_at(const char *id)
{
    uint32_t number = find_service(id);
    assert_int_not_equal(number, 0);
    return shard_service(&shard, number);
}

static void remove_at(const char *service, const char *id, uint64_t now_ms)
{
    uint32_t number = find(service, id);
    assert_int_not_equal(number, 0);
    shard_remove(&shard, number, now_ms);
}

/* What the wheel hands out by then goes to the list of ended leases, as registry_expire does it. */
static unsigned collect(uint64_t now_ms)
{
    unsigned steps = 1000000;
    unsigned count = 0;
    uint32_t number;
    while ((number = timing_wheel_next(&shard.wheel, now_ms, &steps))) {
        uint64_t deadline_ms = shard_record(&shard, number)->lease.deadline_ms;
        if (deadline_ms > now_ms) {
            timing_wheel_arm(&shard.wheel, number, deadline_ms);
            continue;
        }
        shard_expire(&shard, number);
        count++;
    }
    return count;
}

/* Returns how many steps it took. */
static unsigned clean_up(uint64_t now_ms)
{
    const unsigned steps = 1000000;
    unsigned left = steps;
    shard_cleanup(&shard, now_ms, &left);
    assert_true(left > 0);
    return steps - left;
}

static void check_ended(const char *service, uint32_t expired, uint32_t guarded)
{
    assert_int_equal(service_at(service)->expired, expired);
    assert_int_equal(service_at(service)->guarded, guarded);
    assert_int_equal(shard.expired, expired);
    assert_int_equal(shard.guarded, guarded);
    shard_validate(&shard);
}

/* --- records ---------------------------------------------------------------------------------- */

static void inserted_record_is_found_by_its_key(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    uint32_t b = insert("s", "b");
    uint32_t other = insert("t", "a");
    assert_int_equal(find("s", "a"), a);
    assert_int_equal(find("s", "b"), b);
    assert_int_equal(find("t", "a"), other);
    assert_int_equal(find("s", "c"), 0);
    assert_int_equal(find("u", "a"), 0);
    assert_int_equal(service_at("s")->member_count, 2);
    assert_int_equal(service_at("t")->member_count, 1);
    assert_int_equal(find_service("u"), 0);
}

static void replaced_instance_is_found_by_the_same_key(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    struct instance *changed =
        make_instance((struct brief){.service = "s", .id = "a", .port = 99, .status = "down"});
    shard_replace(&shard, a, changed);
    instance_unref(changed);
    assert_int_equal(find("s", "a"), a);
    assert_int_equal(instance_port(shard_record(&shard, a)->instance), 99);
}

static void removing_any_member_keeps_the_others(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    for (int victim = 0; victim < 4; victim++) {
        for (int i = 0; i < 4; i++)
            insert("s", ids[i]);
        remove_at("s", ids[victim], 0);
        shard_validate(&shard);
        for (int i = 0; i < 4; i++)
            assert_int_equal(find("s", ids[i]) != 0, i != victim);
        for (int i = 0; i < 4; i++)
            if (i != victim)
                remove_at("s", ids[i], 0);
    }
}

static void removed_record_never_comes_up(void **state)
{
    (void)state;
    insert("s", "a");
    insert("s", "b");
    remove_at("s", "a", 0);
    assert_int_equal(collect(DEADLINE_MS + 20), 1);
    assert_int_equal(shard_record(&shard, find("s", "b"))->lease_state, LEASE_EXPIRED);
}

/* --- services --------------------------------------------------------------------------------- */

static void empty_service_stays_known_until_it_is_old(void **state)
{
    (void)state;
    insert("s", "a");
    remove_at("s", "a", 1000);
    assert_int_not_equal(find_service("s"), 0);
    clean_up(1000 + EMPTY_MS - 1);
    assert_int_not_equal(find_service("s"), 0);
    clean_up(1000 + EMPTY_MS);
    assert_int_equal(find_service("s"), 0);
    assert_int_equal(shard.service_index.count, 0);
}

static void service_that_got_a_member_again_stays(void **state)
{
    (void)state;
    insert("s", "a");
    remove_at("s", "a", 1000);
    insert("s", "b");
    remove_at("s", "b", 2000); /* before the cleanup */
    clean_up(1000 + EMPTY_MS);
    assert_int_not_equal(find_service("s"), 0);
    insert("s", "c");
    clean_up(2000 + EMPTY_MS);
    assert_int_not_equal(find_service("s"), 0);
    remove_at("s", "c", 6000); /* cleaned up again, at the new time */
    clean_up(6000 + EMPTY_MS - 1);
    assert_int_not_equal(find_service("s"), 0);
    clean_up(6000 + EMPTY_MS);
    assert_int_equal(find_service("s"), 0);
}

static void cleanup_removes_each_of_many_empty_services(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        insert(id, "a");
        remove_at(id, "a", (uint64_t)i * TICK_MS);
    }
    clean_up(EMPTY_MS + 99 * TICK_MS);
    assert_int_equal(shard.service_index.count, 100);
    shard_validate(&shard);
    clean_up(EMPTY_MS + 199 * TICK_MS);
    assert_int_equal(shard.service_index.count, 0);
    insert("s7", "a"); /* in a place that is used again */
    assert_int_equal(service_at("s7")->member_count, 1);
}

/* --- the end of a lease ----------------------------------------------------------------------- */

static void renewed_lease_comes_up_at_its_new_end(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    shard_renew(&shard, a, 10000, 10000 + DEADLINE_MS);
    assert_int_equal(collect(10000 + DEADLINE_MS - 1), 0);
    assert_int_equal(collect(10000 + DEADLINE_MS + 19), 1);
    check_ended("s", 1, 0);
}

static void ended_lease_that_is_renewed_is_active(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    collect(DEADLINE_MS);
    check_ended("s", 1, 0);
    shard_renew(&shard, a, DEADLINE_MS, 2 * DEADLINE_MS);
    check_ended("s", 0, 0);
    assert_int_equal(timing_wheel_pop_ended(&shard.wheel), 0);
    assert_int_equal(collect(2 * DEADLINE_MS), 1); /* and it comes up again */
}

static void guarded_lease_that_is_renewed_is_active(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    collect(DEADLINE_MS);
    assert_int_equal(timing_wheel_pop_ended(&shard.wheel), a);
    shard_guard_lease(&shard, a, DEADLINE_MS + 1000);
    check_ended("s", 0, 1);
    shard_renew(&shard, a, DEADLINE_MS + 10, 2 * DEADLINE_MS + 10);
    check_ended("s", 0, 0);
    assert_int_equal(collect(2 * DEADLINE_MS), 0);
    assert_int_equal(collect(2 * DEADLINE_MS + 29), 1);
}

static void held_lease_comes_up_again_and_counts_once(void **state)
{
    (void)state;
    uint32_t a = insert("s", "a");
    collect(DEADLINE_MS);
    for (uint64_t again_ms = DEADLINE_MS + 1000; again_ms < 2 * DEADLINE_MS; again_ms += 1000) {
        assert_int_equal(timing_wheel_pop_ended(&shard.wheel), a);
        shard_guard_lease(&shard, a, again_ms);
        check_ended("s", 0, 1);
        assert_int_equal(collect(again_ms - 1), 0);
        assert_int_equal(collect(again_ms + 19), 1);
        check_ended("s", 0, 1);
    }
    assert_int_equal(shard.counters.ended, 1);
}

static void removed_lease_leaves_the_counts_of_ended_ones(void **state)
{
    (void)state;
    insert("s", "a");
    insert("s", "b");
    insert("s", "c");
    collect(DEADLINE_MS);
    uint32_t first = timing_wheel_pop_ended(&shard.wheel);
    shard_guard_lease(&shard, first, DEADLINE_MS + 1000);
    check_ended("s", 2, 1);
    remove_at("s", "a", DEADLINE_MS);
    remove_at("s", "b", DEADLINE_MS);
    remove_at("s", "c", DEADLINE_MS);
    check_ended("s", 0, 0);
    assert_int_equal(timing_wheel_pop_ended(&shard.wheel), 0);
}

static void guard_ends_when_nothing_is_held_any_more(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b"};
    uint32_t numbers[2];
    for (int i = 0; i < 2; i++)
        numbers[i] = insert("s", ids[i]);
    collect(DEADLINE_MS);
    for (int i = 0; i < 2; i++)
        shard_guard_lease(&shard, timing_wheel_pop_ended(&shard.wheel), DEADLINE_MS + 1000);
    service_at("s")->guard.state = GUARD_ENGAGED;
    shard_guard_changed(&shard, service_at("s"), GUARD_OFF);
    shard_renew(&shard, numbers[0], DEADLINE_MS, 2 * DEADLINE_MS);
    assert_int_equal(shard.engaged.services, 1);
    remove_at("s", "b", DEADLINE_MS + 7);
    assert_int_equal(service_at("s")->guard.state, GUARD_OFF);
    assert_int_equal(service_at("s")->guard.since_ms, DEADLINE_MS + 7);
    assert_int_equal(shard.engaged.services, 0);
}

/* --- responses ----------------------------------------------------------------------------------
 */

/* Caches an response as the registry does. */
static void cache(const char *id, unsigned view, uint64_t used_ms)
{
    struct cached_response *response = NULL;
    struct text body = {0};
    text_append_string(&body, "{}");
    assert_int_equal(cached_response_create(&body, service_at(id)->revision, &response), ERR_NONE);
    response->used_ms = used_ms;
    assert_true(cached_response_put(response, &cache_budget));
    cached_response_unref(response); /* the shard has the other reference */
    response->view = view;
    shard_cache_response(&shard, find_service(id), response);
}

static void new_version_drops_the_cached_responses_of_its_service_alone(void **state)
{
    (void)state;
    insert("s", "a");
    insert("t", "a");
    shard_set_revision(&shard, service_at("s"), 7);
    shard_set_revision(&shard, service_at("t"), 8);
    for (unsigned view = 0; view < RESPONSE_VIEWS; view++)
        cache("s", view, 100);
    cache("t", 0, 100);
    assert_int_equal(shard.responses, RESPONSE_VIEWS + 1);
    shard_set_revision(&shard, service_at("s"), 9);
    assert_int_equal(service_at("s")->revision, 9);
    assert_int_equal(service_at("t")->revision, 8);
    assert_int_equal(shard.responses, 1);
    assert_non_null(service_response(service_at("t"), 0));
}

/* The shard is locked then: a large body is not to be freed there. */
static void dropped_responses_live_until_the_owner_has_unlocked(void **state)
{
    (void)state;
    insert("s", "a");
    insert("t", "a");
    cache("s", 0, 100);
    cache("s", 1, 100);
    cache("t", 0, 100);
    shard_set_revision(&shard, service_at("s"), 9);
    clean_up(100 + UNUSED_MS);
    assert_int_equal(shard.responses, 0);
    assert_int_equal(cache_budget.used_bytes, 0);
    unsigned count = 0;
    const struct cached_response *response;
    SLIST_FOREACH (response, &shard.evicted_responses, link) {
        assert_int_equal(response->refs, 1);
        assert_memory_equal(response->body.data, "{}", 2);
        count++;
    }
    assert_int_equal(count, 3);
}

static void cleanup_evicts_unused_responses_and_keeps_used_ones(void **state)
{
    (void)state;
    insert("s", "a");
    cache("s", 0, 100);
    cache("s", 3, 200);
    clean_up(100 + UNUSED_MS - 1);
    assert_int_equal(shard.responses, 2);
    clean_up(100 + UNUSED_MS);
    assert_int_equal(shard.responses, 1);
    assert_non_null(service_response(service_at("s"), 3));
    service_response(service_at("s"), 3)->used_ms = 300; /* as handing out does it */
    clean_up(200 + UNUSED_MS);
    assert_int_equal(shard.responses, 1);
    clean_up(300 + UNUSED_MS);
    assert_int_equal(shard.responses, 0);
    assert_int_equal(service_at("s")->cleanup.deadline_ms, 0);
}

/* Also when it is armed for the end of an response, which comes later. */
static void service_is_looked_at_at_its_earliest_end(void **state)
{
    (void)state;
    insert("s", "a");
    cache("s", 0, 1000);
    cache("s", 1, 800);
    remove_at("s", "a", 1000);
    clean_up(1000 + EMPTY_MS - TICK_MS);
    assert_int_not_equal(find_service("s"), 0);
    clean_up(1000 + EMPTY_MS);
    assert_int_equal(find_service("s"), 0);
    assert_int_equal(shard.responses, 0);
}

static void cleanup_costs_what_has_come_up(void **state)
{
    (void)state;
    enum { MANY = 2000, SECOND_MS = 1000, TICKS = SECOND_MS / TICK_MS };
    char id[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        insert(id, "a");
        cache(id, 0, 0);
    }
    unsigned steps = 0;
    for (uint64_t ms = SECOND_MS; ms < UNUSED_MS; ms += SECOND_MS)
        steps += clean_up(ms);
    assert_true(steps < MANY / 2); /* of the clock, and none of the services */
    assert_int_equal(shard.responses, MANY);
    /* A stretch may end anywhere; the next goes on. */
    unsigned stretches = 0;
    for (unsigned left = 0; left == 0; stretches++) {
        left = 100;
        shard_cleanup(&shard, UNUSED_MS, &left);
    }
    assert_true(stretches >= MANY / 100);
    assert_int_equal(shard.responses, 0);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static void snapshot_has_what_is_up_or_all(void **state)
{
    (void)state;
    static const char *const statuses[] = {"up", "down", "starting", NULL, "odd", "unhealthy"};
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f"};
    struct instance **instances = NULL;
    size_t count = 0;
    for (int i = 0; i < 6; i++)
        insert_as((struct brief){.service = "s", .id = ids[i], .status = statuses[i]}, DEADLINE_MS);
    assert_int_equal(shard_copy_members(&shard, service_at("s"), true, &instances, &count),
                     ERR_NONE);
    assert_int_equal(count, 6);
    shard_free_members(instances, count);
    assert_int_equal(shard_copy_members(&shard, service_at("s"), false, &instances, &count),
                     ERR_NONE);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(instance_status(instances[i]), STATUS_UP);
    shard_free_members(instances, count);
}

static void snapshot_outlives_its_records(void **state)
{
    (void)state;
    struct instance **instances = NULL;
    size_t count = 0;
    insert("s", "a");
    assert_int_equal(shard_copy_members(&shard, service_at("s"), true, &instances, &count),
                     ERR_NONE);
    remove_at("s", "a", 0);
    assert_int_equal(count, 1);
    assert_true(slice_equal(instance_text(instances[0], FIELD_INSTANCE), SLICE("a")));
    shard_free_members(instances, count);
}

static void snapshot_of_an_empty_service_is_nothing(void **state)
{
    (void)state;
    struct instance **instances = (struct instance **)1;
    size_t count = 9;
    insert("s", "a");
    remove_at("s", "a", 0);
    assert_int_equal(shard_copy_members(&shard, service_at("s"), true, &instances, &count),
                     ERR_NONE);
    assert_null(instances);
    assert_int_equal(count, 0);
    shard_free_members(instances, count);
}

/* --- at random -------------------------------------------------------------------------------- */

static void random_operation(uint64_t *seed, uint64_t now_ms)
{
    char service[8];
    char id[8];
    snprintf(service, sizeof(service), "s%u", random_below(seed, 6));
    snprintf(id, sizeof(id), "i%u", random_below(seed, 20));
    uint32_t number = find(service, id);
    if (!number)
        insert_as((struct brief){.service = service, .id = id}, now_ms + random_below(seed, 9000));
    else if (random_below(seed, 2))
        shard_renew(&shard, number, now_ms, now_ms + 9000);
    else
        remove_at(service, id, now_ms);
}

static void random_operations_keep_the_invariants(void **state)
{
    (void)state;
    uint64_t seed = 11;
    uint64_t now_ms = 0;
    for (int step = 0; step < 20000; step++) {
        random_operation(&seed, now_ms);
        if (random_below(&seed, 4))
            continue;
        collect(now_ms += random_below(&seed, 500));
        for (uint32_t number; (number = timing_wheel_pop_ended(&shard.wheel));)
            shard_guard_lease(&shard, number, now_ms + 1000);
        clean_up(now_ms);
        shard_validate(&shard);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inserted_record_is_found_by_its_key),
        TEST(replaced_instance_is_found_by_the_same_key),
        TEST(removing_any_member_keeps_the_others),
        TEST(removed_record_never_comes_up),
        TEST(empty_service_stays_known_until_it_is_old),
        TEST(service_that_got_a_member_again_stays),
        TEST(cleanup_removes_each_of_many_empty_services),
        TEST(renewed_lease_comes_up_at_its_new_end),
        TEST(ended_lease_that_is_renewed_is_active),
        TEST(guarded_lease_that_is_renewed_is_active),
        TEST(held_lease_comes_up_again_and_counts_once),
        TEST(removed_lease_leaves_the_counts_of_ended_ones),
        TEST(guard_ends_when_nothing_is_held_any_more),
        TEST(new_version_drops_the_cached_responses_of_its_service_alone),
        TEST(cleanup_evicts_unused_responses_and_keeps_used_ones),
        TEST(dropped_responses_live_until_the_owner_has_unlocked),
        TEST(service_is_looked_at_at_its_earliest_end),
        TEST(cleanup_costs_what_has_come_up),
        TEST(snapshot_has_what_is_up_or_all),
        TEST(snapshot_outlives_its_records),
        TEST(snapshot_of_an_empty_service_is_nothing),
        TEST(random_operations_keep_the_invariants),
    };
    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
