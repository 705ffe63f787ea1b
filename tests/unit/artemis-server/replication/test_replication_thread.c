/* SPDX-License-Identifier: Apache-2.0
 *
 * The replication thread: no call of another thread waits for it, commands take effect, and the
 * status shows the peers. Peers are two sockets that respond to health requests.
 */
#include "artemis-server/replication/replication_thread.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "tests/support/wait.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { PEERS = 2 };

/* --- a thread that is busy -------------------------------------------------------------------- */

static atomic_bool is_held; /* the thread does not leave its turn */
static atomic_bool is_busy; /* it has entered it */

/* Replaces libcurl's function in this program. */
CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
    union {
        void *symbol;
        CURLMcode (*call)(CURLM *, int *);
    } real = {.symbol = dlsym(RTLD_NEXT, "curl_multi_perform")};
    while (atomic_load(&is_held)) {
        atomic_store(&is_busy, true);
        usleep(1000);
    }
    return real.call(multi, running);
}

static _Thread_local int wakeups; /* by the calling thread */

/* As above. */
CURLMcode curl_multi_wakeup(CURLM *multi)
{
    union {
        void *symbol;
        CURLMcode (*call)(CURLM *);
    } real = {.symbol = dlsym(RTLD_NEXT, "curl_multi_wakeup")};
    wakeups++;
    return real.call(multi);
}

/* --- peers ------------------------------------------------------------------------------------ */

static struct {
    int listeners[PEERS];
    char urls[PEERS][MEMBER_URL_BYTES];
    pthread_t thread;
    atomic_bool stop;
    _Atomic(const char *) node_ids[PEERS];
} fake;

static void respond(int listener, const char *node_id)
{
    char request[4096];
    char response[512];
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    struct timeval timeout = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (recv(fd, request, sizeof request, 0) > 0) {
        int size = snprintf(response, sizeof response,
                            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n"
                            "X-Artemis-Node: %s\r\nX-Artemis-Cluster: c\r\n"
                            "X-Artemis-State: ready\r\n\r\n",
                            node_id);
        if (send(fd, response, (size_t)size, MSG_NOSIGNAL) < 0)
            perror("send");
    }
    close(fd);
}

static void *serve(void *unused)
{
    (void)unused;
    while (!atomic_load(&fake.stop)) {
        struct pollfd fds[PEERS];
        for (int i = 0; i < PEERS; i++)
            fds[i] = (struct pollfd){.fd = fake.listeners[i], .events = POLLIN};
        poll(fds, PEERS, 20);
        for (int i = 0; i < PEERS; i++)
            if (fds[i].revents)
                respond(fake.listeners[i], atomic_load(&fake.node_ids[i]));
    }
    return NULL;
}

static void listen_as_peers(void)
{
    for (int i = 0; i < PEERS; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        fake.listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fake.listeners[i] >= 0);
        assert_int_equal(bind(fake.listeners[i], (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fake.listeners[i], 100), 0);
        getsockname(fake.listeners[i], (struct sockaddr *)&address, &size);
        snprintf(fake.urls[i], sizeof fake.urls[i], "http://127.0.0.1:%u", ntohs(address.sin_port));
    }
    atomic_store(&fake.stop, false);
    assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
}

/* --- the node --------------------------------------------------------------------------------- */

static struct {
    struct config config;
    struct registry *registry;
    struct replication_thread *thread;
    struct peer_status peers[MEMBERS_MAX];
    size_t count;
    atomic_bool is_ready;
    _Atomic uint64_t recompare; /* of the last phase */
    atomic_int copying;         /* how often this phase was reported for it */
} node;

