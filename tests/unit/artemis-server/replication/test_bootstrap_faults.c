/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults at each step of the bootstrap: a source that dies, does not respond, responds with
 * nonsense or is removed, a stall of this node, and sources that disagree. Whatever happens to one
 * source, the node is ready with everything that the other one holds, and not before.
 */
#include "tests/unit/artemis-server/replication/playing_peer.h"

enum { SOURCES = 2, RECORDS = 20, STEPS = 4, TURN_MS = 50, TURNS_MAX = 4000 };

static const enum message_kind steps[STEPS] = {MESSAGE_SNAPSHOT, MESSAGE_DIGEST, MESSAGE_LIST,
                                               MESSAGE_FETCH};

static struct registry *sources[SOURCES];
static bool is_dead[SOURCES];

static void put_at(struct registry *registry, const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%s%u", prefix, i);
        put_as(registry, (struct brief){.service = "s", .id = id, .machine = prefix}, rig_now());
    }
}

/* Both sources hold the same, except some records that only one of them has received. */
static void open_all(void)
{
    struct replicator_options options = rig_options();
    options.fetch_max = 4;
    options.snapshot_timeout_ms = 2 * BOOTSTRAP_COMPARE_MS; /* shorter than a lease */
    rig_open_as(&options);
    for (uint32_t i = 0; i < SOURCES; i++) {
        sources[i] = make_node(i ? "two" : "one");
        is_dead[i] = false;
        put_at(sources[i], i ? "two" : "one", RECORDS);
    }
}

static void close_all(void)
{
    rig_close();
    for (uint32_t i = 0; i < SOURCES; i++) {
        registry_validate(sources[i]);
        registry_free(sources[i]);
    }
}

static bool is_ready(void)
{
    pump();
    return replicator_is_ready(rig.replicator);
}

/* Both sources respond, until a message of this kind is in flight to the first one. */
static struct message *play_on_until(enum message_kind kind)
{
    for (;;) {
        struct message *found = sent(0, kind);
        if (found)
            return found;
        assert_false(is_ready());
        if (rig.out_count)
            play_as(rig.out[0], sources[rig.out[0]->peer], 0);
        else
            pass_ms(TURN_MS);
    }
}

/* The same from the start. The snapshot comes from the first source if it is the message; else from
 * the second one, and the first one is compared. */
static struct message *play_until(enum message_kind kind)
{
    if (kind == MESSAGE_SNAPSHOT) {
        join(0);
        join(1);
        return play_on_until(kind);
    }
    join(1);
    while (!sent(1, MESSAGE_SNAPSHOT))
        play_as(rig.out[0], sources[1], 0);
    play_as(expect(1, MESSAGE_SNAPSHOT), sources[1], 0);
    join(0);
    return play_on_until(kind);
}

/* Dead sources refuse every connection. */
static void play_until_ready(void)
{
    for (int i = 0; !is_ready(); i++) {
        assert_true(i < TURNS_MAX);
        if (!rig.out_count)
            pass_ms(TURN_MS);
        else if (is_dead[rig.out[0]->peer])
            finish_message(rig.out[0], SEND_UNREACHABLE);
        else
            play_as(rig.out[0], sources[rig.out[0]->peer], 0);
    }
}

static void assert_holds_all_of(uint32_t source)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%s%u", source ? "two" : "one", i);
        assert_true(is_registered(rig.node, "s", id));
    }
}

/* A part of the response arrives. */
static void respond_partly(struct message *message)
{
    if (message->kind == MESSAGE_SNAPSHOT)
        play_snapshot(message, sources[0], RECORDS / 2);
    else if (message->kind == MESSAGE_LIST)
        play_list(message, sources[0]);
    else if (message->kind == MESSAGE_FETCH)
        play_fetch(message, sources[0], 1);
}

/* --- the first source ------------------------------------------------------------------------- */

static void source_that_dies_at_any_step_takes_nothing_of_the_other(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        respond_partly(last);
        is_dead[0] = true;
        finish_message(last, SEND_UNREACHABLE);
        play_until_ready();
        assert_holds_all_of(1);
        close_all();
    }
}

static void broken_connection_at_any_step_loses_nothing(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        respond_partly(last);
        finish_message(last, SEND_RETRYABLE); /* also a timeout, and a body that is no JSON */
        play_until_ready();
        assert_holds_all_of(0);
        assert_holds_all_of(1);
        close_all();
    }
}

/* An older or broken Artemis. */
static void rejection_at_any_step_takes_nothing_of_the_other(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        finish_message(last, SEND_REJECTED);
        play_until_ready();
        assert_holds_all_of(1);
        close_all();
    }
}

/* It responds in time and says nothing: the node must not wait for ever. */
static void empty_responses_at_any_step_take_nothing_of_the_other(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        finish_message(play_until(steps[step]), SEND_DELIVERED);
        play_until_ready();
        assert_holds_all_of(1);
        close_all();
    }
}

