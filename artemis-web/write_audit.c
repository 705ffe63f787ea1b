/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/write_audit.h"

#include <stdio.h>

#include "artemis-server/registry/registry_replication.h"

bool write_audit_is_due(const struct token *token)
{
    return token && (token->role == ROLE_OPERATOR || token->role == ROLE_ADMIN);
}

void write_audit_begin(const struct write_audit *audit, struct write_audit_item *item,
                       struct slice packed_key)
{
    struct record_copy copy;
    *item = (struct write_audit_item){.packed_key = packed_key};
    if (!audit->engine || !registry_read_key(audit->engine->registry, packed_key, &copy))
        return;
    if (!copy.deleted)
        item->before = instance_ref(copy.instance);
    record_copy_unref(&copy);
}

static void append_member(struct text *out, const char *prefix, struct slice name,
                          struct slice value)
{
    if (out->size + name.size + value.size > WRITE_AUDIT_BYTES_MAX)
        text_printf(out, " %s%.*s=(%zu bytes)", prefix, (int)name.size, name.data, value.size);
    else
        text_printf(out, " %s%.*s=%.*s", prefix, (int)name.size, name.data, (int)value.size,
                    value.data ? value.data : "");
}

static bool has_entry(const struct instance *instance, const struct metadata_entry *wanted)
{
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);)
        if (slice_equal(entry.name, wanted->name))
            return slice_equal(entry.value, wanted->value);
    return false;
}

/* Appends what differs from the other instance, except for status and url. */
static void describe_difference(const struct instance *instance, const struct instance *other,
                                struct text *out)
{
    struct metadata_entry entry;
    uint64_t revision = instance_client_revision(instance);
    for (enum instance_field field = KEY_FIELDS; field < TEXT_FIELDS; field++) {
        struct slice value = instance_text(instance, field);
        if (field != FIELD_STATUS && field != FIELD_URL &&
            !slice_equal(value, instance_text(other, field)))
            append_member(out, "", slice_of(instance_field_info(field)->name), value);
    }
    if (instance_port(instance) != instance_port(other))
        text_printf(out, " port=%u", instance_port(instance));
    if (instance_weight(instance) != instance_weight(other))
        text_printf(out, " weight=%u", instance_weight(instance));
    if (revision != instance_client_revision(other))
        text_printf(out, " revision=%llu", (unsigned long long)revision);
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);)
        if (!has_entry(other, &entry))
            append_member(out, "metadata.", entry.name, entry.value);
}

/* Appends "up http://10.0.0.1:8080" and what differs from the other one; nothing for NULL. */
static void describe(const struct instance *instance, const struct instance *other,
                     struct text *out)
{
    if (!instance)
        return;
    text_append_slice(out, instance_status_name(instance_status(instance)));
    text_append_char(out, ' ');
    instance_append_url(instance, out);
    if (other)
        describe_difference(instance, other, out);
}

static void describe_key(struct slice packed_key, struct text *out)
{
    struct instance_key key;
    if (instance_key_unpack(packed_key, &key))
        return; /* never: it is the key of a valid item */
    text_append_slice(out, instance_key_part(&key, FIELD_SERVICE));
    text_append_char(out, '/');
    text_append_slice(out, instance_key_part(&key, FIELD_INSTANCE));
}

static void record(const struct write_audit *audit, const struct write_audit_item *item,
                   const struct instance *after, enum error error)
{
    struct text object = {0};
    struct text before = {0};
    struct text changed = {0};
    describe_key(item->packed_key, &object);
    describe(item->before, after, &before);
    describe(after, item->before, &changed);
    const struct audit_event event = {
        .origin = audit->origin,
        .action = after ? "register" : "unregister",
        .object = text_string(&object),
        .before = text_string(&before),
        .after = text_string(&changed),
        .outcome = error ? error_info(error)->reason : "done",
    };
    audit_record(audit->engine->audit, &event, audit->now);
    text_free(&object);
    text_free(&before);
    text_free(&changed);
}

void write_audit_end(struct write_audit *audit, struct write_audit_item *item,
                     const struct instance *after, enum error error)
{
    bool is_renewal = item->before && after && instance_equal(item->before, after);
    bool has_effect = !is_renewal && (item->before || after);
    if (audit->engine && (error || has_effect) && audit->items++ < WRITE_AUDIT_ITEMS_MAX)
        record(audit, item, after, error);
    instance_unref(item->before);
}

void write_audit_rest(const struct write_audit *audit)
{
    char object[32];
    if (audit->items <= WRITE_AUDIT_ITEMS_MAX)
        return;
    unsigned more = audit->items - WRITE_AUDIT_ITEMS_MAX;
    snprintf(object, sizeof(object), "%u more instance%s", more, more == 1 ? "" : "s");
    const struct audit_event event = {
        .origin = audit->origin,
        .action = "write",
        .object = object,
        .outcome = "not recorded one by one",
    };
    audit_record(audit->engine->audit, &event, audit->now);
}
