/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that find each other by a real DNS server: addresses and services, with and without TLS;
 * nodes join and leave without a restart; a server that fails or errs changes nothing.
 */
#include "tests/support/command.h"
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/dns_server.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SETTINGS_BYTES = 320 };

static struct dns_server dns;
static struct member_node nodes[MEMBER_NODES_MAX];
static struct temp_folder folder; /* of certificates and settings */
static uint16_t peer_port;
static char texts[2][SETTINGS_BYTES];

static int set_up(void **state)
{
    (void)state;
    if (!dns_server_is_installed())
        return 0;
    dns_server_plan(&dns);
    peer_port = cluster_choose_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    member_node_stop_all(nodes);
    dns_server_free(&dns);
    if (folder.path[0])
        temp_folder_remove(&folder);
    folder.path[0] = '\0';
    return 0;
}

/* Where the server is not installed, CI fails before the tests: it installs the package. */
#define NEED_DNS_SERVER()                                                                          \
    do {                                                                                           \
        if (!dns_server_is_installed())                                                            \
            skip();                                                                                \
    } while (0)

/* The settings of a node that resolves `name`; with the port of the peers if it has one. */
static const char *const *settings_of(const char *name, bool has_port)
{
    static const char *settings[] = {"cluster.provider=dns", "cluster.dns.max_interval_secs=1",
                                     texts[0], texts[1], NULL};
    char port[8] = "";
    if (has_port)
        snprintf(port, sizeof port, ":%u", peer_port);
    snprintf(texts[0], SETTINGS_BYTES, "cluster.dns.names=%s%s", name, port);
    snprintf(texts[1], SETTINGS_BYTES, "cluster.dns.servers=%s", dns.address);
    return settings;
}

static void start_node(int number)
{
    member_node_start(nodes, number, peer_port, settings_of("artemis.test", true));
}

static void start_two_nodes(void)
{
    start_node(1);
    start_node(2);
    member_node_wait_mesh(nodes);
}

#define TWO   "127.0.0.2 artemis.test\n127.0.0.3 artemis.test\n"
#define THREE TWO "127.0.0.4 artemis.test\n"

/* --- addresses -------------------------------------------------------------------------------- */

static void nodes_find_each_other_and_skip_themselves(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    dns_server_start(&dns, TWO, NULL);
    start_two_nodes();
    struct http_response *response = http_get(nodes[1].http, "/api/status/cluster");
    check_json(response, "membership.members", "2");
    check_json(response, "membership.providers[0].name", "'dns'");
    check_json(response, "membership.providers[0].state", "'up'");
    call_register(nodes[1].http, "shop", "i0");
    call_register(nodes[2].http, "shop", "i1");
    member_node_wait_count(nodes, "shop", 2);
}

static void nodes_join_and_leave_without_a_restart(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    dns_server_start(&dns, TWO, NULL);
    start_node(1);
    start_node(2);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 50);
    dns_server_set_hosts(&dns, THREE);
    start_node(3);
    member_node_wait_ready(&nodes[3]);
    assert_int_equal(call_count(nodes[3].http, "shop"), 50); /* copied before it was ready */
    member_node_wait_mesh(nodes);
    dns_server_set_hosts(&dns, "127.0.0.3 artemis.test\n127.0.0.4 artemis.test\n");
    member_node_stop(&nodes[1]);
    member_node_wait_peers(&nodes[2], "node3");
    member_node_wait_peers(&nodes[3], "node2");
    member_node_wait_ready(&nodes[3]);
    call_register(nodes[3].http, "late", "i0");
    member_node_wait_count(nodes, "late", 1);
    member_node_wait_count(nodes, "shop", 50);
}

static void address_of_version_six_is_used_where_there_is_no_other(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    char listener[64];
    struct server_process six;
    dns_server_start(&dns, "::1 six.test\n", NULL);
    snprintf(listener, sizeof listener, "cluster.listen_addr=[::1]:%u", peer_port);
    server_process_start(&six,
                         (const char *const[]){"--set", listener, "--set", "server.node_id=six",
                                               "--set", "cluster.enabled=true", "--set",
                                               "cluster.bootstrap_grace_secs=0", NULL},
                         NULL);
    member_node_start(nodes, 1, peer_port, settings_of("six.test", true));
    member_node_wait_peers(&nodes[1], "six");
    member_node_stop(&nodes[1]);
    server_process_stop(&six);
}

/* --- services --------------------------------------------------------------------------------- */

