/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes as records of the store: what is written for this node, and which topology follows from the
 * records and the seeds.
 */
#include "artemis-server/cluster/providers/member_records.h"

#include <stdlib.h>

#include "tests/unit/artemis-server/cluster/cluster_fixture.h"

enum { RECORDS_MAX = MEMBERS_MAX + 3 };

static struct config config;
static struct instance *instances[RECORDS_MAX];
static struct registry_members records;
static struct member_list seeds, before, members;
static const char *seed_ids[2];
static size_t seed_id_count;

static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof(config));
    snprintf(config.server.region, sizeof(config.server.region), "lab");
    snprintf(config.server.zone, sizeof(config.server.zone), "z1");
    records = (struct registry_members){.instances = instances};
    seeds.count = before.count = seed_id_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    while (records.count > 0)
        instance_unref(instances[--records.count]);
    return 0;
}

static void add_record(const char *node_id, const char *url)
{
    snprintf(config.server.node_id, sizeof(config.server.node_id), "%s", node_id);
    assert_int_equal(member_record_create(&config, url, &instances[records.count++]), ERR_NONE);
}

/* As node "me". Returns the number of nodes that were left out. */
static size_t read_members(void)
{
    snprintf(config.server.node_id, sizeof(config.server.node_id), "me");
    const struct member_sources sources = {.config = &config,
                                           .records = &records,
                                           .seeds = &seeds,
                                           .seed_ids = seed_ids,
                                           .seed_id_count = seed_id_count,
                                           .before = &before};
    return member_records_read(&sources, &members);
}

static void expect_members(const char *words)
{
    struct member_list expected = members_of(words);
    assert_int_equal(read_members(), 0);
    assert_int_equal(members.count, expected.count);
    for (size_t i = 0; i < members.count; i++)
        assert_string_equal(members.items[i].url, expected.items[i].url);
}

static void record_of_a_node_has_its_id_and_url(void **state)
{
    (void)state;
    add_record("n1", "http://10.0.0.1:9000");
    struct text url = {0};
    instance_append_url(instances[0], &url);
    assert_string_equal(text_string(&url), "http://10.0.0.1:9000");
    text_free(&url);
    assert_true(member_service_is(instance_text(instances[0], FIELD_SERVICE)));
    assert_true(slice_equal(instance_text(instances[0], FIELD_INSTANCE), slice_of("n1")));
    assert_false(member_service_is(slice_of("artemis.node")));
    assert_false(member_service_is(slice_of("artemis.nodes2")));
}

static void members_are_the_seeds_and_the_other_nodes(void **state)
{
    (void)state;
    seeds = members_of("s:1");
    expect_members("s:1");
    add_record("me", "http://10.0.0.9:1");
    add_record("n1", "http://10.0.0.1:1");
    add_record("n2", "http://s:1"); /* it is the seed */
    expect_members("s:1 10.0.0.1:1");
}

static void seed_under_another_address_is_one_member(void **state)
{
    (void)state;
    seeds = members_of("s:1");
    add_record("n1", "http://10.0.0.1:1");
    expect_members("s:1 10.0.0.1:1");
    seed_ids[seed_id_count++] = "n1"; /* it has responded */
    expect_members("s:1");
}

static void isolated_node_keeps_the_last_list(void **state)
{
    (void)state;
    seeds = members_of("s:1");
    before = members_of("s:1 a:1 b:1");
    add_record("me", "http://10.0.0.9:1");
    expect_members("s:1 a:1 b:1");
    add_record("n1", "http://a:1");
    expect_members("s:1 a:1");
}

/* Those with an even last digit. */
static bool has_even_id(void *context, struct slice packed_key)
{
    (void)context;
    return (packed_key.data[packed_key.size - 1] - '0') % 2 == 0;
}

static void members_that_have_left_are_removed(void **state)
{
    (void)state;
    before = members_of("s:1 a:1 b:1 c:1");
    add_record("n1", "http://a:1");
    add_record("n2", "http://b:1");
    add_record("n4", "http://elsewhere:1");
    member_records_remove_left(&records, has_even_id, NULL, &before);
    assert_int_equal(before.count, 3);
    assert_false(member_list_has(&before, "http://b:1"));
}

static void other_nodes_are_those_with_another_id(void **state)
{
    (void)state;
    add_record("me", "http://a:1");
    snprintf(config.server.node_id, sizeof(config.server.node_id), "me");
    assert_false(member_records_have_others(&config, &records));
    add_record("n1", "http://b:1");
    snprintf(config.server.node_id, sizeof(config.server.node_id), "me");
    assert_true(member_records_have_others(&config, &records));
}

static void records_without_the_address_of_a_peer_are_left_out(void **state)
{
    (void)state;
    add_record("n1", "ftp://10.0.0.1:1");
    add_record("n2", "http://10.0.0.1:1/path");
    add_record("n3", "http://");
    add_record("n4", "http://a b:1");
    add_record("n5", "https://10.0.0.5:1");
    assert_int_equal(read_members(), 0);
    assert_int_equal(members.count, 1);
    assert_string_equal(members.items[0].url, "https://10.0.0.5:1");
}

static void nodes_with_tls_have_https_and_the_name_of_members(void **state)
{
    (void)state;
    snprintf(config.cluster.tls.cert, sizeof(config.cluster.tls.cert), "node.pem");
    snprintf(config.cluster.tls.member_name, sizeof(config.cluster.tls.member_name), "nodes.test");
    add_record("n1", "http://10.0.0.1:1");
    add_record("n2", "https://10.0.0.2:1");
    assert_int_equal(read_members(), 0);
    assert_int_equal(members.count, 1);
    assert_string_equal(members.items[0].url, "https://10.0.0.2:1");
    assert_string_equal(members.items[0].name, "nodes.test");
}

static void nodes_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    char id[16];
    char url[32];
    for (int i = 0; i < MEMBERS_MAX + 2; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        snprintf(url, sizeof(url), "http://h:%d", i + 1);
        add_record(id, url);
    }
    assert_int_equal(read_members(), 2);
    assert_int_equal(members.count, MEMBERS_MAX);
}

/* A peer with false records may not displace the nodes that are there. */
static void members_stay_where_others_are_too_many(void **state)
{
    (void)state;
    char id[16];
    char url[32];
    before = members_of("h:900 h:901");
    for (int i = 0; i < MEMBERS_MAX; i++) {
        snprintf(id, sizeof(id), "f%d", i);
        snprintf(url, sizeof(url), "http://h:%d", i + 1);
        add_record(id, url);
    }
    add_record("n1", "http://h:900");
    add_record("n2", "http://h:901");
    assert_int_equal(read_members(), 2);
    assert_true(member_list_has(&members, "http://h:900"));
    assert_true(member_list_has(&members, "http://h:901"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(record_of_a_node_has_its_id_and_url),
        TEST(members_are_the_seeds_and_the_other_nodes),
        TEST(seed_under_another_address_is_one_member),
        TEST(isolated_node_keeps_the_last_list),
        TEST(members_that_have_left_are_removed),
        TEST(other_nodes_are_those_with_another_id),
        TEST(records_without_the_address_of_a_peer_are_left_out),
        TEST(nodes_with_tls_have_https_and_the_name_of_members),
        TEST(nodes_beyond_the_limit_are_counted),
        TEST(members_stay_where_others_are_too_many),
    };
    return cmocka_run_group_tests_name("member records", tests, NULL, NULL);
}