/* It holds the connection; the peer client ends it at the timeout. */
static void source_that_does_not_respond_at_any_step_delays_the_node_for_a_while(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        uint64_t limit_ms = last->timeout_ms ? last->timeout_ms : BOOTSTRAP_COMPARE_MS;
        for (uint64_t ms = 0; ms < limit_ms; ms += TURN_MS) {
            pass_ms(TURN_MS);
            for (size_t i = 0; pump(), i < rig.out_count;) {
                if (rig.out[i] == last || is_ready())
                    i++;
                else
                    play_as(rig.out[i], sources[rig.out[i]->peer], 0);
            }
        }
        finish_message(last, SEND_RETRYABLE);
        play_until_ready();
        assert_holds_all_of(1);
        close_all();
    }
}

/* A reload takes it out of cluster.peers. */
static void source_that_is_removed_at_any_step_takes_nothing_of_the_other(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        respond_partly(last);
        replicator_remove_peer(rig.replicator, 0);
        finish_message(last, SEND_DELIVERED);
        play_until_ready();
        assert_holds_all_of(1);
        close_all();
    }
}

static void source_that_is_replaced_at_any_step_is_copied_again(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        replicator_remove_peer(rig.replicator, 0);
        join(0);
        respond_partly(last);
        finish_message(last, SEND_DELIVERED); /* of the one before: it says nothing */
        play_until_ready();
        assert_holds_all_of(0);
        assert_holds_all_of(1);
        close_all();
    }
}

/* --- this node -------------------------------------------------------------------------------- */

static void stall_at_any_step_loses_nothing(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        open_all();
        struct message *last = play_until(steps[step]);
        respond_partly(last);
        pass_ms(COMPARE_MS);
        put_at(sources[0], "three", 1); /* meanwhile */
        replicator_recompare(rig.replicator, rig_now());
        assert_false(is_ready());
        finish_message(last, SEND_RETRYABLE);
        play_until_ready();
        assert_holds_all_of(0);
        assert_holds_all_of(1);
        assert_true(is_registered(rig.node, "s", "three0"));
        close_all();
    }
}

static void stall_of_a_ready_node_at_any_step_loses_nothing(void **state)
{
    (void)state;
    for (int step = 1; step < STEPS; step++) {
        open_all();
        join(0);
        join(1);
        play_until_ready();
        pass_ms(COMPARE_MS);
        replicator_recompare(rig.replicator, rig_now());
        put_at(sources[0], "three", RECORDS);
        put_at(sources[1], "four", RECORDS);
        struct message *last = play_on_until(steps[step]);
        respond_partly(last);
        replicator_recompare(rig.replicator, rig_now());
        finish_message(last, SEND_DELIVERED);
        play_until_ready();
        assert_int_equal(stats_of(rig.node).instances, 4 * RECORDS);
        close_all();
    }
}

/* --- sources that disagree -------------------------------------------------------------------- */

static bool has_machine(const char *id, const char *machine)
{
    struct record_copy state;
    return read_state(rig.node, "s", id, &state) && !state.deleted &&
           slice_equal(instance_text(state.instance, FIELD_MACHINE_NAME), slice_of(machine));
}

static void later_record_of_two_sources_wins(void **state)
{
    (void)state;
    for (uint32_t later = 0; later < SOURCES; later++) {
        open_all();
        struct registry *old = sources[1 - later];
        struct registry *new = sources[later];
        say_registered(old, (struct word){.id = "a", .stamp = 5, .machine = "old"}, rig_now());
        say_registered(new, (struct word){.id = "a", .stamp = 6, .machine = "new"}, rig_now());
        say_registered(old, (struct word){.id = "gone", .stamp = 5}, rig_now());
        say_unregistered(new, (struct word){.id = "gone", .stamp = 6}, rig_now());
        say_unregistered(old, (struct word){.id = "back", .stamp = 5}, rig_now());
        say_registered(new, (struct word){.id = "back", .stamp = 6}, rig_now());
        join(0);
        join(1);
        play_until_ready();
        assert_true(has_machine("a", "new"));
        assert_true(is_tombstone(rig.node, "s", "gone"));
        assert_true(is_registered(rig.node, "s", "back"));
        close_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_that_dies_at_any_step_takes_nothing_of_the_other),
        cmocka_unit_test(broken_connection_at_any_step_loses_nothing),
        cmocka_unit_test(rejection_at_any_step_takes_nothing_of_the_other),
        cmocka_unit_test(empty_responses_at_any_step_take_nothing_of_the_other),
        cmocka_unit_test(source_that_does_not_respond_at_any_step_delays_the_node_for_a_while),
        cmocka_unit_test(source_that_is_removed_at_any_step_takes_nothing_of_the_other),
        cmocka_unit_test(source_that_is_replaced_at_any_step_is_copied_again),
        cmocka_unit_test(stall_at_any_step_loses_nothing),
        cmocka_unit_test(stall_of_a_ready_node_at_any_step_loses_nothing),
        cmocka_unit_test(later_record_of_two_sources_wins),
    };
    return cmocka_run_group_tests_name("bootstrap: faults", tests, NULL, NULL);
}
