/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "artemis-web/api/status_writer.h"

enum { MS_PER_SEC = 1000 };

/* --- this node -------------------------------------------------------------------------------- */

enum error handle_status_node(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    struct json_writer w = status_begin(request, response);
    jw_name(&w, "node_status");
    status_write_this_node(&w, request);
    jw_close(&w, '}');
    return ERR_NONE;
}

/* --- leases ----------------------------------------------------------------------------------- */

static void write_guard(struct json_writer *w, const struct guard *guard, uint32_t percent,
                        struct moment now)
{
    static const char *const words[] = {
        [GUARD_OFF] = "off",
        [GUARD_ENGAGED] = "on",
        [GUARD_RELEASED] = "released",
    };
    named_string(w, "state", words[guard->state]);
    named_u64(w, "expected_renewals", guard->expected);
    named_u64(w, "renewals", guard->renewed);
    if (guard->state == GUARD_OFF)
        return;
    struct text cause = {0};
    if (guard->state == GUARD_ENGAGED)
        text_printf(&cause, "%u of %u expected renewals came, less than %u %%", guard->renewed,
                    guard->expected, percent);
    else
        text_append_string(&cause, "released by an operator");
    named_string(w, "cause", text_string(&cause));
    text_free(&cause);
    named_u64(w, "since_ms_ago", now.mono_ms > guard->since_ms ? now.mono_ms - guard->since_ms : 0);
    named_u64(w, "ends_in_ms", guard->until_ms > now.mono_ms ? guard->until_ms - now.mono_ms : 0);
}

struct status_writer {
    struct json_writer *w;
    struct request *request;
    struct lease_options options;
};

static void write_service_guard(void *context, struct slice service_id, const struct guard *guard,
                                uint32_t held)
{
    struct status_writer *writer = context;
    jw_open(writer->w, '{');
    jw_name(writer->w, "service_id");
    jw_text(writer->w, service_id);
    write_guard(writer->w, guard, writer->options.guard_percent, writer->request->now);
    named_u64(writer->w, "held", held);
    jw_close(writer->w, '}');
}

static void write_lease(void *context, const struct lease_status *lease)
{
    struct status_writer *writer = context;
    struct json_writer *w = writer->w;
    jw_open(w, '{');
    jw_name(w, "instance");
    codec_write_instance(w, request_dialect(writer->request), lease->instance);
    named_u64(w, "renewed_ms_ago", lease->renewed_ms_ago);
    named_u64(w, "ends_in_ms", lease->ends_in_ms);
    named_bool(w, "held", lease->guarded);
    jw_name(w, "changed");
    jw_rfc3339(w, lease->changed_wall_ms);
    jw_close(w, '}');
}

static void write_guards(struct status_writer *writer, const struct registry_stats *stats)
{
    struct json_writer *w = writer->w;
    const struct lease_options *options = &writer->options;
    jw_name(w, "guard");
    jw_open(w, '{');
    named_u64(w, "percent", options->guard_percent);
    named_u64(w, "min_leases", options->guard_min_leases);
    named_u64(w, "max_secs", options->guard_max_ms / MS_PER_SEC);
    jw_name(w, "node");
    jw_open(w, '{');
    write_guard(w, &stats->node_guard, options->guard_percent, writer->request->now);
    named_u64(w, "held", stats->guarded);
    named_u64(w, "loaded", stats->loaded);
    jw_close(w, '}');
    jw_name(w, "services");
    jw_open(w, '[');
    registry_each_guard(writer->request->engine->registry, writer->request->now,
                        write_service_guard, writer);
    jw_close(w, ']');
    jw_close(w, '}');
}

/* Reads the service id from the query or the body, in canonical form; *size is 0 without one. Reads
 * the time of a peer's release from the body if clock_ms is not NULL. */
static enum error read_service_id(struct request *request, char id[ID_BYTES_MAX], size_t *size,
                                  uint64_t *clock_ms, char message[MESSAGE_BYTES])
{
    struct slice text = {0};
    struct document *document = NULL;
    enum error error = request_query(request, "service_id", &text, message);
    if (!error && !text.data)
        error = document_parse(request_body(request), &document, message);
    if (!error && document) {
        error = document_text(document, "service_id", &text, message);
        if (!error && clock_ms)
            error = document_u64(document, "clock_ms", clock_ms, message);
        name_casing_add(&request->names, document_names(document));
    }
    struct field_problem problem;
    *size = 0;
    if (!error && text.data) {
        error = service_id_canonical(text, id, size, &problem);
        if (error)
            snprintf(message, MESSAGE_BYTES, "service_id: %s", problem.problem);
    }
    document_free(document);
    return error;
}

static void describe_unknown(const char *id, size_t id_size, char message[MESSAGE_BYTES])
{
    snprintf(message, MESSAGE_BYTES, "service_id: no such service: \"%.*s\"", (int)id_size, id);
}

