/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a cluster, read from the records that nodes, or the callers that replicate, have
 * registered. The first byte selects cluster.tls. Each line is a text: "s" and an address, a seed;
 * "i" and a node id, that of a seed; "b" and an address, an earlier member; "r", a node id, a
 * blank and a url, a record.
 *
 * The list has the seeds, is sorted, and has each address once. All others are addresses of peers,
 * of a record of another node, or earlier ones. Records of nodes that have left are removed.
 */
#include <stdio.h>
#include <string.h>

#include "artemis-server/cluster/providers/member_address.h"
#include "artemis-server/cluster/providers/member_records.h"
#include "tests/fuzz/support/fuzz.h"

enum { RECORDS_MAX = 80, SEEDS_MAX = 8 };

static struct config config;
static struct instance *instances[RECORDS_MAX];
static struct registry_members records;
static struct member_list seeds, before, members;
static char seed_ids[SEEDS_MAX][CONFIG_TEXT_BYTES];
static size_t seed_id_count;

static void set(char *to, size_t size, struct slice text)
{
    size = text.size < size ? text.size : size - 1;
    memcpy(to, text.data, size);
    to[size] = '\0';
}

/* --- the input -------------------------------------------------------------------------------- */

static void add_record(struct slice text)
{
    struct field_problem problem;
    struct instance_spec spec = {0};
    const char *blank = memchr(text.data, ' ', text.size);
    size_t id_size = blank ? (size_t)(blank - text.data) : text.size;
    spec.text[FIELD_REGION] = SLICE("r");
    spec.text[FIELD_ZONE] = SLICE("z");
    spec.text[FIELD_SERVICE] = SLICE(MEMBER_SERVICE);
    spec.text[FIELD_INSTANCE] = (struct slice){text.data, id_size};
    spec.text[FIELD_IP] = SLICE("0.0.0.0");
    if (blank)
        spec.text[FIELD_URL] = (struct slice){blank + 1, text.size - id_size - 1};
    if (records.count < RECORDS_MAX && !instance_create(&spec, &instances[records.count], &problem))
        records.count++;
}

static void add_address(struct member_list *list, struct slice text)
{
    char address[MEMBER_URL_BYTES];
    set(address, sizeof(address), text);
    (void)!member_address_add(list, &config, address, "");
}

static void add_line(struct slice line)
{
    struct slice text = {line.data + 1, line.size - 1};
    if (line.data[0] == 's' && seeds.count < SEEDS_MAX)
        add_address(&seeds, text);
    else if (line.data[0] == 'b')
        add_address(&before, text);
    else if (line.data[0] == 'i' && seed_id_count < SEEDS_MAX)
        set(seed_ids[seed_id_count++], CONFIG_TEXT_BYTES, text);
    else if (line.data[0] == 'r')
        add_record(text);
}

static void read_input(const char *at, const char *end)
{
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        if (line_end > at)
            add_line((struct slice){at, (size_t)(line_end - at)});
        at = line_end + 1;
    }
}

/* --- the list --------------------------------------------------------------------------------- */

/* Whether a record of another node has this url. */
static bool is_registered(const char *url)
{
    for (size_t i = 0; i < records.count; i++)
        if (slice_equal(instance_text(instances[i], FIELD_URL), slice_of(url)) &&
            !slice_equal(instance_text(instances[i], FIELD_INSTANCE), SLICE("own")))
            return true;
    return false;
}

static void check_members(bool has_others)
{
    for (size_t i = 0; i < seeds.count; i++)
        assert(member_list_has(&members, seeds.items[i].url));
    for (size_t i = 0; i < members.count; i++) {
        const char *url = members.items[i].url;
        assert(i == 0 || strcmp(members.items[i - 1].url, url) < 0);
        if (member_list_has(&seeds, url) || (!has_others && member_list_has(&before, url)))
            continue;
        assert(is_registered(url) && member_address_is_url(&config, url));
    }
}

static bool has_left(void *context, struct slice packed_key)
{
    (void)context;
    (void)packed_key;
    return true;
}

static void check_removal(void)
{
    member_records_remove_left(&records, has_left, NULL, &before);
    for (size_t i = 0; i < records.count; i++)
        for (size_t j = 0; j < before.count; j++)
            assert(!slice_equal(instance_text(instances[i], FIELD_URL),
                                slice_of(before.items[j].url)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *ids[SEEDS_MAX];
    if (size == 0)
        return 0;
    memcpy(config.server.node_id, "own", sizeof("own"));
    snprintf(config.cluster.tls.cert, sizeof(config.cluster.tls.cert), "%s",
             data[0] % 2 ? "cert.pem" : "");
    records = (struct registry_members){.instances = instances};
    seeds.count = before.count = seed_id_count = 0;
    read_input((const char *)data + 1, (const char *)data + size);
    for (size_t i = 0; i < seed_id_count; i++)
        ids[i] = seed_ids[i];
    size_t left_out = member_records_read(
        &(struct member_sources){&config, &records, &seeds, ids, seed_id_count, &before}, &members);
    assert(members.count <= MEMBERS_MAX && left_out <= records.count);
    assert(left_out == 0 || members.count == MEMBERS_MAX);
    check_members(member_records_have_others(&config, &records));
    check_removal();
    for (size_t i = 0; i < records.count; i++)
        instance_unref(instances[i]);
    return 0;
}
