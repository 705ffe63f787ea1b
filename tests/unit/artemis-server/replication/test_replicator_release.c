/* SPDX-License-Identifier: Apache-2.0
 *
 * Releases of guards reach every peer once.
 */
#include "artemis-server/replication/peer_requests.h"
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

static uint64_t released_ms; /* the clock of the cluster at the last release */

static void release(const char *service_id)
{
    released_ms = registry_clock_ms(rig.node, rig_now());
    replicator_release_guard(rig.replicator, slice_of(service_id), released_ms, rig_now());
}

/* The body names this service; NULL: all guards. */
static void check_body(const struct message *message, const char *service_id)
{
    struct text body = {0};
    char expected[128];
    char name[64] = "";
    if (service_id)
        snprintf(name, sizeof(name), "\"service_id\":\"%s\",", service_id);
    snprintf(expected, sizeof(expected), "{%s\"clock_ms\":%llu}", name,
             (unsigned long long)message->release_clock_ms);
    peer_request_write_body(message, rig.node, false, rig_now(), &body);
    assert_true(slice_equal((struct slice){body.data, body.size}, slice_of(expected)));
    text_free(&body);
}

static void release_goes_to_every_peer_once(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    release("web");
    for (uint32_t peer = 0; peer < 2; peer++) {
        struct message *message = expect(peer, MESSAGE_RELEASE);
        check_body(message, "web");
        assert_int_equal(message->release_clock_ms, released_ms);
        finish_message(message, SEND_DELIVERED);
        assert_null(sent(peer, MESSAGE_RELEASE));
    }
}

static void releases_are_sent_in_their_order(void **state)
{
    (void)state;
    join_up(0);
    release("web");
    release("");
    check_body(expect(0, MESSAGE_RELEASE), "web");
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    check_body(expect(0, MESSAGE_RELEASE), NULL);
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void failed_release_is_sent_again(void **state)
{
    (void)state;
    join_up(0);
    release("web");
    finish(0, MESSAGE_RELEASE, SEND_RETRYABLE);
    pass_ms(2 * BACKOFF_FIRST_MS);
    assert_non_null(sent(0, MESSAGE_RELEASE));
}

/* An older Artemis does not know the call; it must not count as incompatible for that. */
static void rejected_release_is_no_rejected_update(void **state)
{
    (void)state;
    join_up(0);
    for (unsigned i = 0; i < 2 * INCOMPATIBLE_REJECTIONS; i++) {
        release("web");
        finish(0, MESSAGE_RELEASE, SEND_REJECTED);
    }
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void legacy_peer_gets_no_release(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_legacy = true, .is_ready = true});
    release("web");
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void peer_that_returns_gets_a_release_within_a_lease(void **state)
{
    (void)state;
    join_up(0);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    release("old");
    pass_ms(TTL_MS / 2);
    release("web");
    pass_ms(TTL_MS / 2);
    assert_null(sent(0, MESSAGE_RELEASE));
    respond_health(0, (struct health_response){.is_ready = true});
    check_body(expect(0, MESSAGE_RELEASE), "web");
}

/* A peer sends a release on: it has the time of the first node. */
static void release_of_another_node_keeps_its_time(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(TTL_MS);
    uint64_t clock_ms = registry_clock_ms(rig.node, rig_now());
    replicator_release_guard(rig.replicator, slice_of("old"), clock_ms - TTL_MS, rig_now());
    replicator_release_guard(rig.replicator, slice_of("web"), clock_ms - TTL_MS + 1, rig_now());
    struct message *message = expect(0, MESSAGE_RELEASE);
    check_body(message, "web");
    assert_int_equal(message->release_clock_ms, clock_ms - TTL_MS + 1);
    finish_message(message, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void oldest_releases_are_dropped_first(void **state)
{
    (void)state;
    char id[16];
    unsigned count = 0;
    join_up(0);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    for (unsigned i = 0; i < RELEASES_MAX + 3; i++) {
        snprintf(id, sizeof(id), "s%u", i);
        release(id);
    }
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    check_body(expect(0, MESSAGE_RELEASE), "s3");
    for (; sent(0, MESSAGE_RELEASE); count++)
        finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    assert_int_equal(count, RELEASES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(release_goes_to_every_peer_once),
        TEST(releases_are_sent_in_their_order),
        TEST(failed_release_is_sent_again),
        TEST(rejected_release_is_no_rejected_update),
        TEST(legacy_peer_gets_no_release),
        TEST(peer_that_returns_gets_a_release_within_a_lease),
        TEST(release_of_another_node_keeps_its_time),
        TEST(oldest_releases_are_dropped_first),
    };
    return cmocka_run_group_tests_name("replicator: releases", tests, NULL, NULL);
}