enum error handle_status_leases(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    char id[ID_BYTES_MAX];
    size_t id_size;
    enum error error = read_service_id(request, id, &id_size, NULL, message);
    if (error)
        return error;
    struct registry_stats stats;
    registry_stats(request->engine->registry, &stats);
    struct json_writer w = status_begin(request, response);
    struct status_writer writer = {&w, request, registry_lease_options(request->engine->registry)};
    named_u64(&w, "lease_count", stats.instances);
    named_u64(&w, "ttl_secs", writer.options.ttl_ms / MS_PER_SEC);
    named_u64(&w, "renewals", stats.renewed);
    named_u64(&w, "evictions", stats.evicted);
    write_guards(&writer, &stats);
    if (id_size) {
        jw_name(&w, "leases");
        jw_open(&w, '{');
        jw_verbatim_name(&w, (struct slice){id, id_size});
        jw_open(&w, '[');
        error = registry_each_lease(request->engine->registry, (struct slice){id, id_size},
                                    request->now, write_lease, &writer);
        jw_close(&w, ']');
        jw_close(&w, '}');
    }
    jw_close(&w, '}');
    if (error == ERR_SERVICE_NOT_FOUND)
        describe_unknown(id, id_size, message);
    return error;
}

static void audit_release(const struct request *request, const char *action,
                          struct slice service_id, bool was_engaged, enum error error)
{
    char object[ID_BYTES_MAX + 1];
    snprintf(object, sizeof(object), "%.*s", (int)service_id.size, service_id.data);
    const struct audit_event event = {
        .action = action,
        .object = object[0] ? object : "the node and all services",
        .before = was_engaged ? "engaged" : "not engaged",
        .after = was_engaged && !error ? "released" : NULL,
    };
    request_audit(request, event, error);
}

enum error handle_release_guard(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    char id[ID_BYTES_MAX];
    size_t id_size;
    enum error error = read_service_id(request, id, &id_size, NULL, message);
    if (error)
        return error;
    const struct slice service_id = {id, id_size};
    bool was_engaged = engine_is_guard_engaged(request->engine, service_id, request->now);
    error = engine_release_guard(request->engine, service_id, request->now);
    audit_release(request, "release-guard", service_id, was_engaged, error);
    if (error == ERR_SERVICE_NOT_FOUND)
        describe_unknown(id, id_size, message);
    if (error == ERR_TOO_MANY_RELEASES)
        snprintf(message, MESSAGE_BYTES,
                 "the guards of RELEASES_MAX (%d) services were released within one "
                 "lease.ttl_secs; release all guards, or try again later",
                 RELEASES_MAX);
    if (error)
        return error;
    struct json_writer w = status_begin(request, response);
    jw_close(&w, '}');
    return ERR_NONE;
}

/* A release that has come from a peer is recorded where it has released a guard. */
static void audit_peer_release(const struct request *request, struct slice service_id,
                               bool was_engaged)
{
    if (was_engaged && !engine_is_guard_engaged(request->engine, service_id, request->now))
        audit_release(request, "peer-release-guard", service_id, true, ERR_NONE);
}

enum error handle_peer_release_guard(struct request *request, struct response *response,
                                     char message[MESSAGE_BYTES])
{
    char id[ID_BYTES_MAX];
    size_t id_size;
    uint64_t clock_ms = 0;
    enum error error = read_service_id(request, id, &id_size, &clock_ms, message);
    if (error)
        return error;
    const struct slice service_id = {id, id_size};
    bool was_engaged = engine_is_guard_engaged(request->engine, service_id, request->now);
    error = engine_apply_release(request->engine, service_id, clock_ms, request->now);
    if (error)
        return error;
    audit_peer_release(request, service_id, was_engaged);
    struct json_writer w = jw_to(&response->body, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_status(&w, DIALECT_SNAKE, ERR_NONE, NULL, false);
    jw_close(&w, '}');
    return ERR_NONE;
}

/* --- settings and host ------------------------------------------------------------------------ */

enum error handle_status_config(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    const struct config *config = request->engine->config;
    struct json_writer w = status_begin(request, response);
    jw_name(&w, "settings");
    jw_open(&w, '{');
    pthread_mutex_lock(&request->engine->settings_lock);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        jw_verbatim_name(&w, slice_of(setting->key));
        jw_open(&w, '{');
        jw_name(&w, "value");
        config_write_json(&w, config, setting);
        named_string(&w, "source", config_source(config, setting));
        jw_close(&w, '}');
    }
    pthread_mutex_unlock(&request->engine->settings_lock);
    jw_close(&w, '}');
    jw_close(&w, '}');
    return ERR_NONE;
}

enum error handle_status_deployment(struct request *request, struct response *response,
                                    char message[MESSAGE_BYTES])
{
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    const struct engine *engine = request->engine;
    struct utsname host = {0};
    struct json_writer w = status_begin(request, response);
    named_string(&w, "region_id", engine->config->server.region);
    named_string(&w, "zone_id", engine->config->server.zone);
    named_string(&w, "node_id", engine->config->server.node_id);
    named_string(&w, "url", engine->url);
    named_string(&w, "artemis_version", ARTEMIS_VERSION);
    named_string(&w, "compiler", __VERSION__);
    if (uname(&host) == 0) {
        named_string(&w, "machine_name", host.nodename);
        named_string(&w, "system", host.sysname);
        named_string(&w, "kernel", host.release);
        named_string(&w, "architecture", host.machine);
    }
    named_u64(&w, "process_id", (uint64_t)getpid());
    jw_name(&w, "started");
    jw_rfc3339(&w, engine->started.wall_ms);
    jw_close(&w, '}');
    return ERR_NONE;
}
