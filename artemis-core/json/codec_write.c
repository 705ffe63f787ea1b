/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec.h"

static void write_failed_status(struct json_writer *w, enum dialect dialect, enum error error,
                                const char *message, bool partial)
{
    const struct error_info *info = error_info(error);
    if (!message)
        message = info->message;
    jw_name(w, "error_code");
    if (dialect == DIALECT_JAVA)
        jw_string(w, partial ? "partial_fail" : info->java_code);
    else
        jw_string(w, info->code);
    jw_name(w, "error_message");
    jw_foreign(w, message);
    jw_name(w, "reason");
    jw_string(w, info->reason);
    if (dialect == DIALECT_SNAKE)
        return;
    jw_name(w, "status");
    jw_string(w, partial ? "partial_fail" : "fail");
    jw_name(w, "message");
    jw_foreign(w, message);
}

static void write_success_status(struct json_writer *w, enum dialect dialect)
{
    jw_name(w, "error_code");
    jw_string(w, "success");
    if (dialect == DIALECT_JAVA) {
        jw_name(w, "error_message");
        jw_null(w);
        jw_name(w, "reason");
        jw_null(w);
    }
    if (dialect != DIALECT_SNAKE) {
        jw_name(w, "status");
        jw_string(w, "success");
        jw_name(w, "message");
        jw_string(w, "");
    }
}

void codec_write_status(struct json_writer *w, enum dialect dialect, enum error error,
                        const char *message, bool partial)
{
    jw_name(w, "response_status");
    jw_open(w, '{');
    if (error)
        write_failed_status(w, dialect, error, message, partial);
    else
        write_success_status(w, dialect);
    jw_close(w, '}');
}

void codec_write_error(struct text *out, enum dialect dialect, enum error error,
                       const char *message)
{
    struct json_writer w = jw_to(out, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, error, message, false);
    jw_close(&w, '}');
}

/* Writes an optional text. If it is absent, it is omitted, or null for Java. */
static void write_optional(struct json_writer *w, enum dialect dialect, const char *name,
                           struct slice value)
{
    if (value.size == 0 && dialect != DIALECT_JAVA)
        return;
    jw_name(w, name);
    if (value.size)
        jw_text(w, value);
    else
        jw_null(w);
}

static void write_url(struct json_writer *w, const struct instance *instance)
{
    struct slice url = instance_text(instance, FIELD_URL);
    char buffer[IP_BYTES_MAX + sizeof("http://[]:65535")];
    struct text derived = {.data = buffer,
                           .capacity = sizeof(buffer)}; /* large enough: never grows */
    if (url.size == 0) {
        instance_append_url(instance, &derived);
        url = (struct slice){derived.data, derived.size};
    }
    jw_name(w, "url");
    jw_text(w, url);
}

static void write_metadata(struct json_writer *w, enum dialect dialect,
                           const struct instance *instance)
{
    if (instance_metadata_count(instance) == 0) {
        if (dialect == DIALECT_JAVA) {
            jw_name(w, "metadata");
            jw_null(w);
        }
        return;
    }
    jw_name(w, "metadata");
    jw_open(w, '{');
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);) {
        jw_verbatim_name(w, entry.name);
        jw_text(w, entry.value);
    }
    jw_close(w, '}');
}

static void write_field(struct json_writer *w, const struct instance *instance,
                        enum instance_field field)
{
    jw_name(w, instance_field_info(field)->name);
    jw_text(w, instance_text(instance, field));
}

void codec_write_weight(struct json_writer *w, const struct instance *instance)
{
    uint32_t weight = instance_weight(instance);
    if (weight == WEIGHT_DEFAULT)
        return;
    jw_name(w, "weight");
    jw_u64(w, weight);
}

void codec_write_instance(struct json_writer *w, enum dialect dialect,
                          const struct instance *instance)
{
    jw_open(w, '{');
    codec_write_instance_members(w, dialect, instance, dialect == DIALECT_JAVA);
    jw_close(w, '}');
}

