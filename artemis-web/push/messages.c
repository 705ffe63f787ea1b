/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/messages.h"

#include <string.h>

#include "artemis-core/model/topic_name.h"

static struct json_writer begin_change(struct text *changes, enum push_form form)
{
    if (changes->size)
        text_append_string(changes, ",");
    struct json_writer w = jw_to(changes, form == FORM_NATIVE ? CASING_SNAKE : CASING_CAMEL);
    jw_open(&w, '{');
    jw_name(&w, "instance");
    jw_open(&w, '{');
    return w;
}

static const char *word_of(enum change_type type)
{
    static const char *const words[] = {
        [CHANGE_NEW] = "new",
        [CHANGE_CHANGE] = "change",
        [CHANGE_DELETE] = "delete",
        [CHANGE_RELOAD] = "reload",
    };
    return words[type];
}

static void write_kind(struct json_writer *w, enum push_form form, enum change_type type,
                       uint64_t wall_ms)
{
    jw_name(w, "change_type");
    jw_string(w, word_of(type));
    jw_name(w, "change_time");
    if (form == FORM_JAVA)
        jw_u64(w, wall_ms);
    else
        jw_rfc3339(w, wall_ms);
}

static void end_change(struct json_writer *w, enum push_form form, enum change_type type,
                       uint64_t wall_ms)
{
    jw_close(w, '}');
    write_kind(w, form, type, wall_ms);
    if (form == FORM_NATIVE) {
        w->casing = CASING_CAMEL;
        write_kind(w, form, type, wall_ms);
    }
    jw_close(w, '}');
}

/* Appends the fields whose camelCase names differ, with these names. */
static void write_camel_names(struct json_writer *w, const struct instance *instance)
{
    enum casing casing = w->casing;
    w->casing = CASING_CAMEL;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        struct slice value = instance_text(instance, field);
        if (value.size == 0 || strcmp(info->name, info->camel) == 0)
            continue;
        jw_name(w, info->name);
        jw_text(w, value);
    }
    w->casing = casing;
}

void message_change(struct text *changes, enum push_form form, const struct instance *instance,
                    enum change_type type, uint64_t wall_ms)
{
    static const enum dialect dialects[FORM_COUNT] = {
        [FORM_NATIVE] = DIALECT_SNAKE, [FORM_CAMEL] = DIALECT_CAMEL, [FORM_JAVA] = DIALECT_JAVA};
    struct json_writer w = begin_change(changes, form);
    codec_write_instance_members(&w, dialects[form], instance, form == FORM_JAVA);
    if (form == FORM_NATIVE)
        write_camel_names(&w, instance);
    end_change(&w, form, type, wall_ms);
}

/* The fields of the instance in a reload, as the Java servers write them. */
static void write_placeholder(struct json_writer *w, enum push_form form, struct slice service_id)
{
    jw_name(w, "region_id");
    form == FORM_JAVA ? jw_null(w) : jw_string(w, "");
    jw_name(w, "zone_id");
    form == FORM_JAVA ? jw_null(w) : jw_string(w, "");
    jw_name(w, "service_id");
    jw_text(w, service_id);
    jw_name(w, "instance_id");
    jw_string(w, "reload");
}

static void write_placeholder_address(struct json_writer *w, enum push_form form,
                                      struct slice service_id)
{
    struct text url = {0};
    text_append_string(&url, "http://");
    text_append(&url, service_id.data, service_id.size);
    text_append_string(&url, "/reload");
    jw_name(w, "ip");
    jw_string(w, "0.0.0.0");
    jw_name(w, "port");
    jw_u64(w, 0);
    jw_name(w, "url");
    jw_text(w, (struct slice){url.data, url.size});
    jw_name(w, "status");
    form == FORM_JAVA ? jw_null(w) : jw_string(w, "unknown");
    w->out->failed |= text_failed(&url);
    text_free(&url);
}

void message_reload(struct text *changes, enum push_form form, struct slice service_id,
                    uint64_t wall_ms)
{
    struct json_writer w = begin_change(changes, form);
    write_placeholder(&w, form, service_id);
    if (form == FORM_NATIVE) {
        w.casing = CASING_CAMEL;
        write_placeholder(&w, form, service_id);
        w.casing = CASING_SNAKE;
    }
    write_placeholder_address(&w, form, service_id);
    end_change(&w, form, CHANGE_RELOAD, wall_ms);
}

