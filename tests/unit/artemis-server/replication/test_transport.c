/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves that a name that cannot be looked up is no trouble for anybody else: the lookups of this
 * program hang until the test lets them go.
 */
#include "artemis-server/replication/transport.h"

#include <netdb.h>
#include <pthread.h>

#include "artemis-server/clock.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { TIMEOUT_MS = 200, PATIENCE_MS = 5000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned hanging;
    bool let_go;
} lookups = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Instead of that of the C library, for libcurl too. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    pthread_mutex_lock(&lookups.lock);
    lookups.hanging++;
    while (!lookups.let_go)
        pthread_cond_wait(&lookups.changed, &lookups.lock);
    lookups.hanging--;
    pthread_cond_broadcast(&lookups.changed);
    pthread_mutex_unlock(&lookups.lock);
    return EAI_AGAIN;
}

static unsigned hanging_lookups(void)
{
    pthread_mutex_lock(&lookups.lock);
    unsigned count = lookups.hanging;
    pthread_mutex_unlock(&lookups.lock);
    return count;
}

/* What becomes of a test that fails must not hang, either. */
static void *let_go_in_the_end(void *unused)
{
    struct timespec deadline;
    (void)unused;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&lookups.lock);
    while (!lookups.let_go)
        if (pthread_cond_timedwait(&lookups.changed, &lookups.lock, &deadline))
            lookups.let_go = true;
    pthread_cond_broadcast(&lookups.changed);
    pthread_mutex_unlock(&lookups.lock);
    return NULL;
}

static void let_go(void)
{
    pthread_mutex_lock(&lookups.lock);
    lookups.let_go = true;
    pthread_cond_broadcast(&lookups.changed);
    while (lookups.hanging)
        pthread_cond_wait(&lookups.changed, &lookups.lock);
    pthread_mutex_unlock(&lookups.lock);
}

static struct {
    struct registry *registry;
    struct replica *replica;
    struct transport *transport;
    unsigned delivered;
    enum fate fate;
} node;

static void note_delivery(void *context, const struct delivery *delivery)
{
    (void)context;
    node.delivered++;
    node.fate = delivery->fate;
    replica_drop_message(delivery->message);
}

static void name_that_hangs_holds_neither_the_thread_nor_the_end(void **state)
{
    (void)state;
    const struct replica_options how = {.health_interval_ms = 1000, .seed = 7};
    const struct transport_options options = {
        .node_id = "self", .cluster_id = "c", .run_id = "r", .region = "x", TIMEOUT_MS};
    pthread_t last;
    assert_int_equal(pthread_create(&last, NULL, let_go_in_the_end, NULL), 0);
    node.registry = make_node("self");
    assert_int_equal(replica_create(&how, node.registry, clock_now(), &node.replica), ERR_NONE);
    assert_int_equal(transport_create(&options, node.registry, node.replica, note_delivery, NULL,
                                      &node.transport),
                     ERR_NONE);
    replica_join(node.replica, 0, clock_now());
    replica_join(node.replica, 1, clock_now());

    uint64_t start_ms = clock_now().mono_ms;
    transport_send(node.transport, "http://first.invalid:1", false,
                   replica_next(node.replica, clock_now()));
    while (!node.delivered) { /* until its time is up */
        transport_run(node.transport);
        transport_wait(node.transport, 20);
    }
    assert_int_equal(node.fate, FATE_TEMPORARY);
    assert_int_equal(hanging_lookups(), 1);

    transport_send(node.transport, "http://second.invalid:1", false,
                   replica_next(node.replica, clock_now()));
    while (hanging_lookups() < 2) {
        transport_run(node.transport);
        transport_wait(node.transport, 5);
    }
    transport_free(node.transport); /* the end, while one is under way */
    assert_int_equal(hanging_lookups(), 2);
    assert_true(clock_now().mono_ms - start_ms < PATIENCE_MS);

    let_go();
    pthread_join(last, NULL);
    replica_free(node.replica);
    registry_free(node.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_that_hangs_holds_neither_the_thread_nor_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
