/* SPDX-License-Identifier: Apache-2.0
 *
 * A node with an etcd that does its worst while each request works: it deletes the key of the node,
 * compacts each watch, or sends empty lines without an end. The node must not ask it without a
 * pause, nor read forever.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

enum {
    REQUESTS = 5,   /* that are waited for; */
    PAUSES_MS = 700 /* the first pauses between them: 100, 200 and 400 ms */
};

#define OWN_KEY "L2FydGVtaXMvbm9kZTE=" /* /artemis/node1 */
#define CREATED "{\"result\":{\"created\":true}}\n"

enum fault { DELETES_KEY, COMPACTS, SENDS_EMPTY_LINES };

/* The server. */
static struct {
    struct fake_server fake;
    enum fault fault;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
    unsigned puts, readings, ended; /* ended: endless streams that the node has closed */
    int64_t first_ms, last_ms;      /* of the requests that are counted */
} etcd = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct member_node nodes[MEMBER_NODES_MAX];

/* --- the server ------------------------------------------------------------------------------- */

static void count(unsigned *counter)
{
    pthread_mutex_lock(&etcd.lock);
    ++*counter;
    if (*counter <= REQUESTS)
        etcd.last_ms = wait_now_ms();
    if (*counter == 1)
        etcd.first_ms = etcd.last_ms;
    pthread_cond_broadcast(&etcd.changed);
    pthread_mutex_unlock(&etcd.lock);
}

static unsigned value(const unsigned *counter)
{
    pthread_mutex_lock(&etcd.lock);
    unsigned now = *counter;
    pthread_mutex_unlock(&etcd.lock);
    return now;
}

static void respond(const char *head, char *response, size_t size, void *context)
{
    static const struct {
        const char *path, *body;
    } bodies[] = {
        {"/v3/kv/range", "{\"header\":{\"revision\":\"5\"}}"},
        {"/v3/lease/grant", "{\"ID\":\"7\",\"TTL\":\"60\"}"},
        {"/v3/lease/keepalive", "{\"result\":{\"ID\":\"7\",\"TTL\":\"60\"}}"},
        {"/v3/cluster/member/list", "{\"members\":[{},{},{}]}"},
    };
    const char *body = "{}";
    (void)context;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (strstr(head, bodies[i].path))
            body = bodies[i].body;
    snprintf(response, size,
             "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    if (strstr(head, "/v3/kv/range") && etcd.fault == COMPACTS)
        count(&etcd.readings);
    if (strstr(head, "/v3/kv/put") && etcd.fault == DELETES_KEY)
        count(&etcd.puts);
}

static void delete_after_each_put(int fd)
{
    static const char event[] = "{\"result\":{\"events\":[{\"type\":\"DELETE\",\"kv\":{\"key\":"
                                "\"" OWN_KEY "\"}}]}}\n";
    unsigned seen = 0;
    do {
        pthread_mutex_lock(&etcd.lock);
        while (etcd.puts == seen && !etcd.is_stopping)
            pthread_cond_wait(&etcd.changed, &etcd.lock);
        bool is_stopping = etcd.is_stopping;
        seen = etcd.puts;
        pthread_mutex_unlock(&etcd.lock);
        if (is_stopping)
            return;
    } while (seen < REQUESTS && fake_server_send(fd, event, sizeof event - 1));
}

static void send_empty_lines(int fd)
{
    char lines[4096];
    memset(lines, '\n', sizeof lines);
    while (fake_server_send(fd, lines, sizeof lines))
        ;
    count(&etcd.ended);
}

static bool stream(int fd, const char *head, void *context)
{
    static const char begin[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" CREATED;
    static const char compacted[] =
        "{\"result\":{\"canceled\":true,\"compact_revision\":\"12\"}}\n";
    (void)context;
    if (!strstr(head, "/v3/watch"))
        return false;
    if (!fake_server_send(fd, begin, sizeof begin - 1))
        return true;
    if (etcd.fault == DELETES_KEY)
        delete_after_each_put(fd);
    if (etcd.fault == COMPACTS)
        (void)fake_server_send(fd, compacted, sizeof compacted - 1);
    if (etcd.fault == SENDS_EMPTY_LINES)
        send_empty_lines(fd);
    fake_server_drain(fd);
    return true;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void start(enum fault fault)
{
    char endpoint[64];
    const char *const settings[] = {"cluster.provider=etcd", endpoint,
                                    "cluster.etcd.prefix=/artemis", NULL};
    etcd.fault = fault;
    etcd.is_stopping = false;
    etcd.puts = etcd.readings = etcd.ended = 0;
    fake_server_start_stream(&etcd.fake, respond, stream, NULL);
    snprintf(endpoint, sizeof endpoint, "cluster.etcd.endpoints=%s", etcd.fake.url);
    member_node_start(nodes, 1, cluster_choose_port(), settings);
}

static int tear_down(void **state)
{
    (void)state;
    pthread_mutex_lock(&etcd.lock);
    etcd.is_stopping = true;
    pthread_cond_broadcast(&etcd.changed);
    pthread_mutex_unlock(&etcd.lock);
    member_node_stop_all(nodes);
    fake_server_stop(&etcd.fake);
    return 0;
}

struct counter {
    const unsigned *counter;
    unsigned min;
};

static bool has_reached(void *context)
{
    const struct counter *counter = context;
    return value(counter->counter) >= counter->min;
}

static void wait_for(const unsigned *counter, unsigned min)
{
    if (!wait_until(has_reached, &(struct counter){counter, min}, wait_deadline_ms()))
        fail_msg("%u of %u", value(counter), min);
}

static void expect_pauses(const unsigned *counter)
{
    wait_for(counter, REQUESTS);
    int64_t ms = etcd.last_ms - etcd.first_ms;
    if (ms < PAUSES_MS)
        fail_msg("%u requests in %lld ms", (unsigned)REQUESTS, (long long)ms);
}

static void deleted_key_is_written_with_longer_and_longer_pauses(void **state)
{
    (void)state;
    start(DELETES_KEY);
    expect_pauses(&etcd.puts);
}

static void compacted_watches_begin_again_with_longer_and_longer_pauses(void **state)
{
    (void)state;
    start(COMPACTS);
    expect_pauses(&etcd.readings);
}

static void endless_empty_lines_end_the_watch(void **state)
{
    (void)state;
    start(SENDS_EMPTY_LINES);
    wait_for(&etcd.ended, 2);
    assert_non_null(strstr(member_node_wait_provider(&nodes[1], "failing"), "empty lines"));
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deleted_key_is_written_with_longer_and_longer_pauses),
        TEST(compacted_watches_begin_again_with_longer_and_longer_pauses),
        TEST(endless_empty_lines_end_the_watch),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
