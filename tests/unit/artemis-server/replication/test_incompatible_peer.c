/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that rejects every update is incompatible: it is not shown as up, gets nothing for a
 * while, and is up again when it accepts an update. A peer at which everything but /health fails is
 * down until something succeeds.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

static int set_up(void **state)
{
    (void)state;
    rig_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static const struct health_response legacy = {.is_ready = true, .is_legacy = true};

static void add_legacy(void)
{
    join(0);
    respond_health(0, legacy);
    if (sent(0, MESSAGE_SNAPSHOT))
        finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void reject(unsigned times)
{
    static unsigned changes;
    char content[16];
    while (times--) {
        snprintf(content, sizeof content, "c%u", changes++);
        register_here("a", content);
        finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    }
}

static void make_incompatible(void)
{
    add_legacy();
    reject(INCOMPATIBLE_REJECTIONS);
    assert_int_equal(view_of(0).health, PEER_INCOMPATIBLE);
}

/* Lets the time pass while the peer responds to health messages. */
static void stay_healthy_for(uint64_t ms)
{
    for (uint64_t passed_ms = 0; passed_ms < ms; passed_ms += 1000) {
        pass_ms(1000);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, legacy);
    }
}

static void peer_that_rejects_every_update_is_incompatible(void **state)
{
    (void)state;
    add_legacy();
    reject(INCOMPATIBLE_REJECTIONS - 1);
    assert_int_equal(view_of(0).health, PEER_UP);
    reject(1);
    assert_int_equal(view_of(0).health, PEER_INCOMPATIBLE);
    assert_false(view_of(0).is_ready);
}

static void peer_that_accepted_an_update_stays_up(void **state)
{
    (void)state;
    add_legacy();
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    reject(10 * INCOMPATIBLE_REJECTIONS);
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void rejected_digests_make_a_peer_incompatible(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = true});
    finish(0, MESSAGE_SNAPSHOT, SEND_REJECTED);
    for (int i = 0; i < INCOMPATIBLE_REJECTIONS; i++) {
        pass_ms(COMPARE_MS);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, (struct health_response){.is_ready = true});
        finish(0, MESSAGE_DIGEST, SEND_REJECTED);
    }
    assert_int_equal(view_of(0).health, PEER_INCOMPATIBLE);
}

static void incompatible_peer_gets_health_messages_alone(void **state)
{
    (void)state;
    make_incompatible();
    register_here("b", "1");
    stay_healthy_for(INCOMPATIBLE_RETRY_MS / 2);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_null(sent(0, MESSAGE_RENEW));
    assert_true(view_of(0).backlog == 0);
    assert_int_equal(view_of(0).health, PEER_INCOMPATIBLE);
}

static void incompatible_peer_gets_an_update_after_a_while(void **state)
{
    (void)state;
    make_incompatible();
    stay_healthy_for(INCOMPATIBLE_RETRY_MS + HEALTH_MS);
    assert_int_equal(view_of(0).health, PEER_INCOMPATIBLE); /* it has not accepted anything yet */
    register_here("b", "1");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    register_here("c", "1");
    assert_null(sent(0, MESSAGE_REGISTER));

    stay_healthy_for(INCOMPATIBLE_RETRY_MS + HEALTH_MS);
    register_here("d", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void incompatible_peer_that_restarts_is_up(void **state)
{
    (void)state;
    make_incompatible();
    pass_ms(HEALTH_MS);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, legacy);
    assert_int_equal(view_of(0).health, PEER_UP);
}

/* --- a peer that responds to /health alone ---------------------------------------------------- */

static const struct health_response healthy = {.is_ready = true, .epoch = 7};

struct course {
    unsigned ups;      /* changes of the health that is shown to up */
    unsigned attempts; /* messages other than /health */
};

/* Ends the messages other than /health that have been in flight for so long. */
static unsigned fail_others(uint64_t age_ms, enum send_result result)
{
    unsigned count = 0;
    for (size_t i = rig.out_count; i-- > 0;) {
        struct message *message = rig.out[i];
        if (message->kind == MESSAGE_HEALTH || rig_now().mono_ms < message->sent_ms + age_ms)
            continue;
        finish_message(message, result);
        count++;
    }
    return count;
}

static struct course respond_to_health_alone(uint64_t ms, uint64_t age_ms, enum send_result result)
{
    struct course course = {0};
    for (uint64_t passed_ms = 0; passed_ms < ms; passed_ms += 50) {
        bool was_up = view_of(0).health == PEER_UP;
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, healthy);
        course.ups += !was_up && view_of(0).health == PEER_UP;
        pump();
        course.attempts += fail_others(age_ms, result);
        pass_ms(50);
    }
    return course;
}

static void peer_that_responds_to_health_alone_stays_down(void **state)
{
    (void)state;
    static const enum send_result results[] = {SEND_RETRYABLE, SEND_UNREACHABLE};
    static const uint64_t ages_ms[] = {0, 5000}; /* at once, or after a timeout */
    for (size_t i = 0; i < 4; i++) {
        join(0);
        struct course course = respond_to_health_alone(120000, ages_ms[i / 2], results[i % 2]);
        assert_in_range(course.ups, 1, 2);
        assert_int_equal(view_of(0).health, PEER_DOWN);
        assert_true(view_of(0).is_failing);
        assert_false(view_of(0).is_ready);
        assert_false(view_of(0).is_suspect);
        course = respond_to_health_alone(60 * DOWN_PROBE_MS, ages_ms[i / 2], results[i % 2]);
        assert_int_equal(course.ups, 0);
        /* each second, or a second after the timeout; a snapshot and a digest each time */
        assert_in_range(course.attempts, 10, 120);
        replicator_remove_peer(rig.replicator, 0);
        while (rig.out_count > 0)
            finish_message(rig.out[0], SEND_RETRYABLE);
    }
}