/* --- messages of /ws -------------------------------------------------------------------------- */

static struct json_writer begin_message(struct text *out, const char *type)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "type");
    jw_string(&w, type);
    return w;
}

static void write_service_id(struct json_writer *w, struct slice service_id)
{
    jw_name(w, "service_id");
    jw_text(w, service_id);
}

void message_service_change(struct text *out, struct slice service_id, uint64_t revision,
                            struct slice changes, bool partial)
{
    struct json_writer w = begin_message(out, "service_change");
    write_service_id(&w, service_id);
    jw_name(&w, "version");
    jw_u64(&w, revision);
    if (partial) {
        jw_name(&w, "complete");
        jw_bool(&w, false);
    }
    jw_name(&w, "changes");
    jw_open(&w, '[');
    jw_raw(&w, changes);
    jw_close(&w, ']');
    jw_close(&w, '}');
}

void message_subscribed(struct text *out, struct slice service_id, uint64_t revision,
                        const char *epoch, bool filtered)
{
    struct json_writer w = begin_message(out, "subscribed");
    write_service_id(&w, service_id);
    jw_name(&w, "version");
    jw_u64(&w, revision);
    jw_name(&w, "run");
    jw_string(&w, epoch);
    if (filtered) {
        jw_name(&w, "filtered");
        jw_bool(&w, true);
    }
    jw_close(&w, '}');
}

void message_unsubscribed(struct text *out, struct slice service_id)
{
    struct json_writer w = begin_message(out, "unsubscribed");
    write_service_id(&w, service_id);
    jw_close(&w, '}');
}

static void write_topic(struct json_writer *w, struct slice topic)
{
    jw_name(w, "topic");
    jw_text(w, topic);
}

void message_subscribed_topic(struct text *out, struct slice topic)
{
    struct json_writer w = begin_message(out, "subscribed_topic");
    write_topic(&w, topic);
    jw_close(&w, '}');
}

void message_unsubscribed_topic(struct text *out, struct slice topic)
{
    struct json_writer w = begin_message(out, "unsubscribed_topic");
    write_topic(&w, topic);
    jw_close(&w, '}');
}

void message_event(struct text *out, const struct event *event)
{
    struct json_writer w = begin_message(out, "event");
    write_topic(&w, event->topic);
    jw_name(&w, "node_id");
    jw_text(&w, event->node_id);
    jw_name(&w, "run");
    jw_text(&w, event->run);
    jw_name(&w, "number");
    jw_u64(&w, event->number);
    jw_name(&w, "time");
    jw_rfc3339(&w, event->wall_ms);
    jw_name(&w, "payload");
    jw_raw(&w, event->payload);
    jw_close(&w, '}');
}

void message_events_lost(struct text *out, struct slice topic, uint64_t count)
{
    struct json_writer w = begin_message(out, "events_lost");
    write_topic(&w, topic);
    jw_name(&w, "count");
    jw_u64(&w, count);
    jw_close(&w, '}');
}

void message_pong(struct text *out)
{
    struct json_writer w = begin_message(out, "pong");
    jw_close(&w, '}');
}

/* The subject of the client's message, as it was sent. */
static void write_subject(struct json_writer *w, struct slice service_id, struct slice topic)
{
    if (service_id.data && service_id.size <= ID_BYTES_MAX)
        write_service_id(w, service_id);
    if (topic.data && topic.size <= TOPIC_BYTES_MAX)
        write_topic(w, topic);
}

void message_error(struct text *out, const char *message, struct slice service_id,
                   struct slice topic)
{
    struct json_writer w = begin_message(out, "error");
    jw_name(&w, "message");
    jw_string(&w, message);
    write_subject(&w, service_id, topic);
    jw_close(&w, '}');
}

void message_refused(struct text *out, enum error error, const char *message,
                     struct slice service_id, struct slice topic)
{
    struct json_writer w = begin_message(out, "error");
    jw_name(&w, "message");
    jw_string(&w, message);
    jw_name(&w, "reason");
    jw_string(&w, error_info(error)->reason);
    jw_name(&w, "retry_after_secs");
    jw_u64(&w, RETRY_AFTER_SECS);
    write_subject(&w, service_id, topic);
    jw_close(&w, '}');
}
