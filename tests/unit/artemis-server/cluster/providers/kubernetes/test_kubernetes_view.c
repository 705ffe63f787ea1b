/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pods are members: not those that terminate, not those whose Lease was deleted or has run
 * out. A failure of the API server ends no Lease.
 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000, TTL_MS = 15000 };

static struct config config;
static struct kubernetes_view view;
static struct kubernetes_event event;
static char version[KUBERNETES_VERSION_BYTES];

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "host", 1);
    snprintf(config.cluster.kubernetes.service, sizeof(config.cluster.kubernetes.service),
             "artemis");
    view = (struct kubernetes_view){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

/* --- what the API server says ----------------------------------------------------------------- */

/* Endpoints are like "10.0.0.1", or "10.0.0.1=uid", or "10.0.0.1=uid!" for one that terminates. */
static void append_slice(struct text *out, const char *name, const char *endpoints)
{
    char copy[512];
    char *rest = NULL;
    const char *comma = "";
    snprintf(copy, sizeof(copy), "%s", endpoints);
    text_printf(out,
                "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"5\"},\"ports\":[{\"port\":"
                "8080}],\"endpoints\":[",
                name);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        bool is_terminating = word[strlen(word) - 1] == '!';
        char *uid = strchr(word, '=');
        if (is_terminating)
            word[strlen(word) - 1] = '\0';
        if (uid)
            *uid++ = '\0';
        text_printf(out,
                    "%s{\"addresses\":[\"%s\"],\"conditions\":{\"terminating\":%s},"
                    "\"targetRef\":{\"uid\":\"%s\"}}",
                    comma, word, is_terminating ? "true" : "false", uid ? uid : "");
        comma = ",";
    }
    text_append_string(out, "]}");
}

/* "HOLDER RENEWED" */
static void append_lease(struct text *out, const char *name, const char *spec)
{
    const char *blank = strchr(spec, ' ');
    text_printf(out,
                "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"5\"},\"spec\":{"
                "\"holderIdentity\":\"http://%.*s:8080\",\"renewTime\":\"%s\","
                "\"leaseDurationSeconds\":15}}",
                name, (int)(blank - spec), spec, blank + 1);
}

static void append(struct text *out, enum kubernetes_kind kind, const char *name, const char *spec)
{
    if (kind == KUBERNETES_SLICES)
        append_slice(out, name, spec);
    else
        append_lease(out, name, spec);
}

/* Pairs of a name and its content, ended by NULL. */
static void list(enum kubernetes_kind kind, uint64_t asked_ms, uint64_t now_ms, ...)
{
    const struct kubernetes_source source = {kind, ""};
    struct text body = {0};
    const char *comma = "";
    va_list pairs;
    text_append_string(&body, "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[");
    va_start(pairs, now_ms);
    for (const char *name; (name = va_arg(pairs, const char *)); comma = ",") {
        text_append_string(&body, comma);
        append(&body, kind, name, va_arg(pairs, const char *));
    }
    va_end(pairs);
    text_append_string(&body, "]}");
    assert_true(kubernetes_view_list(&view, &source, slice_of(text_string(&body)), &event.object,
                                     asked_ms, now_ms, version));
    text_free(&body);
}

static void happen(enum kubernetes_kind kind, const char *type, const char *name, const char *spec,
                   uint64_t now_ms)
{
    const struct kubernetes_source source = {kind, ""};
    struct text line = {0};
    text_printf(&line, "{\"type\":\"%s\",\"object\":", type);
    append(&line, kind, name, spec);
    text_append_char(&line, '}');
    assert_true(kubernetes_read_event(&source, slice_of(text_string(&line)), &event));
    kubernetes_view_event(&view, kind, &event, now_ms);
    text_free(&line);
}

