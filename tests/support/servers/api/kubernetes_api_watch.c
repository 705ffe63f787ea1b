/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/api/kubernetes_api_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

enum { BOOKMARK_MS = 300, BLOCK_BYTES = 65536 };

struct api_watch {
    struct kubernetes_api *api;
    enum kubernetes_api_kind kind;
    char selector[160]; /* "": none */
    uint64_t from;      /* the last version that was sent */
    int64_t end_ms, bookmark_ms;
    unsigned drops;
    bool has_bookmarks, is_gone, has_ended;
    char *rest; /* of the line that is being sent */
    size_t sent;
};

static char *error_line(void)
{
    json_t *event = json_pack("{s:s, s:o}", "type", "ERROR", "object",
                              api_status(410, "Expired", "too old resource version"));
    char *line = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    return line;
}

static char *bookmark_line(const struct api_watch *watch)
{
    char version[24];
    snprintf(version, sizeof version, "%llu", (unsigned long long)watch->api->revision);
    json_t *event = json_pack("{s:s, s:{s:s, s:{s:s}}}", "type", "BOOKMARK", "object", "apiVersion",
                              api_kinds[watch->kind].group, "metadata", "resourceVersion", version);
    char *line = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    return line;
}

/* The next line, or NULL: there is none yet. The lock is held. */
static char *next_line(struct api_watch *watch)
{
    const struct kubernetes_api *api = watch->api;
    if (watch->is_gone) {
        watch->has_ended = true;
        return error_line();
    }
    for (size_t i = 0; i < api->change_count; i++) {
        const struct api_change *at = &api->changes[i];
        if (at->revision <= watch->from || at->kind != watch->kind ||
            (watch->selector[0] && strcmp(watch->selector, at->labels) != 0))
            continue;
        watch->from = at->revision;
        return strdup(at->line);
    }
    if (!watch->has_bookmarks || wait_now_ms() < watch->bookmark_ms)
        return NULL;
    watch->bookmark_ms = wait_now_ms() + BOOKMARK_MS;
    watch->from = api->revision;
    return bookmark_line(watch);
}

/* Waits for a line, the end of the watch (0), or its loss (-1). The lock is held. */
static int wait_for_line(struct api_watch *watch)
{
    struct kubernetes_api *api = watch->api;
    while (!watch->rest) {
        if (api->http.is_stopping || watch->drops != api->drops)
            return -1;
        if (watch->has_ended || wait_now_ms() >= watch->end_ms)
            return 0;
        char *line = next_line(watch);
        if (!line) {
            json_api_wait_for_change(&api->http);
            continue;
        }
        assert_true(asprintf(&watch->rest, "%s\n", line) > 0);
        free(line);
        watch->sent = 0;
    }
    return 1;
}

static ssize_t read_watch(void *context, uint64_t offset, char *buffer, size_t size)
{
    struct api_watch *watch = context;
    (void)offset;
    pthread_mutex_lock(&watch->api->http.lock);
    int found = wait_for_line(watch);
    pthread_mutex_unlock(&watch->api->http.lock);
    if (found <= 0)
        return found < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    size_t rest = strlen(watch->rest + watch->sent);
    size = rest < size ? rest : size;
    memcpy(buffer, watch->rest + watch->sent, size);
    watch->sent += size;
    if (size == rest) {
        free(watch->rest);
        watch->rest = NULL;
    }
    return (ssize_t)size;
}

static void free_watch(void *context)
{
    struct api_watch *watch = context;
    free(watch->rest);
    free(watch);
}

enum MHD_Result api_respond_watch(struct kubernetes_api *api, struct MHD_Connection *connection,
                                  enum kubernetes_api_kind kind)
{
    struct api_watch *watch = calloc(1, sizeof *watch);
    const char *selector = json_api_argument(connection, "labelSelector");
    const char *from = json_api_argument(connection, "resourceVersion");
    const char *secs = json_api_argument(connection, "timeoutSeconds");
    const char *bookmarks = json_api_argument(connection, "allowWatchBookmarks");
    int64_t most_ms = secs ? strtoll(secs, NULL, 10) * 1000 : 1800000;
    assert_non_null(watch);
    watch->api = api;
    watch->kind = kind;
    watch->from = from ? strtoull(from, NULL, 10) : 0;
    watch->has_bookmarks = bookmarks && strcmp(bookmarks, "true") == 0;
    snprintf(watch->selector, sizeof watch->selector, "%s", selector ? selector : "");
    pthread_mutex_lock(&api->http.lock);
    api->watches[kind]++;
    api->watched_from[kind] = watch->from;
    if (api->watch_ms_max > 0 && most_ms > api->watch_ms_max)
        most_ms = api->watch_ms_max;
    watch->end_ms = wait_now_ms() + most_ms;
    watch->bookmark_ms = wait_now_ms() + BOOKMARK_MS;
    watch->drops = api->drops;
    watch->is_gone = watch->from < api->oldest;
    bool is_refused = watch->is_gone && !api->is_gone_event;
    pthread_cond_broadcast(&api->http.on_change);
    pthread_mutex_unlock(&api->http.lock);
    if (is_refused) {
        free(watch);
        return api_respond_status(connection, 410, "Expired");
    }
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_watch, watch, free_watch);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}
