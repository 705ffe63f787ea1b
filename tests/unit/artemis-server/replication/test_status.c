/* SPDX-License-Identifier: Apache-2.0
 *
 * The published status of the replication thread: what is published can be read, ages grow until
 * the next publication, and readers in other threads see one publication or the next.
 */
#include "artemis-server/replication/status.h"

#include "tests/support/cmocka_all.h"

#include "artemis-server/clock.h"

#include <stdio.h>
#include <string.h>

static struct replication_status status;
static struct peer_status peers[MEMBERS_MAX];
static struct peer_status out[MEMBERS_MAX];
static struct replicator_stats stats;

static int set_up(void **state)
{
    (void)state;
    replication_status_init(&status);
    memset(peers, 0, sizeof peers);
    memset(&stats, 0, sizeof stats);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    replication_status_free(&status);
    return 0;
}

static void put_peer(size_t number, const char *url, enum peer_health health)
{
    snprintf(peers[number].url, sizeof peers[number].url, "%s", url);
    peers[number].view.health = health;
}

static struct moment at_ms(uint64_t mono_ms)
{
    return (struct moment){.mono_ms = mono_ms};
}

static void nothing_is_published_at_first(void **state)
{
    (void)state;
    assert_int_equal(replication_status_peers(&status, at_ms(1), out), 0);
    replication_status_stats(&status, &stats);
    assert_int_equal(stats.comparisons, 0);
}

static void peers_are_published_without_free_numbers_and_this_node(void **state)
{
    (void)state;
    put_peer(1, "http://a:1", PEER_UP);
    put_peer(5, "http://self:1", PEER_SELF);
    put_peer(63, "http://b:1", PEER_DOWN);
    stats.comparisons = 7;
    replication_status_publish(&status, peers, &stats, 0, at_ms(10));
    assert_int_equal(replication_status_peers(&status, at_ms(10), out), 2);
    assert_string_equal(out[0].url, "http://a:1");
    assert_string_equal(out[1].url, "http://b:1");
    assert_int_equal(out[1].view.health, PEER_DOWN);
    struct replicator_stats read = {0};
    replication_status_stats(&status, &read);
    assert_int_equal(read.comparisons, 7);
    put_peer(63, "", PEER_NEW);
    replication_status_publish(&status, peers, &stats, 0, at_ms(20));
    assert_int_equal(replication_status_peers(&status, at_ms(20), out), 1);
}

static void age_of_the_oldest_change_grows_until_the_next_publication(void **state)
{
    (void)state;
    put_peer(0, "http://a:1", PEER_UP);
    put_peer(1, "http://b:1", PEER_UP);
    peers[0].view.has_unacknowledged = true;
    peers[0].view.oldest_ms = 100;
    replication_status_publish(&status, peers, &stats, 0, at_ms(1000));
    replication_status_peers(&status, at_ms(1500), out);
    assert_int_equal(out[0].view.oldest_ms, 600);
    assert_int_equal(out[1].view.oldest_ms, 0); /* nothing is pending */
    replication_status_peers(&status, at_ms(900), out);
    assert_int_equal(out[0].view.oldest_ms, 100); /* read with an earlier clock */
}

static void flush_that_is_not_complete_is_waited_for_until_the_deadline(void **state)
{
    (void)state;
    assert_false(replication_status_wait_flushed(&status, 1, clock_now().mono_ms + 1));
    replication_status_publish(&status, peers, &stats, 1, clock_now());
    assert_true(replication_status_wait_flushed(&status, 1, 0));
    assert_false(replication_status_wait_flushed(&status, 2, clock_now().mono_ms + 1));
}

static void *wait_for_flush(void *unused)
{
    (void)unused;
    uint64_t deadline_ms = clock_now().mono_ms + 60000;
    return (void *)(intptr_t)replication_status_wait_flushed(&status, 1, deadline_ms);
}