static void on_phase(void *context, enum bootstrap_phase phase, uint64_t recompare)
{
    (void)context;
    if (atomic_exchange(&node.recompare, recompare) != recompare)
        atomic_store(&node.copying, 0);
    atomic_fetch_add(&node.copying, phase == BOOTSTRAP_COPYING);
    atomic_store(&node.is_ready, phase == BOOTSTRAP_READY);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(node.config.server.node_id, sizeof node.config.server.node_id, "self");
    snprintf(node.config.cluster.cluster_id, sizeof node.config.cluster.cluster_id, "c");
    node.config.cluster.health_interval_secs = 1;
    node.config.replication.batch_size = 100;
    node.config.replication.batch_interval_ms = 100;
    node.config.replication.timeout_secs = 1;
    node.config.replication.anti_entropy_secs = 10;
    node.config.replication.max_retries = 1;
    atomic_store(&node.is_ready, false);
    atomic_store(&node.recompare, 0);
    atomic_store(&node.copying, 0);
    atomic_store(&fake.node_ids[0], "n1");
    atomic_store(&fake.node_ids[1], "n2");
    listen_as_peers();
    node.registry = make_node("self");
    struct replication_thread_options options = {
        .config = &node.config, .registry = node.registry, .epoch = "1", .on_phase = on_phase};
    assert_int_equal(replication_thread_create(&options, &node.thread), ERR_NONE);
    assert_int_equal(replication_thread_start(node.thread), ERR_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&is_held, false);
    replication_thread_free(node.thread);
    registry_free(node.registry);
    atomic_store(&fake.stop, true);
    pthread_join(fake.thread, NULL);
    for (int i = 0; i < PEERS; i++)
        close(fake.listeners[i]);
    return 0;
}

/* The first `count` of the fake peers are members. */
static void set_members(int count)
{
    struct member_list topology = {0};
    static const struct member_list none;
    for (int i = 0; i < count; i++)
        assert_int_equal(member_list_add(&topology, fake.urls[i]), ERR_NONE);
    replication_thread_on_topology(node.thread,
                                   &(struct cluster_event){.kind = CLUSTER_TOPOLOGY_UPDATED,
                                                           .topology = &topology,
                                                           .joined = &none,
                                                           .left = &none,
                                                           .blocked = &none});
}

static bool has_up(void *context)
{
    const int *wanted = context;
    int up = 0;
    node.count = replication_thread_peers(node.thread, node.peers);
    for (size_t i = 0; i < node.count; i++)
        up += node.peers[i].view.health == PEER_UP;
    return up == *wanted && node.count == (size_t)*wanted;
}

static void wait_for_up(int count)
{
    assert_true(wait_until(has_up, &count, wait_deadline_ms()));
}

