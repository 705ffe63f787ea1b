/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/shared_instance.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/ring/ring.h"

/* Offset of each text in struct artemis_instance. */
static const size_t text_offsets[TEXT_FIELDS] = {
    [FIELD_REGION] = offsetof(struct artemis_instance, region_id),
    [FIELD_ZONE] = offsetof(struct artemis_instance, zone_id),
    [FIELD_SERVICE] = offsetof(struct artemis_instance, service_id),
    [FIELD_GROUP] = offsetof(struct artemis_instance, group_id),
    [FIELD_INSTANCE] = offsetof(struct artemis_instance, instance_id),
    [FIELD_IP] = offsetof(struct artemis_instance, ip),
    [FIELD_URL] = offsetof(struct artemis_instance, url),
    [FIELD_STATUS] = offsetof(struct artemis_instance, status),
    [FIELD_MACHINE_NAME] = offsetof(struct artemis_instance, machine_name),
    [FIELD_PROTOCOL] = offsetof(struct artemis_instance, protocol),
    [FIELD_HEALTH_CHECK_URL] = offsetof(struct artemis_instance, health_check_url),
};

const char *instance_view_text(const struct artemis_instance *view, enum instance_field field)
{
    const char *text;
    memcpy(&text, (const char *)view + text_offsets[field], sizeof text);
    return text;
}

/* --- creation --------------------------------------------------------------------------------- */

/* Appends the text with a NUL, and returns its address. */
static const char *append(char **at, struct slice text)
{
    const char *start = *at;
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    (*at)[text.size] = '\0';
    *at += text.size + 1;
    return start;
}

static size_t bytes_needed(const struct instance *instance, size_t url_size)
{
    size_t bytes = url_size + 1;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        if (field != FIELD_URL)
            bytes += instance_text(instance, field).size + 1;
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);)
        bytes += entry.name.size + entry.value.size + 2;
    return bytes;
}

static void fill(struct shared_instance *shared, const struct instance *instance, struct slice url,
                 char *at, struct artemis_metadata *metadata)
{
    struct artemis_instance *view = &shared->view;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        struct slice text = field == FIELD_URL ? url : instance_text(instance, field);
        if (field == FIELD_STATUS && text.size == 0)
            text = instance_status_name(instance_status(instance));
        const char *kept = append(&at, text);
        memcpy((char *)view + text_offsets[field], &kept, sizeof kept);
    }
    view->port = instance_port(instance);
    view->weight = (uint16_t)instance_weight(instance);
    view->has_weight = true;
    view->metadata_count = instance_metadata_count(instance);
    view->metadata = metadata;
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry); metadata++) {
        metadata->name = append(&at, entry.name);
        metadata->value = append(&at, entry.value);
    }
}

enum error shared_instance_create(const struct instance *instance, struct shared_instance **out)
{
    struct text url = {0};
    instance_append_url(instance, &url);
    size_t table = instance_metadata_count(instance) * sizeof(struct artemis_metadata);
    size_t bytes = bytes_needed(instance, url.size) + STATUS_BYTES_MAX;
    struct shared_instance *shared = NULL;
    if (!text_failed(&url))
        shared = calloc(1, sizeof *shared + table + bytes);
    if (shared) {
        atomic_init(&shared->refs, 1);
        shared->identity = ring_identity(instance_packed_key(instance));
        /* The metadata table comes first: it needs alignment. */
        fill(shared, instance, (struct slice){url.data, url.size}, shared->bytes + table,
             (struct artemis_metadata *)(void *)shared->bytes);
        *out = shared;
    }
    text_free(&url);
    return shared ? ERR_NONE : ERR_NO_MEMORY;
}

struct shared_instance *shared_instance_ref(struct shared_instance *shared)
{
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void shared_instance_unref(struct shared_instance *shared)
{
    if (shared && atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) == 1)
        free(shared);
}

/* --- comparison ------------------------------------------------------------------------------- */

int shared_instance_compare(const struct shared_instance *a, const struct shared_instance *b)
{
    static const enum instance_field order[KEY_FIELDS] = {FIELD_SERVICE, FIELD_GROUP,
                                                          FIELD_INSTANCE, FIELD_REGION, FIELD_ZONE};
    int result = 0;
    for (size_t i = 0; i < KEY_FIELDS && result == 0; i++)
        result =
            strcmp(instance_view_text(&a->view, order[i]), instance_view_text(&b->view, order[i]));
    return result;
}

/* Both are sorted by name: instance_create sorts metadata. */
static bool same_metadata(const struct artemis_instance *a, const struct artemis_instance *b)
{
    if (a->metadata_count != b->metadata_count)
        return false;
    for (size_t i = 0; i < a->metadata_count; i++)
        if (strcmp(a->metadata[i].name, b->metadata[i].name) != 0 ||
            strcmp(a->metadata[i].value, b->metadata[i].value) != 0)
            return false;
    return true;
}

bool shared_instance_equal(const struct shared_instance *a, const struct shared_instance *b)
{
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        if (strcmp(instance_view_text(&a->view, field), instance_view_text(&b->view, field)) != 0)
            return false;
    return a->view.port == b->view.port && a->view.weight == b->view.weight &&
           same_metadata(&a->view, &b->view);
}

bool shared_instance_is_up(const struct shared_instance *shared)
{
    return strcmp(shared->view.status, "up") == 0;
}