/* It is shown as down meanwhile. Between two attempts it gets nothing but health checks. */
static void failing_peer_that_is_tried_has_messages_in_flight(void **state)
{
    (void)state;
    join(0);
    respond_to_health_alone(60000, 0, SEND_RETRYABLE);
    assert_false(view_of(0).is_tried);
    for (uint64_t ms = 0; !sent(0, MESSAGE_DIGEST); ms += 50) {
        assert_true(ms <= DOWN_PROBE_MS);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, healthy);
        pass_ms(50);
    }
    assert_int_equal(view_of(0).health, PEER_DOWN);
    assert_true(view_of(0).is_tried);
}

/* Lease checks ask it then: what its messages failed of was a cut link, for one. */
static void failing_peer_is_up_within_a_second_when_it_accepts_messages_again(void **state)
{
    (void)state;
    join(0);
    respond_to_health_alone(60000, 0, SEND_RETRYABLE);
    assert_true(view_of(0).is_failing);
    for (uint64_t ms = 0; ms <= DOWN_PROBE_MS; ms += 50) {
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, healthy);
        if (sent(0, MESSAGE_DIGEST))
            respond_same_digests(0);
        pass_ms(50);
    }
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_false(view_of(0).is_failing);
    assert_true(view_of(0).is_ready);
}

/* A node that has refused a record waits for them. */
static void clocks_of_a_failing_peer_are_observed(void **state)
{
    (void)state;
    struct health_response ahead = healthy;
    join(0);
    respond_to_health_alone(60000, 0, SEND_RETRYABLE);
    assert_true(view_of(0).is_failing);
    ahead.members_clock_ms = registry_members_clock_ms(rig.node, rig_now()) + 3600000;
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ahead);
    assert_true(registry_members_clock_ms(rig.node, rig_now()) >= ahead.members_clock_ms);
}

static void failing_peer_that_restarts_is_up(void **state)
{
    (void)state;
    join(0);
    respond_to_health_alone(60000, 0, SEND_RETRYABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, (struct health_response){.is_ready = true, .epoch = 8});
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void peer_that_was_down_once_is_up_with_its_next_health_response(void **state)
{
    (void)state;
    join(0);
    respond_health(0, healthy);
    for (int i = 0; i <= RETRIES; i++) {
        pump();
        fail_others(0, SEND_RETRYABLE);
        pass_ms(BACKOFF_MAX_MS);
        if (view_of(0).health == PEER_UP && sent(0, MESSAGE_HEALTH))
            respond_health(0, healthy);
    }
    assert_int_equal(view_of(0).health, PEER_DOWN);
    assert_false(view_of(0).is_failing);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, healthy);
    assert_int_equal(view_of(0).health, PEER_UP);
}

/* It is not compared, so it gets the next message when a client calls. */
static void legacy_peer_is_up_with_each_health_response(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b", "c"};
    add_legacy();
    for (size_t i = 0; i < 3; i++) {
        register_here(ids[i], "1");
        finish(0, MESSAGE_REGISTER, SEND_UNREACHABLE);
        assert_int_equal(view_of(0).health, PEER_DOWN);
        pass_ms(DOWN_PROBE_MS);
        respond_health(0, legacy);
        assert_int_equal(view_of(0).health, PEER_UP);
    }
}

/* Health responses come at the usual interval although failures are counted. */
static void failures_do_not_hasten_health_checks(void **state)
{
    (void)state;
    join(0);
    respond_health(0, healthy);
    pump();
    fail_others(0, SEND_RETRYABLE);
    pass_ms(BACKOFF_MAX_MS);
    respond_health(0, healthy);
    assert_null(sent(0, MESSAGE_HEALTH));
}

static void result_of_a_removed_peer_is_not_current(void **state)
{
    (void)state;
    add_legacy();
    register_here("a", "1");
    struct message *message = expect(0, MESSAGE_REGISTER);
    assert_true(replicator_is_current(rig.replicator, message));
    replicator_remove_peer(rig.replicator, 0);
    assert_false(replicator_is_current(rig.replicator, message));
    join(0);
    assert_false(replicator_is_current(rig.replicator, message));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(peer_that_rejects_every_update_is_incompatible),
        TEST(peer_that_accepted_an_update_stays_up),
        TEST(rejected_digests_make_a_peer_incompatible),
        TEST(incompatible_peer_gets_health_messages_alone),
        TEST(incompatible_peer_gets_an_update_after_a_while),
        TEST(incompatible_peer_that_restarts_is_up),
        TEST(peer_that_responds_to_health_alone_stays_down),
        TEST(failing_peer_that_is_tried_has_messages_in_flight),
        TEST(failing_peer_is_up_within_a_second_when_it_accepts_messages_again),
        TEST(clocks_of_a_failing_peer_are_observed),
        TEST(failing_peer_that_restarts_is_up),
        TEST(peer_that_was_down_once_is_up_with_its_next_health_response),
        TEST(legacy_peer_is_up_with_each_health_response),
        TEST(failures_do_not_hasten_health_checks),
        TEST(result_of_a_removed_peer_is_not_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
