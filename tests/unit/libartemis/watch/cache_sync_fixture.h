/* SPDX-License-Identifier: Apache-2.0
 *
 * cache_sync_fixture - one service cache with a watch, and a server that a test plays.
 *
 * Messages and responses are JSON text; queued changes are logged as "+1:80" (instance and port),
 * "~1:81", "-1:81".
 */
#pragma once

#include "libartemis/watch/cache_sync.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct cache_sync sync;
    struct service_cache *cache;
    struct artemis_watch *watch;
    struct sync_action action;
    uint64_t now_ms;
    const char *run; /* header of the responses */
    char log[1024];
};

static inline int start_with(void **state, unsigned flags, const char *id)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    cache_sync_init(&fixture->sync);
    fixture->sync.poll_ms = 5000;
    fixture->now_ms = 1000;
    fixture->run = "";
    assert_int_equal(cache_sync_find_or_create(&fixture->sync, id, &fixture->cache), ERR_NONE);
    fixture->watch = calloc(1, sizeof *fixture->watch);
    assert_non_null(fixture->watch);
    *fixture->watch = (struct artemis_watch){.flags = flags, .refs = 1};
    assert_int_equal(service_cache_add_watch(fixture->cache, fixture->watch, 0), ERR_NONE);
    *state = fixture;
    return 0;
}

static inline int start(void **state)
{
    return start_with(state, 0, "s");
}

static inline int start_current(void **state)
{
    return start_with(state, ARTEMIS_WATCH_CURRENT, "s");
}

static inline int start_everything(void **state)
{
    return start_with(state, 0, "*");
}

static inline int stop(void **state)
{
    struct fixture *fixture = *state;
    text_free(&fixture->action.message);
    text_free(&fixture->action.path);
    cache_sync_free(&fixture->sync);
    free(fixture);
    return 0;
}

/* --- messages and responses ------------------------------------------------------------------- */

static inline bool next(struct fixture *fixture, uint64_t *at_ms)
{
    text_free(&fixture->action.message);
    text_free(&fixture->action.path);
    return cache_sync_next(&fixture->sync, fixture->now_ms, &fixture->action, at_ms);
}

static inline void assert_sends(struct fixture *fixture, const char *expected)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_string_equal(text_string(&fixture->action.message), expected);
}

static inline void assert_fetches(struct fixture *fixture, const char *path)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_int_equal(fixture->action.message.size, 0);
    assert_string_equal(text_string(&fixture->action.path), path);
}

