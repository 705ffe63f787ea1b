/* SPDX-License-Identifier: Apache-2.0
 *
 * How a cluster is printed, also when fields are missing, and when it counts as healthy.
 */
#include "artemis/output/view_cluster.h"

#include "artemis/output/table.h"
#include "artemis/output/view_cluster_events.h"
#include "artemis/terminal/terminal_text.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <stdlib.h>
#include <string.h>

#define SELF                                                                                       \
    "'nodes_status':[{'node':{'node_id':'n-1','url':'http://127.0.0.1:8080',"                      \
    "'zone':{'region_id':'local','zone_id':'zone1'}},'state':'ready','cluster_id':'artemis',"      \
    "'instances':1204}]"

#define SELF_SHOWN                                                                                 \
    "this node  n-1\n"                                                                             \
    "url        http://127.0.0.1:8080\n"                                                           \
    "zone       local/zone1\n"                                                                     \
    "cluster    artemis\n"                                                                         \
    "state      ready\n"                                                                           \
    "instances  1,204\n\n"

#define UP(id)                                                                                     \
    "{'node_id':'" id "','url':'http://127.0.0.1:8081','health':'up','ready':true,'plain':false,"  \
    "'lag_ms':3,'backlog':0,'failures':0,'heard_ms_ago':1016,'compared_ms_ago':61000,"             \
    "'digests_differing':0}"

#define DOWN                                                                                       \
    "{'node_id':'','url':'https://h:1','health':'down','ready':false,'lag_ms':0,'backlog':12345,"  \
    "'failures':7,'last_error':'/health: Couldn\\u0027t connect to server\\u001b',"                \
    "'last_error_time':'2026-11-21T07:23:02.262Z'}"

/* The longest line of what is printed. */
static size_t check_view(const char *json, size_t columns_max, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    size_t longest = 0;
    json_t *root = quoted_json(json);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_cluster(root, out, columns_max);
    fclose(out);
    json_decref(root);
    if (expected)
        assert_string_equal(printed, expected);
    char *rest = printed;
    for (char *line; (line = strsep(&rest, "\n"));)
        longest = terminal_text_width(line) > longest ? terminal_text_width(line) : longest;
    free(printed);
    return longest;
}

static void peers_are_lines_with_their_last_error_below(void **state)
{
    (void)state;
    size_t longest = check_view(
        "{" SELF ",'peers':[" UP("n-2") "," DOWN "]}", 0,
        SELF_SHOWN
        "NODE  HEALTH   LAG  BACKLOG  FAILS  HEARD  COMPARED      ADDRESS\n"
        "n-2   up      3 ms        0      0    1 s  1 min: agree  127.0.0.1:8081\n"
        "-     down    0 ms   12,345      7      -  never         https://h:1\n"
        "  last error 2026-11-21T07:23:02.262Z: /health: Couldn't connect to server\\x1b\n"
        "\n"
        "1 of 2 peers is not up and ready\n");
    assert_true(longest <= 80);
}

static void long_names_are_cut_to_the_terminal(void **state)
{
    (void)state;
    const char *json =
        "{" SELF ",'peers':[" UP("artemis-0123456789.region-1.example.org") "," DOWN "]}";
    assert_true(check_view(json, 0, NULL) > 80);
    assert_true(check_view(json, 80, NULL) <= 80);
}

static void buckets_that_differ_are_counted(void **state)
{
    (void)state;
    check_view("{" SELF ",'peers':[{'node_id':'n-2','url':'http://h:1','health':'up','ready':true,"
               "'compared_ms_ago':5,'digests_differing':12}]}",
               0,
               SELF_SHOWN "NODE  HEALTH  LAG  BACKLOG  FAILS  HEARD  COMPARED         ADDRESS\n"
                          "n-2   up        -        -      -      -  <1 s: 12 differ  h:1\n"
                          "\nits only peer is up and ready\n");
}

static void peer_that_is_up_but_not_ready_is_shown_as_not_ready(void **state)
{
    (void)state;
    check_view("{" SELF ",'peers':[{'node_id':'n-2','url':'http://h:1','health':'up','ready':false,"
               "'heard_ms_ago':999}]}",
               0,
               SELF_SHOWN "NODE  HEALTH     LAG  BACKLOG  FAILS  HEARD  COMPARED  ADDRESS\n"
                          "n-2   not ready    -        -      -   <1 s  never     h:1\n"
                          "\n1 of 1 peer is not up and ready\n");
}

