/* SPDX-License-Identifier: Apache-2.0
 *
 * Releases of guards reach every peer once.
 */
#include "artemis-server/replication/peer_requests.h"
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

enum { RETRY_MS = 200 };

static struct release_list list;

static int set_up(void **state)
{
    (void)state;
    memset(&list, 0, sizeof(list));
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

static enum error put_at(const char *service_id, uint64_t clock_ms)
{
    uint64_t until_ms = registry_release_until_ms(rig.node, clock_ms, rig_now());
    enum error error =
        release_list_put(&list, slice_of(service_id), clock_ms, until_ms, rig_now().mono_ms);
    replicator_set_releases(rig.replicator, &list);
    return error;
}

static void release(const char *service_id)
{
    released_ms = registry_clock_ms(rig.node, rig_now());
    assert_int_equal(put_at(service_id, released_ms), ERR_NONE);
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
    release("");
    pass_ms(1);
    release("web");
    check_body(expect(0, MESSAGE_RELEASE), NULL);
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    check_body(expect(0, MESSAGE_RELEASE), "web");
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void failed_release_is_sent_again(void **state)
{
    (void)state;
    static const enum send_result results[] = {SEND_RETRYABLE, SEND_UNREACHABLE, SEND_UNAUTHORIZED,
                                               SEND_WRONG_CLUSTER};
    join_up(0);
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        pass_ms(1);
        release("web");
        finish(0, MESSAGE_RELEASE, results[i]);
        assert_null(sent(0, MESSAGE_RELEASE));
        if (view_of(0).health != PEER_UP) {
            replicator_remove_peer(rig.replicator, 0); /* instead of the time until it is up */
            join_up(0);
        }
        pass_ms(RETRY_MS);
        finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    }
}

/* A peer whose list of releases is full responds with 503. It gets everything else meanwhile. */
static void refused_release_delays_no_other_message(void **state)
{
    (void)state;
    join_up(0);
    release("web");
    for (unsigned i = 0; i < 2 * RETRIES; i++) {
        finish(0, MESSAGE_RELEASE, SEND_RETRYABLE);
        register_here("a", i % 2 ? "1" : "2");
        finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
        pass_ms(RETRY_MS);
    }
    assert_int_equal(view_of(0).health, PEER_UP);
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

/* An older Artemis does not know the call; it must not count as incompatible for that. */
static void rejected_release_is_no_rejected_update(void **state)
{
    (void)state;
    join_up(0);
    for (unsigned i = 0; i < 2 * INCOMPATIBLE_REJECTIONS; i++) {
        pass_ms(1);
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

static void respond_as(uint64_t epoch, bool is_ready)
{
    pass_ms(HEALTH_MS);
    respond_health(0, (struct health_response){.is_ready = is_ready, .epoch = epoch});
}

/* Its new process has no guarded lease when the release arrives, and copies some later. */
static void peer_that_starts_gets_a_release_again_when_it_is_ready(void **state)
{
    (void)state;
    join_up(0);
    respond_as(1, true);
    release("web");
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    respond_as(1, true);
    assert_null(sent(0, MESSAGE_RELEASE));
    respond_as(2, false);
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    respond_as(2, true);
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    respond_as(3, true); /* no health check has seen it starting */
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    respond_as(3, true);
    assert_null(sent(0, MESSAGE_RELEASE));
}

/* Its guards may have engaged since the release, which did not mean these. */
static void peer_that_was_cut_off_gets_a_release_once(void **state)
{
    (void)state;
    join_up(0);
    respond_as(1, true);
    release("");
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    respond_as(1, false);
    assert_null(sent(0, MESSAGE_RELEASE));
    respond_as(1, true);
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_null(sent(0, MESSAGE_RELEASE));
}

/* A peer sends a release on: it has the time of the first node. */
static void release_of_another_node_keeps_its_time(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(TTL_MS);
    uint64_t clock_ms = registry_clock_ms(rig.node, rig_now());
    assert_int_equal(put_at("old", clock_ms - TTL_MS), ERR_NONE);
    assert_int_equal(put_at("web", clock_ms - TTL_MS + 1), ERR_NONE);
    struct message *message = expect(0, MESSAGE_RELEASE);
    check_body(message, "web");
    assert_int_equal(message->release_clock_ms, clock_ms - TTL_MS + 1);
    finish_message(message, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void peer_that_returns_gets_every_release_that_was_accepted(void **state)
{
    (void)state;
    char id[16];
    unsigned accepted = 0;
    join_up(0);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    for (unsigned i = 0; i < RELEASES_MAX + 3; i++) {
        snprintf(id, sizeof(id), "s%u", i);
        accepted += put_at(id, registry_clock_ms(rig.node, rig_now())) == ERR_NONE;
    }
    assert_int_equal(accepted, RELEASES_MAX);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    for (unsigned i = 0; i < accepted; i++) {
        snprintf(id, sizeof(id), "s%u", i);
        check_body(expect(0, MESSAGE_RELEASE), id);
        finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    }
    assert_null(sent(0, MESSAGE_RELEASE));
}

static void peer_that_joins_gets_the_releases_that_have_not_ended(void **state)
{
    (void)state;
    release("old");
    pass_ms(TTL_MS / 2);
    release("web");
    pass_ms(TTL_MS / 2);
    join_up(0);
    check_body(expect(0, MESSAGE_RELEASE), "web");
    finish(0, MESSAGE_RELEASE, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_RELEASE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(release_goes_to_every_peer_once),
        TEST(releases_are_sent_in_their_order),
        TEST(failed_release_is_sent_again),
        TEST(refused_release_delays_no_other_message),
        TEST(rejected_release_is_no_rejected_update),
        TEST(legacy_peer_gets_no_release),
        TEST(peer_that_returns_gets_a_release_within_a_lease),
        TEST(peer_that_starts_gets_a_release_again_when_it_is_ready),
        TEST(peer_that_was_cut_off_gets_a_release_once),
        TEST(release_of_another_node_keeps_its_time),
        TEST(peer_that_returns_gets_every_release_that_was_accepted),
        TEST(peer_that_joins_gets_the_releases_that_have_not_ended),
    };
    return cmocka_run_group_tests_name("replicator: releases", tests, NULL, NULL);
}