static void nodes_find_each_other_by_a_service(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    uint16_t ports[2] = {peer_port, cluster_choose_port()};
    char records[4][64];
    snprintf(records[0], sizeof records[0], "_artemis._tcp.test,n1.test,%u", ports[0]);
    snprintf(records[1], sizeof records[1], "_artemis._tcp.test,n2.test,%u", ports[1]);
    snprintf(records[2], sizeof records[2], "_artemis._tcp.test,gone.test,%u", ports[1]);
    snprintf(records[3], sizeof records[3], "_artemis._tcp.test,n1.elsewhere,%u", ports[1]);
    dns_server_start(&dns, "127.0.0.2 n1.test\n127.0.0.3 n2.test\n127.0.0.9 n1.elsewhere\n",
                     (const char *const[]){records[0], records[1], records[2], records[3], NULL});
    for (int i = 1; i <= 2; i++)
        member_node_start(nodes, i, ports[i - 1], settings_of("_artemis._tcp.test", false));
    member_node_wait_mesh(nodes);
    call_register(nodes[2].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
}

/* --- failures --------------------------------------------------------------------------------- */

static void failing_server_changes_nothing(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    dns_server_start(&dns, TWO, NULL);
    start_two_nodes();
    dns_server_stop(&dns);
    const char *problem = member_node_wait_provider(&nodes[1], "failing");
    if (!strstr(problem, "artemis.test:"))
        fail_msg("the problem is: %s", problem);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
    check_contains(http_get(nodes[1].http, "/api/status/cluster"),
                   "membership.providers[0].failing_since", "T");
    assert_non_null(strstr(http_get(nodes[1].http, "/metrics")->body,
                           "artemis_cluster_provider_up{provider=\"dns\"} 0\n"));
    dns_server_start(&dns, THREE, NULL);
    member_node_wait_provider(&nodes[1], "up");
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
}

static void name_without_addresses_changes_nothing(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    dns_server_start(&dns, TWO, NULL);
    start_node(1);
    start_node(2);
    member_node_wait_peers(&nodes[1], "node2");
    dns_server_set_hosts(&dns, "127.0.0.9 other.test\n");
    const char *problem = member_node_wait_provider(&nodes[1], "failing");
    if (!strstr(problem, ": it has no addresses"))
        fail_msg("the problem is: %s", problem);
    member_node_wait_peers(&nodes[1], "node2");
    dns_server_set_hosts(&dns, TWO);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static void node_that_starts_without_a_server_joins_later(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    start_node(1);
    member_node_wait_provider(&nodes[1], "failing");
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    dns_server_start(&dns, TWO, NULL);
    start_node(2);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_count(nodes, "shop", 1);
    http_free(nodes[1].http);
    nodes[1].http = NULL;
    char *log = server_process_stop_and_read_log(&nodes[1].process);
    const char *line = strstr(log, "membership provider fails");
    assert_non_null(line);
    assert_null(strstr(line + 1, "membership provider fails")); /* once, for all failures */
    assert_non_null(strstr(line, "membership provider works again"));
    free(log);
}

/* A record that its peer has removed meanwhile is not served. */
static void node_with_storage_and_without_a_server_waits_for_its_peers(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    char storage[160];
    const char *settings[8];
    size_t count = 0;
    temp_folder_make(&folder);
    snprintf(storage, sizeof storage, "storage.data_dir=%s/data", folder.path);
    for (const char *const *setting = settings_of("artemis.test", true); *setting; setting++)
        settings[count++] = *setting;
    settings[count++] = storage;
    settings[count++] = "cluster.bootstrap_grace_secs=600";
    settings[count] = NULL;
    dns_server_start(&dns, TWO, NULL);
    start_node(2);
    member_node_start(nodes, 1, peer_port, settings);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 2);
    member_node_wait_count(nodes, "shop", 2);
    member_node_stop(&nodes[1]);
    check_status(call_with_keys(nodes[2].http, UNREGISTER, "shop", 0, 1), 200, "success", NULL);
    dns_server_stop(&dns);
    member_node_start(nodes, 1, peer_port, settings);
    member_node_wait_provider(&nodes[1], "failing");
    check_http(http_get(nodes[1].http, "/ready"), 503);
    check_http(http_get(nodes[1].http, "/api/discovery/service?service_id=shop"), 503);
    dns_server_start(&dns, TWO, NULL);
    member_node_wait_ready(&nodes[1]);
    assert_int_equal(call_count(nodes[1].http, "shop"), 1);
}

static void signal_ends_a_start_that_waits_for_its_first_list(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    int silent = socket(AF_INET, SOCK_DGRAM, 0); /* a server that does not respond */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(dns.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(silent, (const struct sockaddr *)&address, sizeof address), 0);
    char bytes[512];
    pid_t pid = command_spawn((const char *const[]){"server", "--addr", "127.0.0.1:0", "--set",
                                                    "cluster.enabled=true", "--set",
                                                    settings_of("artemis.test", true)[0], "--set",
                                                    texts[0], "--set", texts[1], NULL},
                              NULL, STDOUT_FILENO, STDERR_FILENO);
    assert_true(wait_readable(silent, wait_deadline_ms()));
    assert_true(recv(silent, bytes, sizeof bytes, 0) > 0); /* the first query */
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(command_wait(pid, wait_deadline_ms()), 0);
    close(silent);
}

/* --- settings and TLS ------------------------------------------------------------------------- */

static void names_are_reloadable(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    char text[512];
    static const char format[] = "[cluster.dns]\nnames = [\"%s.test:%u\"]\nservers = [\"%s\"]\n";
    temp_folder_make(&folder);
    dns_server_start(&dns, "127.0.0.2 old.test\n" TWO, NULL);
    start_node(2);
    snprintf(text, sizeof text, format, "old", peer_port, dns.address);
    const char *file = temp_folder_write(&folder, "artemis.toml", text);
    struct server_process *process = &nodes[1].process;
    server_process_start(process,
                         (const char *const[]){"--config", file, "--set", "server.node_id=node1",
                                               "--set", "cluster.enabled=true", "--set",
                                               "cluster.provider=dns", "--set",
                                               "cluster.bootstrap_grace_secs=0", NULL},
                         NULL);
    nodes[1].http = http_new(process->port);
    snprintf(text, sizeof text, format, "artemis", peer_port, dns.address);
    temp_folder_write(&folder, "artemis.toml", text);
    check_status(http_post(nodes[1].http, "/api/admin/reload", "{}"), 200, "success", NULL);
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
}

#define SELF "127.0.0.2 self.test\n"

static void failing_new_name_keeps_the_members_of_the_old_one(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    char text[512];
    static const char format[] =
        "[cluster.dns]\nnames = [\"self.test:%u\", \"%s.test:%u\"]\nservers = [\"%s\"]\n"
        "max_interval_secs = 2\n";
    temp_folder_make(&folder);
    dns_server_start(&dns, SELF TWO, NULL);
    start_node(2);
    snprintf(text, sizeof text, format, peer_port, "artemis", peer_port, dns.address);
    const char *file = temp_folder_write(&folder, "artemis.toml", text);
    member_node_start_with(nodes, 1, peer_port, file,
                           (const char *const[]){"cluster.provider=dns", NULL});
    member_node_wait_peers(&nodes[1], "node2");
    snprintf(text, sizeof text, format, peer_port, "new", peer_port, dns.address);
    temp_folder_write(&folder, "artemis.toml", text);
    check_status(http_post(nodes[1].http, "/api/admin/reload", "{}"), 200, "success", NULL);
    member_node_wait_provider(&nodes[1], "failing");
    member_node_wait_peers(&nodes[1], "node2");
    start_node(3);
    dns_server_set_hosts(&dns, SELF TWO "127.0.0.4 new.test\n");
    member_node_wait_peers(&nodes[1], "node3"); /* now the members of the old name leave */
}

static void names_of_certificates_are_verified(void **state)
{
    (void)state;
    NEED_DNS_SERVER();
    temp_folder_make(&folder);
    member_node_make_certificates(&folder, "artemis.test");
    dns_server_start(&dns, THREE, NULL);
    for (int i = 1; i <= 3; i++) {
        const char *settings[MEMBER_SETTINGS_MAX] = {NULL};
        const char *const *common = settings_of("artemis.test", true);
        for (size_t count = 0; common[count]; count++)
            settings[count] = common[count];
        member_node_add_certificate(settings, &folder, i < 3 ? "member" : "outsider");
        member_node_start(nodes, i, peer_port, settings);
    }
    /* The third node is not accepted as a server, and not as a client. */
    member_node_wait_peers(&nodes[1], "=down node2");
    member_node_wait_peers(&nodes[2], "=down node1");
    member_node_wait_peers(&nodes[3], "=down =down =down");
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_ready(&nodes[3]);
    call_register(nodes[3].http, "alien", "i0");
    member_node_stop(&nodes[3]);
    member_node_wait_count(nodes, "shop", 1);
    assert_int_equal(call_count(nodes[1].http, "alien"), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_find_each_other_and_skip_themselves),
        TEST(nodes_join_and_leave_without_a_restart),
        TEST(address_of_version_six_is_used_where_there_is_no_other),
        TEST(nodes_find_each_other_by_a_service),
        TEST(failing_server_changes_nothing),
        TEST(name_without_addresses_changes_nothing),
        TEST(node_that_starts_without_a_server_joins_later),
        TEST(node_with_storage_and_without_a_server_waits_for_its_peers),
        TEST(signal_ends_a_start_that_waits_for_its_first_list),
        TEST(names_are_reloadable),
        TEST(failing_new_name_keeps_the_members_of_the_old_one),
        TEST(names_of_certificates_are_verified),
    };
    return PARALLEL_RUN(tests);
}
