/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that is healthy and responds to every other message with a fault, each in turn. The other
 * nodes replicate, follow no redirect, and keep their memory.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/response_faults.h"
#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* A gzip bomb of the faults is 64 MB. A sanitizer keeps freed memory. */
enum { PEAK_KIB_MAX = 100 * 1024 };

static struct cluster cluster;
static struct fake_server peer;
static struct fake_server elsewhere;
static atomic_uint served;   /* faults */
static atomic_uint followed; /* redirects */
static atomic_uint runs;     /* of the peer, see respond_to_health */

/* --- the peer --------------------------------------------------------------------------------- */

static void respond_elsewhere(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    (void)context;
    atomic_fetch_add(&followed, 1);
    snprintf(response, size, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

/* Each time another process: one that fails at everything but /health would be tried rarely. */
static void respond_to_health(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    (void)context;
    snprintf(response, size,
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
             "X-Artemis-Node: faulty\r\nX-Artemis-Cluster: artemis\r\nX-Artemis-State: ready\r\n"
             "X-Artemis-Run: fa%x\r\n\r\nOK",
             atomic_fetch_add(&runs, 1));
}

static bool send_fault(int fd, const char *head, void *context)
{
    (void)context;
    if (strncmp(head, "GET /health ", 12) == 0)
        return false;
    response_faults[atomic_fetch_add(&served, 1) % response_fault_count].send(fd, elsewhere.url);
    shutdown(fd, SHUT_RDWR);
    return true;
}

static int start(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1",
                                           "replication.anti_entropy_secs=1",
                                           "cluster.health_interval_secs=1", NULL};
    atomic_store(&served, 0);
    cluster_plan(&cluster, 3, settings);
    fake_server_start(&elsewhere, respond_elsewhere, NULL);
    fake_server_start_at(&peer, cluster.ports[0], respond_to_health, send_fault, NULL);
    cluster_start_node(&cluster, 1, NULL);
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_health(&cluster, 1, cluster.ports[2], "up");
    cluster_wait_health(&cluster, 2, cluster.ports[1], "up");
    cluster_wait_ready(&cluster, 1);
    cluster_wait_ready(&cluster, 2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    fake_server_stop(&peer);
    fake_server_stop(&elsewhere);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool has_served_all(void *context)
{
    (void)context;
    return atomic_load(&served) >= 2 * response_fault_count;
}

static bool is_replicated(void *context)
{
    return call_shows(cluster.http[2], "shop", context);
}

static void faulty_responses_disturb_no_other_peer(void **state)
{
    (void)state;
    int64_t deadline_ms = wait_deadline_ms() + wait_timeout_ms();
    for (int i = 0; !has_served_all(NULL); i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        if (wait_now_ms() > deadline_ms)
            fail_msg("only %u faults were served", atomic_load(&served));
        call_register(cluster.http[1], "shop", id);
        assert_true(wait_until(is_replicated, id, wait_deadline_ms()));
        struct http_response *response = http_get(cluster.http[1], "/api/status/cluster");
        assert_int_equal(response->status, 200);
        assert_non_null(response->json);
    }
    cluster_wait_agreement(&cluster);
    assert_int_equal(atomic_load(&followed), 0);
    for (int node = 1; node <= 2 && !wait_slow_build(); node++)
        assert_true(server_process_peak_kib(&cluster.nodes[node]) < PEAK_KIB_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(faulty_responses_disturb_no_other_peer, start, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