static void node_without_peers_is_reported(void **state)
{
    (void)state;
    static const char sentence[] = SELF_SHOWN "this node has no peers (cluster.enabled)\n";
    check_view("{" SELF ",'peers':[]}", 0, sentence);
    check_view("{" SELF ",'peers':[{'health':'self'}]}", 0, sentence);
    check_view("{}", 0, "\nthis node has no peers (cluster.enabled)\n");
}

static void node_without_peers_names_the_settings_of_its_providers(void **state)
{
    (void)state;
    static const struct {
        const char *provider, *settings;
    } rows[] = {
        {"static", ", cluster.peers"},
        {"dns", ", cluster.dns.names"},
        {"registry", ", cluster.seeds"},
        {"etcd", ", cluster.etcd"},
        {"consul", ", cluster.consul"},
        {"kubernetes", ", cluster.kubernetes.service"},
        {"static'},{'name':'dns", ", cluster.peers, cluster.dns.names"},
        {"other", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[512];
        char shown[512];
        snprintf(json, sizeof json, "{" SELF ",'membership':{'providers':[{'name':'%s'}]}}",
                 rows[i].provider);
        snprintf(shown, sizeof shown, SELF_SHOWN "this node has no peers (cluster.enabled%s)\n",
                 rows[i].settings);
        check_view(json, 0, shown);
    }
}

static void provider_that_fails_is_shown(void **state)
{
    (void)state;
    check_view("{" SELF ",'peers':[],'membership':{'members':2,'providers':[{'name':'static',"
               "'state':'up','members':1},{'name':'dns','state':'failing','members':2,'problem':"
               "'n.example:1: timeout\\u001b','failing_since':'2026-11-21T07:23:02.262Z'}]}}",
               0,
               SELF_SHOWN "this node has no peers (cluster.enabled, cluster.peers, "
                          "cluster.dns.names)\n"
                          "membership provider dns fails since 2026-11-21T07:23:02.262Z; its last "
                          "list, of 2, stays: n.example:1: timeout\\x1b\n");
}

static void check_unknown(const char *json, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    json_t *root = quoted_json(json);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_cluster_unknown(root, out);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
    json_decref(root);
}

static void order_for_an_unknown_node_is_noted(void **state)
{
    (void)state;
    static const char hint[] = "  check the name: artemis cluster; an address is HOST:PORT; undo: "
                               "artemis cluster unblock\n";
    char expected[256];
    check_unknown("{'node_id':'n1','address':'h:1','known':true}", "");
    check_unknown("{'node_id':'n1','address':''}", ""); /* of an older node */
    snprintf(expected, sizeof expected,
             "artemis: no peer has the id n\\u202e1 now; a node with it will be refused\n%s", hint);
    check_unknown("{'node_id':'n\\u202e1','address':'','known':false}", expected);
    snprintf(expected, sizeof expected,
             "artemis: no peer has the address h:1 now; a node with it will be refused\n%s", hint);
    check_unknown("{'node_id':'','address':'h:1','known':false}", expected);
}

static void provider_that_warns_is_shown(void **state)
{
    (void)state;
    check_view("{" SELF ",'peers':[],'membership':{'members':0,'providers':[{'name':'etcd',"
               "'state':'up','members':0,'warning':'an even\\u001b number'}]}}",
               0,
               SELF_SHOWN "this node has no peers (cluster.enabled, cluster.etcd)\n"
                          "membership provider etcd warns: an even\\x1b number\n");
}

static void cluster_with_too_few_nodes_is_not_healthy(void **state)
{
    (void)state;
    static const char json[] = "{" SELF ",'peers':[],'nodes_up':1,'expected_nodes':3,"
                               "'under_replicated':true}";
    check_view(json, 0,
               SELF_SHOWN "this node has no peers (cluster.enabled)\n"
                          "under-replicated: 1 of 3 nodes are up and ready "
                          "(cluster.expected_nodes)\n");
    json_t *root = quoted_json(json);
    assert_false(view_cluster_is_healthy(root));
    json_decref(root);
}

static void events_are_a_table(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    json_t *root =
        quoted_json("{'events':[{'number':1,'time':'2026-11-21T07:23:02.262Z','kind':"
                    "'joined','url':'http://h:1','node_id':'n-2','reason':'dns: x\\u001b',"
                    "'members':2},{'kind':'stopped'}]}");
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_cluster_events(root, out, 0);
    json_decref(root);
    root = quoted_json("{}");
    view_cluster_events(root, out, 0);
    fclose(out);
    assert_string_equal(
        printed, "TIME                      EVENT    NODE  ADDRESS     MEMBERS  REASON\n"
                 "2026-11-21T07:23:02.262Z  joined   n-2   http://h:1        2  dns: x\\x1b\n"
                 "-                         stopped  -     -                 -  -\n"
                 "no event yet\n");
    free(printed);
    json_decref(root);
}

static void events_on_a_terminal_have_the_reason_below(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    json_t *root = quoted_json(
        "{'events':[{'time':'2026-11-21T07:23:02.262Z','kind':'blocked','url':"
        "'http://registry-of-orders-1.example.com:8080','node_id':'registry-of-orders-1',"
        "'reason':'registry-of-orders-1 is blocked by an operator at registry-of-orders-2: "
        "the disk is broken','members':2},"
        "{'time':'2026-11-21T07:23:03.000Z','kind':'provider-recovered','members':12}]}");
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_cluster_events(root, out, 80);
    fclose(out);
    assert_string_equal(
        printed,
        "TIME                  EVENT               NODE           ADDRESS         MEMBERS\n"
        "2026-11-21T07:23:02Z  blocked             registry-of-…  registry-of-o…        2\n"
        "  registry-of-orders-1 is blocked by an operator at registry-of-orders-2: the\n"
        "  disk is broken\n"
        "2026-11-21T07:23:03Z  provider-recovered  -              -                    12\n");
    free(printed);
    json_decref(root);
}

static void cluster_is_healthy_when_all_are_up_and_ready(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool healthy;
    } rows[] = {
        {"{" SELF ",'peers':[" UP("n-2") "," UP("n-3") "]}", true},
        {"{" SELF ",'peers':[" UP("n-2") ",{'health':'self'}]}", true},
        {"{" SELF ",'peers':[]}", true},
        {"{}", false},
        {"{'nodes_status':[],'peers':[]}", false},
        {"{" SELF ",'peers':[" UP("n-2") "," DOWN "]}", false},
        {"{" SELF ",'peers':[{'health':'up','ready':false}]}", false},
        {"{" SELF ",'peers':[{'health':'new','ready':true}]}", false},
        {"{" SELF ",'peers':[{'health':'stranger'}]}", false},
        {"{" SELF ",'peers':[{'health':'twin'}]}", false},
        {"{'nodes_status':[{'state':'starting'}],'peers':[]}", false},
        {"{" SELF ",'membership':{'providers':[{'state':'up'},{'state':'starting'}]}}", true},
        {"{" SELF ",'membership':{'providers':[{'state':'up'},{'state':'failing'}]}}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *root = quoted_json(rows[i].json);
        if (view_cluster_is_healthy(root) != rows[i].healthy)
            fail_msg("healthy should be %d: %s", rows[i].healthy, rows[i].json);
        json_decref(root);
    }
}

static void span_is_printed_in_its_largest_unit(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0 ms"},       {999, "999 ms"},      {1000, "1 s"},    {59999, "59 s"},
                {60000, "1 min"},  {3599999, "59 min"},  {3600000, "1 h"}, {86399999, "23 h"},
                {86400000, "1 d"}, {8640000000, "100 d"}};
    char text[VIEW_SPAN_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(view_span(rows[i].ms, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_are_lines_with_their_last_error_below),
        cmocka_unit_test(long_names_are_cut_to_the_terminal),
        cmocka_unit_test(buckets_that_differ_are_counted),
        cmocka_unit_test(peer_that_is_up_but_not_ready_is_shown_as_not_ready),
        cmocka_unit_test(cluster_with_too_few_nodes_is_not_healthy),
        cmocka_unit_test(events_are_a_table),
        cmocka_unit_test(events_on_a_terminal_have_the_reason_below),
        cmocka_unit_test(provider_that_fails_is_shown),
        cmocka_unit_test(provider_that_warns_is_shown),
        cmocka_unit_test(order_for_an_unknown_node_is_noted),
        cmocka_unit_test(node_without_peers_is_reported),
        cmocka_unit_test(node_without_peers_names_the_settings_of_its_providers),
        cmocka_unit_test(cluster_is_healthy_when_all_are_up_and_ready),
        cmocka_unit_test(span_is_printed_in_its_largest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