void codec_write_instance_members(struct json_writer *w, enum dialect dialect,
                                  const struct instance *instance, bool raw_status)
{
    enum instance_status status = instance_status(instance);
    write_field(w, instance, FIELD_REGION);
    write_field(w, instance, FIELD_ZONE);
    write_field(w, instance, FIELD_SERVICE);
    write_optional(w, dialect, "group_id", instance_text(instance, FIELD_GROUP));
    write_field(w, instance, FIELD_INSTANCE);
    write_optional(w, dialect, "machine_name", instance_text(instance, FIELD_MACHINE_NAME));
    write_field(w, instance, FIELD_IP);
    jw_name(w, "port");
    jw_u64(w, instance_port(instance));
    write_optional(w, dialect, "protocol", instance_text(instance, FIELD_PROTOCOL));
    write_url(w, instance);
    write_optional(w, dialect, "health_check_url", instance_text(instance, FIELD_HEALTH_CHECK_URL));
    jw_name(w, "status");
    if (status == STATUS_OTHER && raw_status)
        jw_text(w, instance_text(instance, FIELD_STATUS));
    else
        jw_text(w, instance_status_name(status));
    write_metadata(w, dialect, instance);
    codec_write_weight(w, instance);
    uint64_t client_revision = instance_client_revision(instance);
    if (client_revision) {
        jw_name(w, "revision");
        jw_u64(w, client_revision);
    }
}

static void write_service_names(struct json_writer *w, enum dialect dialect,
                                struct slice service_id)
{
    jw_open(w, '{');
    jw_name(w, "service_id");
    jw_text(w, service_id);
    if (dialect == DIALECT_JAVA) {
        jw_name(w, "metadata");
        jw_null(w);
    }
}

void codec_write_near(struct json_writer *w, const struct near_counts *near)
{
    static const char *const names[NEARNESS_COUNT] = {"zone", "region", "beyond"};
    if (!near->is_given)
        return;
    jw_name(w, "near");
    jw_open(w, '{');
    for (enum nearness each = 0; each < NEARNESS_COUNT; each++) {
        jw_name(w, names[each]);
        jw_u64(w, near->count[each]);
    }
    jw_close(w, '}');
}

void codec_begin_service(struct json_writer *w, enum dialect dialect, struct slice service_id,
                         const struct near_counts *near)
{
    write_service_names(w, dialect, service_id);
    codec_write_near(w, near);
    jw_name(w, "instances");
    jw_open(w, '[');
}

static void end_service(struct json_writer *w, enum dialect dialect)
{
    if (dialect == DIALECT_JAVA) {
        jw_name(w, "logic_instances");
        jw_open(w, '[');
        jw_close(w, ']');
        jw_name(w, "route_rules");
        jw_null(w);
    }
    jw_close(w, '}');
}

void codec_end_service(struct json_writer *w, enum dialect dialect)
{
    jw_close(w, ']');
    end_service(w, dialect);
}

void codec_write_service(struct json_writer *w, enum dialect dialect, struct slice service_id,
                         struct instance *const *instances, size_t count)
{
    static const struct near_counts no_counts;
    if (!instances) {
        write_service_names(w, dialect, service_id);
        if (dialect == DIALECT_JAVA) {
            jw_name(w, "instances");
            jw_null(w);
        }
        end_service(w, dialect);
        return;
    }
    codec_begin_service(w, dialect, service_id, &no_counts);
    for (size_t i = 0; i < count; i++)
        codec_write_instance(w, dialect, instances[i]);
    codec_end_service(w, dialect);
}

void codec_write_change(struct json_writer *w, enum dialect dialect,
                        const struct instance *instance, enum change_type type, uint64_t wall_ms)
{
    static const char *const names[] = {
        [CHANGE_NEW] = "new",
        [CHANGE_CHANGE] = "change",
        [CHANGE_DELETE] = "delete",
        [CHANGE_RELOAD] = "reload",
    };
    jw_open(w, '{');
    jw_name(w, "instance");
    codec_write_instance(w, dialect, instance);
    jw_name(w, "change_type");
    jw_string(w, names[type]);
    jw_name(w, "change_time");
    if (dialect == DIALECT_JAVA)
        jw_u64(w, wall_ms);
    else
        jw_rfc3339(w, wall_ms);
    jw_close(w, '}');
}