static inline void assert_idle_until(struct fixture *fixture, uint64_t expected_ms)
{
    uint64_t at_ms = 0;
    assert_false(next(fixture, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

#define SUBSCRIBE               "{\"type\":\"subscribe\",\"service_id\":\"s\"}"
#define PATH                    "/api/discovery/service?service_id=s&status=all&delta=1"
#define PATH_FROM(version, run) PATH "&version=" version "&run=" run

static inline void receive(struct fixture *fixture, const char *json)
{
    struct push_message message;
    assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
    cache_sync_push(&fixture->sync, &message, fixture->now_ms, 0);
}

static inline void subscribed(struct fixture *fixture, const char *id, int version,
                              const char *epoch)
{
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\":\"subscribed\",\"service_id\":\"%s\",\"version\":%d,\"run\":\"%s\"}", id,
             version, epoch);
    receive(fixture, json);
}

/* Writes "1:80 2:81" as instances of the service; a `form` wraps each in a change. */
static inline void write_list(char *out, size_t size, const char *list, const char *form)
{
    size_t used = 0;
    out[0] = '\0';
    for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        char instance[256];
        const char *type = *at == '+' ? "new" : *at == '~' ? "change" : "delete";
        at += *at == '+' || *at == '~' || *at == '-';
        snprintf(instance, sizeof instance,
                 "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
                 "\"instance_id\":\"%c\",\"ip\":\"h\",\"port\":%ld}",
                 at[0], strtol(at + 2, NULL, 10));
        used += (size_t)snprintf(out + used, size - used, "%s", used ? "," : "");
        used += (size_t)snprintf(out + used, size - used, "%s", *form ? "{\"instance\":" : "");
        used += (size_t)snprintf(out + used, size - used, "%s", instance);
        if (*form)
            used += (size_t)snprintf(out + used, size - used, ",\"change_type\":\"%s\"}", type);
    }
}

static inline void pushed(struct fixture *fixture, int version, const char *list)
{
    char changes[2048];
    char json[2400];
    write_list(changes, sizeof changes, list, "change");
    snprintf(json, sizeof json,
             "{\"type\":\"service_change\",\"service_id\":\"s\",\"version\":%d,\"changes\":[%s]}",
             version, changes);
    receive(fixture, json);
}

static inline void reloaded(struct fixture *fixture, const char *id, int version, const char *list,
                            const char *more)
{
    char changes[2048];
    char json[2600];
    write_list(changes, sizeof changes, list, "change");
    snprintf(json, sizeof json,
             "{\"type\":\"service_change\",\"service_id\":\"%s\",\"version\":%d,%s"
             "\"changes\":[{\"instance\":{\"instance_id\":\"reload\"},\"change_type\":\"reload\"}"
             "%s%s]}",
             id, version, more, *changes ? "," : "", changes);
    receive(fixture, json);
}

/* The response to a fetch: `json` after the status. */
static inline void responded(struct fixture *fixture, const char *json)
{
    char whole[2600];
    struct wire_instances read;
    struct wire_reader reader;
    snprintf(whole, sizeof whole, "{\"response_status\":{\"error_code\":\"success\"},%s}", json);
    wire_reader_start_instances(&reader, &read);
    assert_int_equal(wire_reader_feed(&reader, slice_of(whole)), ERR_NONE);
    assert_int_equal(wire_reader_end(&reader), ERR_NONE);
    wire_reader_free(&reader);
    cache_sync_fetched(&fixture->sync, fixture->action.id, fixture->action.generation, &read,
                       &(struct fetched_header){.etag = "\"tag\"", .run = fixture->run},
                       fixture->now_ms, 0);
    wire_free_instances(&read);
}

static inline void fetched(struct fixture *fixture, int version, const char *list)
{
    char instances[2048];
    char json[2400];
    write_list(instances, sizeof instances, list, "");
    snprintf(json, sizeof json,
             "\"version\":%d,\"service\":{\"service_id\":\"s\",\"instances\":[%s]}", version,
             instances);
    responded(fixture, json);
}

static inline void fetched_delta(struct fixture *fixture, int version, const char *list)
{
    char changes[2048];
    char json[2400];
    write_list(changes, sizeof changes, list, "change");
    snprintf(json, sizeof json, "\"version\":%d,\"changes\":[%s]", version, changes);
    responded(fixture, json);
}

static inline void assert_logged(struct fixture *fixture, const char *expected)
{
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    struct queued_callback *callback;
    size_t size = 0;
    fixture->log[0] = '\0';
    while ((callback = callback_queue_take(&fixture->sync.callbacks))) {
        const struct shared_instance *instance = callback->now ? callback->now : callback->before;
        size += (size_t)snprintf(fixture->log + size, sizeof fixture->log - size, "%s%c%s:%u",
                                 size ? " " : "", signs[callback->type], instance->view.instance_id,
                                 instance->view.port);
        queued_callback_free(callback);
    }
    assert_string_equal(fixture->log, expected);
}

static inline void assert_fresh(struct fixture *fixture, bool fresh, size_t count)
{
    assert_int_equal(fixture->cache->fresh, fresh);
    assert_int_equal(fixture->cache->instances.count, count);
}

/* Connects, subscribes and fetches. */
static inline void begin(struct fixture *fixture, const char *list)
{
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    fetched(fixture, 8, list);
    assert_fresh(fixture, true, (strlen(list) + 1) / 5);
}