static bool is_true(void *flag)
{
    return atomic_load((atomic_bool *)flag);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void topology_is_applied(void **state)
{
    (void)state;
    assert_true(wait_until(is_true, &node.is_ready, wait_deadline_ms())); /* without peers */
    set_members(2);
    wait_for_up(2);
    set_members(1);
    wait_for_up(1);
    assert_string_equal(node.peers[0].url, fake.urls[0]);
    assert_string_equal(node.peers[0].node_id, "n1");
    set_members(0);
    wait_for_up(0);
}

/* Each call would wait for ever if it took a lock that the thread holds during its turn. */
static void no_call_waits_for_a_busy_thread(void **state)
{
    (void)state;
    struct replicator_stats stats;
    set_members(2);
    wait_for_up(2);
    atomic_store(&is_busy, false);
    atomic_store(&is_held, true);
    replication_thread_on_goodbye(node.thread, "unknown"); /* wakes it */
    assert_true(wait_until(is_true, &is_busy, wait_deadline_ms()));
    assert_int_equal(replication_thread_peers(node.thread, node.peers), 2);
    replication_thread_stats(node.thread, &stats);
    set_members(1);
    replication_thread_on_goodbye(node.thread, "n1");
    assert_false(replication_thread_flush(node.thread, 1));
    assert_int_equal(replication_thread_peers(node.thread, node.peers), 2);
    atomic_store(&is_held, false);
    wait_for_up(1);
}

static bool is_ready_after(void *number)
{
    return atomic_load(&node.is_ready) && atomic_load(&node.recompare) == *(uint64_t *)number;
}

/* Requests that come while the thread is busy are one. */
static void recompare_is_reported_before_and_after_it(void **state)
{
    (void)state;
    uint64_t number = 2;
    assert_true(wait_until(is_true, &node.is_ready, wait_deadline_ms()));
    assert_int_equal(atomic_load(&node.recompare), 0);
    atomic_store(&is_busy, false);
    atomic_store(&is_held, true);
    replication_thread_on_goodbye(node.thread, "unknown"); /* wakes it */
    assert_true(wait_until(is_true, &is_busy, wait_deadline_ms()));
    replication_thread_recompare(node.thread, 1);
    replication_thread_recompare(node.thread, number);
    atomic_store(&is_held, false);
    assert_true(wait_until(is_ready_after, &number, wait_deadline_ms()));
    assert_int_equal(atomic_load(&node.copying), 1);
}

static bool is_down(void *unused)
{
    (void)unused;
    return replication_thread_peers(node.thread, node.peers) == 1 &&
           node.peers[0].view.health == PEER_DOWN;
}

static void goodbye_makes_the_peer_down(void **state)
{
    (void)state;
    set_members(1);
    wait_for_up(1);
    replication_thread_on_goodbye(node.thread, "n1");
    assert_true(wait_until(is_down, NULL, wait_deadline_ms()));
}

static void flush_without_peers_is_complete(void **state)
{
    (void)state;
    assert_true(replication_thread_flush(node.thread, (uint64_t)wait_timeout_ms()));
    assert_true(replication_thread_flush(node.thread, (uint64_t)wait_timeout_ms()));
}

static bool share_an_id(void *unused)
{
    (void)unused;
    size_t count = replication_thread_peers(node.thread, node.peers);
    return count == 2 && node.peers[0].shares_node_id && node.peers[1].shares_node_id;
}

static void peers_with_one_node_id_are_marked(void **state)
{
    (void)state;
    set_members(2);
    wait_for_up(2);
    assert_false(node.peers[0].shares_node_id || node.peers[1].shares_node_id);
    set_members(0);
    wait_for_up(0);
    atomic_store(&fake.node_ids[1], "n1");
    set_members(2);
    assert_true(wait_until(share_an_id, NULL, wait_deadline_ms()));
}

static void change_instance(void)
{
    static int number;
    char machine[16];
    snprintf(machine, sizeof machine, "m%d", number++);
    put_as(node.registry, (struct brief){.service = "s", .id = "a", .machine = machine},
           clock_now());
}

/* A change wakes the thread unless it follows another that the thread has not seen yet. */
static bool change_wakes(void *unused)
{
    (void)unused;
    change_instance();
    return wakeups > 0;
}

static bool deferred_change_wakes(void *unused)
{
    (void)unused;
    change_instance();
    assert_int_equal(wakeups, 0);
    replication_thread_wake_deferred(node.thread);
    return wakeups > 0;
}

static void web_thread_wakes_after_its_response(void **state)
{
    (void)state;
    set_members(1);
    wait_for_up(1);
    wakeups = 0;
    assert_true(wait_until(change_wakes, NULL, wait_deadline_ms()));
    wakeups = 0;
    replication_thread_wake_deferred(node.thread); /* this is a web thread from here on */
    assert_true(wait_until(deferred_change_wakes, NULL, wait_deadline_ms()));
    assert_int_equal(wakeups, 1);
    replication_thread_wake_deferred(node.thread); /* nothing has changed since */
    assert_int_equal(wakeups, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(topology_is_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_call_waits_for_a_busy_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recompare_is_reported_before_and_after_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(goodbye_makes_the_peer_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flush_without_peers_is_complete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peers_with_one_node_id_are_marked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(web_thread_wakes_after_its_response, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
