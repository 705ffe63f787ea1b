/* SPDX-License-Identifier: Apache-2.0
 *
 * A replicator at work while each allocation fails in turn: nothing breaks, nothing leaks, and in
 * the end the peer gets every change, by a message or by anti-entropy.
 */
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

/* Responses every message as a healthy peer. */
static void deliver_all(void)
{
    static const struct health_response healthy = {.is_ready = true};
    for (int i = 0; i < 50 && (pump(), rig.out_count); i++) {
        struct message *message = rig.out[0];
        if (message->kind == MESSAGE_HEALTH)
            replicator_on_health(rig.replicator, message, &healthy, rig_now());
        finish_message(message, SEND_DELIVERED);
    }
}

static struct instance *first, *second, *again;
static struct instance_key key_of_first, key_of_second;

static void make_all(void)
{
    first = make_instance((struct brief){.service = "s", .id = "a"});
    second = make_instance((struct brief){.service = "s", .id = "b"});
    again = make_instance((struct brief){.service = "s", .id = "a", .machine = "2"});
    key_of_first = make_key("s", "a");
    key_of_second = make_key("s", "b");
}

static void drop_all(void)
{
    instance_unref(first);
    instance_unref(second);
    instance_unref(again);
}

/* A client repeats what was refused. */
static void register_it(struct instance *instance)
{
    if (registry_register(rig.node, instance, rig_now()))
        assert_int_equal(registry_register(rig.node, instance, rig_now()), ERR_NONE);
}

static void live_through(void)
{
    register_it(first);
    register_it(second);
    deliver_all();
    assert_int_equal(registry_renew(rig.node, &key_of_first, rig_now()), ERR_NONE);
    register_it(again);
    pump();
    for (size_t i = 0; i < rig.out_count; i++)
        if (rig.out[i]->kind == MESSAGE_REGISTER) {
            finish_message(rig.out[i], SEND_RETRYABLE);
            break;
        }
    assert_int_equal(registry_unregister(rig.node, &key_of_second, 0, rig_now()), ERR_NONE);
    pass_ms(BACKOFF_FIRST_MS);
    deliver_all();
    assert_int_equal(registry_renew(rig.node, &key_of_first, rig_now()), ERR_NONE);
    pass_ms(INTERVAL_MS);
    pump();
    for (size_t i = 0; i < rig.out_count; i++)
        if (rig.out[i]->kind == MESSAGE_RENEW) {
            struct wire_record record = {.key = &key_of_first};
            replicator_on_record(rig.replicator, rig.out[i], &record, rig_now());
        }
    deliver_all();
    pass_ms(TTL_MS + TICK_MS);
    registry_expire(rig.node, rig_now());
    deliver_all();
    pass_ms(TICK_MS);
    registry_expire(rig.node, rig_now());
    pass_ms(CHECK_MAX_MS + TICK_MS);
    registry_expire(rig.node, rig_now());
}

static void each_allocation_can_fail(void **state)
{
    (void)state;
    long failures = 0;
    long live_before = failing_malloc_live();
    make_all();
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        rig_open();
        join_up(0);
        failing_malloc_after(n);
        live_through();
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        registry_validate(rig.node);
        assert_false(is_registered(rig.node, "s", "a")); /* the lease expired */
        assert_int_equal(view_of(0).health, PEER_UP);
        for (int i = 0; i < 3; i++) { /* the replicator keeps working */
            register_here("after", i % 2 ? "1" : "2");
            assert_non_null(sent(0, MESSAGE_REGISTER));
            pass_ms(COMPARE_MS);
            deliver_all();
        }
        assert_true(view_of(0).backlog == 0);
        assert_true(rig_now().mono_ms - view_of(0).compared_ms <= COMPARE_MS);
        rig_close();
        assert_int_equal(failing_malloc_live(), live);
        if (!failed)
            break;
        failures++;
    }
    assert_true(failures > 30);
    drop_all();
    assert_int_equal(failing_malloc_live(), live_before); /* no reference leaks */
}

static void create_without_memory_frees_everything(void **state)
{
    (void)state;
    const struct replicator_options options = {.batch_size = 1, .seed = 1};
    struct registry *node = make_node("self");
    struct replicator *replicator = NULL;
    long live = failing_malloc_live();
    failing_malloc_after(1);
    assert_int_equal(replicator_create(&options, node, at_ms(0), &replicator), ERR_NO_MEMORY);
    failing_malloc_after(-1);
    assert_int_equal(failing_malloc_live(), live);
    replicator_free(NULL);
    message_free(NULL);
    registry_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_can_fail),
        cmocka_unit_test(create_without_memory_frees_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