/* Addresses without scheme and port, separated by blanks. */
static void expect_members(const char *expected)
{
    struct member_list members;
    char text[512] = "";
    assert_int_equal(kubernetes_view_members(&view, &config, &members), 0);
    for (size_t i = 0, size = 0; i < members.count; i++) {
        const char *host = members.items[i].url + strlen("http://");
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s", i ? " " : "",
                                 (int)(strrchr(host, ':') - host), host);
    }
    assert_string_equal(text, expected);
}

static void expect_problem(const char *expected)
{
    char problem[KUBERNETES_PROBLEM_BYTES];
    assert_true(kubernetes_view_problem(&view, &config, problem) == (expected[0] != '\0'));
    assert_string_equal(problem, expected);
}

#define SLICES KUBERNETES_SLICES
#define LEASES KUBERNETES_LEASES

/* --- pods ------------------------------------------------------------------------------------- */

static void pods_of_all_slices_are_members(void **state)
{
    (void)state;
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1 10.0.0.2=u2", "b", "10.0.0.3=u3 10.0.0.2=u2", NULL);
    expect_members("10.0.0.1 10.0.0.2 10.0.0.3");
    happen(SLICES, "MODIFIED", "a", "10.0.0.1=u1", START_MS);
    expect_members("10.0.0.1 10.0.0.2 10.0.0.3"); /* also in the other slice */
    happen(SLICES, "DELETED", "b", "", START_MS);
    expect_members("10.0.0.1");
    happen(SLICES, "ADDED", "c", "10.0.0.4=u4", START_MS);
    expect_members("10.0.0.1 10.0.0.4");
    list(SLICES, 0, START_MS, "c", "10.0.0.4=u4", NULL);
    expect_members("10.0.0.4");
}

static void terminating_pod_leaves(void **state)
{
    (void)state;
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1 10.0.0.2=u2!", NULL);
    expect_members("10.0.0.1");
    /* An older slice does not know it yet. */
    happen(SLICES, "ADDED", "b", "10.0.0.2=u2", START_MS);
    expect_members("10.0.0.1");
    /* Another pod has the address now. */
    happen(SLICES, "ADDED", "b", "10.0.0.2=u3", START_MS);
    expect_members("10.0.0.1 10.0.0.2");
}

static void pod_with_two_families_is_one_member(void **state)
{
    (void)state;
    list(SLICES, 0, START_MS, "a", "fd00::1=u1 fd00::2=u2", "b", "10.0.0.1=u1", NULL);
    expect_members("10.0.0.1 [fd00::2]");
}

static void zone_of_a_member_is_that_of_its_endpoint(void **state)
{
    (void)state;
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1 fd00::1=u2", NULL);
    snprintf(view.endpoints[1].endpoint.zone, KUBERNETES_ZONE_BYTES, "eu-1a");
    assert_string_equal(kubernetes_view_zone(&view, "https://[fd00::1]:8080"), "eu-1a");
    assert_string_equal(kubernetes_view_zone(&view, "http://10.0.0.1:8080"), "");
    assert_string_equal(kubernetes_view_zone(&view, "http://10.0.0.9:8080"), "");
}

static void problems_of_the_service_are_named(void **state)
{
    (void)state;
    expect_problem("");
    list(SLICES, 0, START_MS, NULL);
    expect_problem("the service artemis has no endpoints");
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1", NULL);
    expect_problem("");
    view.endpoints[0].endpoint.port = 0;
    expect_members("");
    expect_problem("the service artemis does not have exactly one port: set "
                   "cluster.kubernetes.peer_port");
    snprintf(config.cluster.kubernetes.peer_port, sizeof(config.cluster.kubernetes.peer_port),
             "peer");
    expect_problem("the service artemis has no port named peer");
}

