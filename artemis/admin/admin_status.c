/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/admin/admin_status.h"

#include <stdlib.h>
#include <unistd.h>

static void string(struct json_writer *w, const char *name, const char *value)
{
    jw_name(w, name);
    jw_foreign(w, value);
}

static void number(struct json_writer *w, const char *name, uint64_t value)
{
    jw_name(w, name);
    jw_u64(w, value);
}

static void boolean(struct json_writer *w, const char *name, bool value)
{
    jw_name(w, name);
    jw_bool(w, value);
}

/* --- status ----------------------------------------------------------------------------------- */

static void write_storage(struct json_writer *w, struct engine *engine)
{
    struct storage_status status;
    if (!engine->storage) {
        string(w, "storage", "none");
        return;
    }
    storage_status(engine->storage, &status);
    string(w, "storage", status.up ? "up" : "failing");
    if (!status.up)
        string(w, "storage_problem", status.problem);
    number(w, "unstored", status.unstored);
}

static void write_audit(struct json_writer *w, struct engine *engine)
{
    struct audit_stats stats;
    audit_stats(engine->audit, &stats);
    const char *word = stats.failing ? "failing" : "up";
    string(w, "audit", stats.has_file ? word : "log only");
    number(w, "audit_dropped", stats.dropped);
}

static void write_registry(struct json_writer *w, struct engine *engine)
{
    struct registry_stats stats;
    registry_stats(engine->registry, &stats);
    number(w, "services", stats.services);
    number(w, "instances", stats.instances);
    boolean(w, "guard_engaged", stats.node_guard.state == GUARD_ENGAGED);
    number(w, "guarded_services", stats.engaged_services);
    number(w, "guarded_leases", stats.guarded);
}

/* MEMBERS_MAX elements, or NULL. */
static struct peer_status *copy_peers(struct engine *engine, size_t *count)
{
    struct peer_status *peers = calloc(MEMBERS_MAX, sizeof(*peers));
    *count = peers ? engine_peers(engine, peers) : 0;
    return peers;
}

static void write_peer_counts(struct json_writer *w, struct engine *engine)
{
    size_t count;
    size_t up = 0;
    struct peer_status *peers = copy_peers(engine, &count);
    for (size_t i = 0; i < count; i++)
        up += peers[i].view.health == PEER_UP;
    free(peers);
    number(w, "peers", count);
    number(w, "peers_up", up);
}

void admin_status_write(struct json_writer *w, struct engine *engine, struct web *web,
                        struct moment now)
{
    const struct config *config = engine->config;
    struct web_load load;
    web_load(web, &load);
    string(w, "node_id", config->server.node_id);
    string(w, "cluster_id", config->cluster.cluster_id);
    string(w, "version", ARTEMIS_VERSION);
    string(w, "url", engine->url);
    number(w, "process_id", (uint64_t)getpid());
    number(w, "uptime_secs", (now.mono_ms - engine->started.mono_ms) / 1000);
    string(w, "state", engine_state_word(engine_state(engine)));
    boolean(w, "drained", engine_is_drained(engine));
    write_registry(w, engine);
    write_peer_counts(w, engine);
    number(w, "connections", load.open);
    number(w, "connections_busy", load.busy);
    number(w, "connections_limit", load.limit);
    write_storage(w, engine);
    write_audit(w, engine);
}

/* --- details ---------------------------------------------------------------------------------- */

static void write_settings(struct json_writer *w, struct engine *engine)
{
    jw_name(w, "settings");
    jw_open(w, '{');
    pthread_mutex_lock(&engine->settings_lock);
    for (size_t i = 0; i < config_setting_count; i++) {
        jw_verbatim_name(w, slice_of(config_settings[i].key));
        config_write_json(w, engine->config, &config_settings[i]);
    }
    pthread_mutex_unlock(&engine->settings_lock);
    jw_close(w, '}');
}

static void write_peer(struct json_writer *w, const struct peer_status *peer)
{
    jw_open(w, '{');
    string(w, "url", peer->url);
    string(w, "node_id", peer->node_id);
    string(w, "health", peer_health_word(&peer->view));
    boolean(w, "ready", peer->view.is_ready);
    number(w, "backlog", peer->view.backlog);
    number(w, "oldest_ms", peer->view.oldest_ms);
    number(w, "failures", peer->view.failures);
    string(w, "last_error", peer->last_error);
    jw_close(w, '}');
}

static void write_peers(struct json_writer *w, struct engine *engine)
{
    size_t count;
    struct peer_status *peers = copy_peers(engine, &count);
    jw_name(w, "peer_list");
    jw_open(w, '[');
    for (size_t i = 0; i < count; i++)
        write_peer(w, &peers[i]);
    jw_close(w, ']');
    free(peers);
}

static enum error write_services(struct json_writer *w, struct engine *engine)
{
    struct registry_cursor cursor = {0};
    struct registry_members members;
    char buffer[ID_BYTES_MAX];
    struct slice id;
    enum error error;
    uint64_t count = 0;
    jw_name(w, "service_list");
    jw_open(w, '{');
    while (!(error = registry_next_service(engine->registry, &cursor, buffer, &id, &members)) &&
           members.count > 0) {
        if (count++ < ADMIN_SERVICES_MAX) {
            jw_verbatim_name(w, id);
            jw_u64(w, members.count);
        }
        registry_members_free(&members);
    }
    jw_close(w, '}');
    number(w, "services_left_out", count > ADMIN_SERVICES_MAX ? count - ADMIN_SERVICES_MAX : 0);
    return error;
}

static void write_metrics(struct json_writer *w, struct web *web, struct moment now)
{
    struct text page = {0};
    web_write_metrics(web, now, &page);
    string(w, "metrics", text_string(&page));
    text_free(&page);
}

enum error admin_status_write_details(struct json_writer *w, struct engine *engine, struct web *web,
                                      struct moment now)
{
    write_settings(w, engine);
    write_peers(w, engine);
    enum error error = write_services(w, engine);
    write_metrics(w, web, now);
    return error;
}