static void waiting_thread_is_woken_when_the_flush_is_complete(void **state)
{
    (void)state;
    pthread_t thread;
    void *flushed;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_flush, NULL), 0);
    replication_status_publish(&status, peers, &stats, 1, clock_now());
    pthread_join(thread, &flushed);
    assert_true((intptr_t)flushed);
}

/* Every peer of one publication has the same number of failures. */
static void *read_often(void *unused)
{
    (void)unused;
    static struct peer_status read[MEMBERS_MAX];
    intptr_t mixed = 0;
    for (int i = 0; i < 2000; i++) {
        size_t count = replication_status_peers(&status, at_ms(1), read);
        for (size_t k = 1; k < count; k++)
            mixed += read[k].view.failures != read[0].view.failures;
    }
    return (void *)mixed;
}

static void reader_sees_one_publication(void **state)
{
    (void)state;
    pthread_t thread;
    void *mixed;
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        put_peer(i, "http://a:1", PEER_UP);
    assert_int_equal(pthread_create(&thread, NULL, read_often, NULL), 0);
    for (uint32_t turn = 0; turn < 2000; turn++) {
        for (size_t i = 0; i < MEMBERS_MAX; i++)
            peers[i].view.failures = turn;
        replication_status_publish(&status, peers, &stats, 0, at_ms(turn));
    }
    pthread_join(thread, &mixed);
    assert_int_equal((intptr_t)mixed, 0);
}

static void error_ends_when_what_failed_works(void **state)
{
    (void)state;
    struct peer_status peer = {0};
    peer_status_note_result(&peer, MESSAGE_HEALTH, SEND_RETRYABLE, "timeout", at_ms(10));
    assert_string_equal(peer.last_error, "timeout");
    peer_status_note_result(&peer, MESSAGE_RENEW, SEND_DELIVERED, "", at_ms(20));
    assert_string_equal(peer.last_error, "");
    peer_status_note_result(&peer, MESSAGE_REGISTER, SEND_REJECTED, "HTTP 422", at_ms(30));
    peer_status_note_result(&peer, MESSAGE_HEALTH, SEND_DELIVERED, "", at_ms(40));
    assert_string_equal(peer.last_error, "HTTP 422");
    peer_status_note_result(&peer, MESSAGE_REGISTER, SEND_DELIVERED, "", at_ms(50));
    assert_string_equal(peer.last_error, "");
}

static void error_of_a_failing_peer_stays_while_its_health_is_well(void **state)
{
    (void)state;
    struct peer_status peer = {.view = {.health = PEER_DOWN, .is_failing = true}};
    peer_status_note_result(&peer, MESSAGE_DIGEST, SEND_RETRYABLE, "HTTP 503", at_ms(10));
    peer_status_note_result(&peer, MESSAGE_HEALTH, SEND_DELIVERED, "", at_ms(20));
    assert_string_equal(peer.last_error, "HTTP 503");
    peer_status_note_result(&peer, MESSAGE_DIGEST, SEND_DELIVERED, "", at_ms(30));
    assert_string_equal(peer.last_error, "");
}

static void every_health_has_a_word(void **state)
{
    (void)state;
    for (int health = PEER_NEW; health <= PEER_SELF; health++)
        assert_non_null(peer_health_word(&(struct peer_view){.health = (enum peer_health)health}));
    assert_string_equal(
        peer_health_word(&(struct peer_view){.health = PEER_UP, .is_suspect = true}), "suspect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_published_at_first, set_up, tear_down),
        cmocka_unit_test(error_ends_when_what_failed_works),
        cmocka_unit_test(error_of_a_failing_peer_stays_while_its_health_is_well),
        cmocka_unit_test_setup_teardown(peers_are_published_without_free_numbers_and_this_node,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(age_of_the_oldest_change_grows_until_the_next_publication,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(flush_that_is_not_complete_is_waited_for_until_the_deadline,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(waiting_thread_is_woken_when_the_flush_is_complete, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reader_sees_one_publication, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_health_has_a_word, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