/* A second port of the service must not remove all members. */
static void members_stay_where_no_port_is_known(void **state)
{
    (void)state;
    assert_false(kubernetes_view_is_usable(&view));
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1 10.0.0.2=u2", NULL);
    assert_true(kubernetes_view_is_usable(&view));
    view.endpoints[0].endpoint.port = 0;
    assert_true(kubernetes_view_is_usable(&view));
    view.endpoints[1].endpoint.port = 0;
    assert_false(kubernetes_view_is_usable(&view));
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1!", NULL);
    assert_true(kubernetes_view_is_usable(&view)); /* the last one leaves */
    list(SLICES, 0, START_MS, NULL);
    assert_false(kubernetes_view_is_usable(&view));
    /* The slice of the other family is changed a moment later. */
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1", "b", "fd00::1=u1", NULL);
    view.endpoints[0].endpoint.port = 0;
    assert_false(kubernetes_view_is_usable(&view));
}

static void pods_beyond_the_limit_are_named(void **state)
{
    (void)state;
    struct text names = {0};
    struct member_list members;
    for (int i = 0; i < 60; i++)
        text_printf(&names, "10.0.0.%d ", i);
    for (int slice = 0; slice < 5; slice++) {
        char name[8];
        char spec[512] = "";
        size_t size = 0;
        for (int i = 0; i < 52; i++)
            size += (size_t)snprintf(spec + size, sizeof(spec) - size, "9.%d.0.%d ", slice, i);
        snprintf(name, sizeof(name), "s%d", slice);
        happen(SLICES, "ADDED", name, spec, START_MS);
    }
    text_free(&names);
    assert_int_equal(view.endpoint_count, KUBERNETES_ENDPOINTS_MAX);
    expect_problem("the service artemis has more than 256 endpoints or Leases; some are left out");
    assert_int_equal(kubernetes_view_members(&view, &config, &members),
                     KUBERNETES_ENDPOINTS_MAX - MEMBERS_MAX);
    list(SLICES, 0, START_MS, "a", "10.0.0.1=u1", NULL);
    expect_problem("");
}

/* --- Leases ----------------------------------------------------------------------------------- */

static void two_pods(void)
{
    list(SLICES, START_MS, START_MS, "a", "10.0.0.1=u1 10.0.0.2=u2", NULL);
    list(LEASES, START_MS, START_MS, "n1", "10.0.0.1 t1", "n2", "10.0.0.2 t1", NULL);
    expect_members("10.0.0.1 10.0.0.2");
    assert_int_equal(kubernetes_view_due_ms(&view), START_MS + TTL_MS);
}

static void lease_runs_out_when_a_later_list_shows_no_renewal(void **state)
{
    (void)state;
    two_pods();
    happen(LEASES, "MODIFIED", "n1", "10.0.0.1 t2", START_MS + 14000);
    assert_int_equal(kubernetes_view_due_ms(&view), START_MS + TTL_MS);
    expect_members("10.0.0.1 10.0.0.2"); /* the time alone ends nothing */
    /* Asked for before the end. */
    list(LEASES, START_MS + 14999, START_MS + 15100, "n1", "10.0.0.1 t2", "n2", "10.0.0.2 t1",
         NULL);
    expect_members("10.0.0.1 10.0.0.2");
    list(LEASES, START_MS + 15000, START_MS + 15100, "n1", "10.0.0.1 t2", "n2", "10.0.0.2 t1",
         NULL);
    expect_members("10.0.0.1");
    assert_int_equal(kubernetes_view_due_ms(&view), START_MS + 14000 + TTL_MS);
    happen(LEASES, "MODIFIED", "n2", "10.0.0.2 t2", START_MS + 20000);
    expect_members("10.0.0.1 10.0.0.2");
}

static void list_that_shows_a_renewal_ends_nothing(void **state)
{
    (void)state;
    two_pods();
    list(LEASES, START_MS + 16000, START_MS + 16010, "n1", "10.0.0.1 t2", "n2", "10.0.0.2 t2",
         NULL);
    expect_members("10.0.0.1 10.0.0.2");
    assert_int_equal(kubernetes_view_due_ms(&view), START_MS + 16010 + TTL_MS);
}

