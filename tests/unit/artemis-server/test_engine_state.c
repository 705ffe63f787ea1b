/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a node: ready only after the newest comparison. The replication thread and the lease
 * thread are replaced, so that their calls come in the order of the test.
 */
#include "artemis-server/engine.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>

/* --- the threads ------------------------------------------------------------------------------ */

struct replication_thread {
    struct replication_thread_options options;
    uint64_t recompare; /* the last one that was asked for */
    int releases;       /* that were put */
};

static struct replication_thread replication;
static struct lease_thread_options leases;

enum error replication_thread_create(const struct replication_thread_options *options,
                                     struct replication_thread **out)
{
    replication = (struct replication_thread){.options = *options};
    *out = &replication;
    return ERR_NONE;
}

enum error replication_thread_start(struct replication_thread *thread)
{
    (void)thread;
    return ERR_NONE;
}

bool replication_thread_flush(struct replication_thread *thread, uint64_t timeout_ms)
{
    (void)thread;
    (void)timeout_ms;
    return true;
}

void replication_thread_free(struct replication_thread *thread)
{
    (void)thread;
}

void replication_thread_on_topology(void *thread, const struct cluster_event *event)
{
    (void)thread;
    (void)event;
}

void replication_thread_on_goodbye(struct replication_thread *thread, const char *node_id)
{
    (void)thread;
    (void)node_id;
}

bool replication_thread_can_put_release(struct replication_thread *thread, struct slice service_id,
                                        uint64_t clock_ms, struct moment now)
{
    (void)thread;
    (void)service_id;
    (void)clock_ms;
    (void)now;
    return true;
}

enum error replication_thread_put_release(struct replication_thread *thread,
                                          struct slice service_id, uint64_t clock_ms,
                                          struct moment now)
{
    (void)service_id;
    (void)clock_ms;
    (void)now;
    thread->releases++;
    return ERR_NONE;
}

void replication_thread_recompare(struct replication_thread *thread, uint64_t number)
{
    thread->recompare = number;
}

void replication_thread_check_clocks(struct replication_thread *thread)
{
    (void)thread;
}

void replication_thread_on_blocks(struct replication_thread *thread)
{
    (void)thread;
}

void replication_thread_wake_deferred(struct replication_thread *thread)
{
    (void)thread;
}

size_t replication_thread_peers(struct replication_thread *thread,
                                struct peer_status out[MEMBERS_MAX])
{
    (void)thread;
    (void)out;
    return 0;
}

void replication_thread_stats(struct replication_thread *thread, struct replicator_stats *stats)
{
    (void)thread;
    *stats = (struct replicator_stats){0};
}

enum error lease_thread_start(const struct lease_thread_options *options, struct lease_thread **out)
{
    leases = *options;
    *out = NULL;
    return ERR_NONE;
}

void lease_thread_stop(struct lease_thread *thread)
{
    (void)thread;
}

/* --- the node --------------------------------------------------------------------------------- */

static struct config config;
static struct engine *engine;

static int set_up(void **state)
{
    char problem[ENGINE_PROBLEM_BYTES];
    (void)state;
    config_init(&config, "node1", 1);
    config.cluster.enabled = true;
    return engine_create(&config, &engine, problem) || engine_join(engine);
}

static int tear_down(void **state)
{
    (void)state;
    engine_free(engine);
    return 0;
}

static void report(enum bootstrap_phase phase, uint64_t recompare)
{
    replication.options.on_phase(replication.options.context, phase, recompare);
}

static void stall(void)
{
    leases.on_stall(leases.context, 10000);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void node_is_ready_after_its_bootstrap(void **state)
{
    (void)state;
    assert_int_equal(engine_state(engine), NODE_STARTING);
    report(BOOTSTRAP_READY, 0);
    assert_int_equal(engine_state(engine), NODE_READY);
}

static void node_is_ready_again_after_the_comparison_that_a_stall_asks_for(void **state)
{
    (void)state;
    report(BOOTSTRAP_READY, 0);
    stall();
    assert_int_equal(engine_state(engine), NODE_STARTING);
    assert_int_equal(replication.recompare, 1);
    report(BOOTSTRAP_COPYING, 1);
    assert_int_equal(engine_state(engine), NODE_STARTING);
    report(BOOTSTRAP_READY, 1);
    assert_int_equal(engine_state(engine), NODE_READY);
}

/* The replication thread reports what it found before it takes the request of the stall. */
static void comparison_before_the_last_stall_makes_no_node_ready(void **state)
{
    (void)state;
    stall();
    report(BOOTSTRAP_READY, 0);
    assert_int_equal(engine_state(engine), NODE_STARTING);
    stall();
    report(BOOTSTRAP_COPYING, 1);
    report(BOOTSTRAP_READY, 1);
    assert_int_equal(engine_state(engine), NODE_STARTING);
    report(BOOTSTRAP_COPYING, 2);
    report(BOOTSTRAP_READY, 2);
    assert_int_equal(engine_state(engine), NODE_READY);
}

/* Clients register again only while no peer may have their instances. */
static void recompare_ends_the_time_in_which_clients_register_again(void **state)
{
    (void)state;
    struct moment now = engine->started;
    report(BOOTSTRAP_REFILLING, 0);
    assert_false(engine_may_lack_instances(engine, now));
    stall();
    report(BOOTSTRAP_COPYING, 1);
    assert_true(engine_may_lack_instances(engine, now));
}

static void draining_node_stays_so(void **state)
{
    (void)state;
    engine_set_state(engine, NODE_DRAINING);
    report(BOOTSTRAP_READY, 0);
    stall();
    report(BOOTSTRAP_READY, 1);
    assert_int_equal(engine_state(engine), NODE_DRAINING);
}

/* A node further away may guard what this one has evicted. */
static void release_of_all_guards_is_sent_on_without_an_effect(void **state)
{
    (void)state;
    uint64_t clock_ms = registry_clock_ms(engine->registry, engine->started);
    assert_int_equal(engine_apply_release(engine, slice_of("web"), clock_ms, engine->started), 0);
    assert_int_equal(replication.releases, 0);
    assert_int_equal(engine_apply_release(engine, slice_of(""), clock_ms, engine->started), 0);
    assert_int_equal(replication.releases, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(node_is_ready_after_its_bootstrap),
        TEST(node_is_ready_again_after_the_comparison_that_a_stall_asks_for),
        TEST(comparison_before_the_last_stall_makes_no_node_ready),
        TEST(recompare_ends_the_time_in_which_clients_register_again),
        TEST(draining_node_stays_so),
        TEST(release_of_all_guards_is_sent_on_without_an_effect),
    };
    return cmocka_run_group_tests_name("engine: state", tests, NULL, NULL);
}
