/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/member_records.h"

#include <stdio.h>
#include <string.h>

#include "artemis-server/cluster/providers/member_address.h"

enum error member_record_create(const struct config *config, const char *peer_url,
                                struct instance **out)
{
    struct field_problem problem;
    struct instance_spec spec = {0};
    spec.text[FIELD_REGION] = slice_of(config->server.region);
    spec.text[FIELD_ZONE] = slice_of(config->server.zone);
    spec.text[FIELD_SERVICE] = slice_of(MEMBER_SERVICE);
    spec.text[FIELD_INSTANCE] = slice_of(config->server.node_id);
    spec.text[FIELD_IP] = slice_of("0.0.0.0"); /* required; the url is what counts */
    spec.text[FIELD_URL] = slice_of(peer_url);
    spec.text[FIELD_STATUS] = slice_of("up");
    return instance_create(&spec, out, &problem);
}

/* Writes the url of a registered node; false: it is not that of a peer. */
static bool read_url(const struct instance *instance, const struct config *config,
                     char url[MEMBER_URL_BYTES])
{
    struct slice text = instance_text(instance, FIELD_URL);
    if (text.size >= MEMBER_URL_BYTES)
        return false;
    snprintf(url, MEMBER_URL_BYTES, "%.*s", (int)text.size, text.data);
    return member_address_is_url(config, url);
}

static bool is_seed(const struct member_sources *sources, struct slice node_id)
{
    for (size_t i = 0; i < sources->seed_id_count; i++)
        if (slice_equal(node_id, slice_of(sources->seed_ids[i])))
            return true;
    return false;
}

static bool is_own(const struct config *config, struct slice node_id)
{
    return slice_equal(node_id, slice_of(config->server.node_id));
}

/* The members of the last list, or the others. Returns how many were left out. */
static size_t add_records(const struct member_sources *sources, bool of_before,
                          struct member_list *out)
{
    char url[MEMBER_URL_BYTES];
    size_t left_out = 0;
    const struct config *config = sources->config;
    for (size_t i = 0; i < sources->records->count; i++) {
        const struct instance *record = sources->records->instances[i];
        struct slice node_id = instance_text(record, FIELD_INSTANCE);
        if (is_own(config, node_id) || is_seed(sources, node_id) ||
            !read_url(record, config, url) || member_list_has(sources->before, url) != of_before)
            continue;
        left_out += member_address_add(out, config, url, config->cluster.tls.member_name) != 0;
    }
    return left_out;
}

bool member_records_have_others(const struct config *config, const struct registry_members *records)
{
    for (size_t i = 0; i < records->count; i++)
        if (!is_own(config, instance_text(records->instances[i], FIELD_INSTANCE)))
            return true;
    return false;
}

static void remove_member(struct member_list *list, struct slice url)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!slice_equal(url, slice_of(list->items[i].url)))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

void member_records_remove_left(const struct registry_members *records, member_has_left *has_left,
                                void *context, struct member_list *members)
{
    for (size_t i = 0; i < records->count; i++)
        if (has_left(context, instance_packed_key(records->instances[i])))
            remove_member(members, instance_text(records->instances[i], FIELD_URL));
}

size_t member_records_read(const struct member_sources *sources, struct member_list *out)
{
    *out = *sources->seeds;
    size_t left_out = add_records(sources, true, out) + add_records(sources, false, out);
    if (!member_records_have_others(sources->config, sources->records))
        (void)member_list_merge(out, sources->before);
    return left_out;
}