static void failure_gives_each_lease_its_whole_time_again(void **state)
{
    (void)state;
    two_pods();
    kubernetes_view_on_failure(&view, START_MS + 60000);
    assert_int_equal(kubernetes_view_due_ms(&view), START_MS + 60000 + TTL_MS);
    list(LEASES, START_MS + 61000, START_MS + 61000, "n1", "10.0.0.1 t1", "n2", "10.0.0.2 t1",
         NULL);
    expect_members("10.0.0.1 10.0.0.2");
    list(LEASES, START_MS + 75000, START_MS + 75000, "n1", "10.0.0.1 t1", "n2", "10.0.0.2 t2",
         NULL);
    expect_members("10.0.0.2");
    /* One that has run out stays so. */
    kubernetes_view_on_failure(&view, START_MS + 76000);
    expect_members("10.0.0.2");
}

static void pod_whose_lease_is_deleted_leaves(void **state)
{
    (void)state;
    two_pods();
    happen(LEASES, "DELETED", "n2", "10.0.0.2 t1", START_MS + 1);
    expect_members("10.0.0.1");
    happen(SLICES, "MODIFIED", "a", "10.0.0.1=u1 10.0.0.2=u2", START_MS + 2);
    expect_members("10.0.0.1");
    happen(LEASES, "ADDED", "n2", "10.0.0.2 t2", START_MS + 3);
    expect_members("10.0.0.1 10.0.0.2");
    list(LEASES, START_MS + 4, START_MS + 4, "n1", "10.0.0.1 t1", NULL); /* deleted unseen */
    expect_members("10.0.0.1");
    /* The endpoint is gone; another pod gets the address. */
    happen(SLICES, "MODIFIED", "a", "10.0.0.1=u1", START_MS + 5);
    happen(SLICES, "MODIFIED", "a", "10.0.0.1=u1 10.0.0.2=u3", START_MS + 6);
    expect_members("10.0.0.1 10.0.0.2");
}

static void pod_without_a_lease_is_a_member(void **state)
{
    (void)state;
    two_pods();
    happen(SLICES, "ADDED", "b", "10.0.0.3=u3", START_MS);
    expect_members("10.0.0.1 10.0.0.2 10.0.0.3");
}

static void address_of_a_dead_pod_is_used_again(void **state)
{
    (void)state;
    two_pods();
    list(LEASES, START_MS + TTL_MS, START_MS + TTL_MS, "n1", "10.0.0.1 t2", "n2", "10.0.0.2 t1",
         NULL);
    expect_members("10.0.0.1");
    happen(LEASES, "ADDED", "n3", "10.0.0.2 t3", START_MS + 16000);
    expect_members("10.0.0.1 10.0.0.2");
}

static void lease_that_moves_to_another_address_removes_nobody(void **state)
{
    (void)state;
    two_pods();
    happen(SLICES, "ADDED", "b", "10.0.0.3=u3", START_MS);
    happen(LEASES, "MODIFIED", "n2", "10.0.0.3 t2", START_MS + 1);
    expect_members("10.0.0.1 10.0.0.2 10.0.0.3");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pods_of_all_slices_are_members),
        TEST(terminating_pod_leaves),
        TEST(pod_with_two_families_is_one_member),
        TEST(zone_of_a_member_is_that_of_its_endpoint),
        TEST(problems_of_the_service_are_named),
        TEST(members_stay_where_no_port_is_known),
        TEST(pods_beyond_the_limit_are_named),
        TEST(lease_runs_out_when_a_later_list_shows_no_renewal),
        TEST(list_that_shows_a_renewal_ends_nothing),
        TEST(failure_gives_each_lease_its_whole_time_again),
        TEST(pod_whose_lease_is_deleted_leaves),
        TEST(pod_without_a_lease_is_a_member),
        TEST(address_of_a_dead_pod_is_used_again),
        TEST(lease_that_moves_to_another_address_removes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
