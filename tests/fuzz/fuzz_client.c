/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server sends to libartemis: responses, in any pieces, the opening handshake, and pushes
 * through the reader of frames into the service caches and the topics. Whatever arrives, reading in
 * pieces gives the same as reading whole, the instances of a cache are sorted and distinct, the
 * events of a publisher come in order and once, and nothing is left in memory. URLs of nodes are
 * such as libartemis accepts; a list of nodes without the server that sent it changes nothing, a
 * server with https:// adds none with http://, and the servers of the options stay.
 *
 * The first byte selects the reader, the second the size of the pieces. For a client, each push is
 * preceded by two bytes with its size; every fourth one is the response to a fetch instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libartemis/base/url.h"
#include "libartemis/watch/cache_sync.h"
#include "libartemis/watch/topic_sync.h"
#include "libartemis/wire/handshake.h"
#include "libartemis/wire/node_list.h"
#include "libartemis/wire/push_frames.h"
#include "tests/fuzz/support/fuzz.h"

enum { READERS = 7, RESPONSE_EVERY = 4, PUBLISHERS_CHECKED = 8, OPTIONS = 2 };

/* --- responses -------------------------------------------------------------------------------- */

static enum error feed_pieces(struct wire_reader *reader, struct slice body, size_t step)
{
    enum error error = ERR_NONE;
    for (size_t at = 0; at < body.size && !error; at += step) {
        size_t size = body.size - at < step ? body.size - at : step;
        error = wire_reader_feed(reader, (struct slice){body.data + at, size});
    }
    if (!error)
        error = wire_reader_end(reader);
    wire_reader_free(reader);
    return error;
}

static void read_result(struct slice body, size_t step)
{
    struct wire_result whole;
    struct wire_result pieces;
    struct wire_reader reader;
    wire_reader_start_result(&reader, &whole);
    enum error error = feed_pieces(&reader, body, body.size);
    wire_reader_start_result(&reader, &pieces);
    assert(feed_pieces(&reader, body, step) == error);
    if (!error) {
        assert(whole.done == pieces.done && whole.failure_count == pieces.failure_count);
        assert(strcmp(whole.message, pieces.message) == 0);
    }
    wire_free_result(&whole);
    wire_free_result(&pieces);
}

static void read_instances(struct slice body, size_t step)
{
    struct wire_instances whole;
    struct wire_instances pieces;
    struct wire_reader reader;
    wire_reader_start_instances(&reader, &whole);
    enum error error = feed_pieces(&reader, body, body.size);
    wire_reader_start_instances(&reader, &pieces);
    assert(feed_pieces(&reader, body, step) == error);
    if (!error) {
        assert(whole.count == pieces.count && whole.skipped == pieces.skipped);
        assert(whole.revision == pieces.revision && whole.is_delta == pieces.is_delta);
        assert(whole.change_count == pieces.change_count);
        for (size_t i = 0; i < whole.count; i++)
            assert(shared_instance_equal(whole.instances[i], pieces.instances[i]));
    }
    wire_free_instances(&whole);
    wire_free_instances(&pieces);
}

static void read_published(struct slice body, size_t step)
{
    struct wire_result whole;
    struct wire_result pieces;
    struct artemis_published published;
    struct artemis_published again;
    struct wire_reader reader;
    wire_reader_start_published(&reader, &whole, &published);
    enum error error = feed_pieces(&reader, body, body.size);
    wire_reader_start_published(&reader, &pieces, &again);
    assert(feed_pieces(&reader, body, step) == error);
    if (!error)
        assert(published.number == again.number && strcmp(published.node_id, again.node_id) == 0 &&
               strcmp(published.run, again.run) == 0);
    wire_free_result(&whole);
    wire_free_result(&pieces);
}

/* --- the nodes of the cluster ----------------------------------------------------------------- */

static const char *const options[OPTIONS] = {"http://127.0.0.1:1", "https://10.0.0.1:2"};

static void check_url(const char *text, bool is_loopback)
{
    char *url = NULL;
    bool is_loopback_again = !is_loopback;
    const char *fault = NULL;
    enum error error = url_read(text, &url, &is_loopback_again, &fault);
    assert(!error && strcmp(url, text) == 0 && is_loopback == is_loopback_again);
    free(url);
}

static void check_nodes(const struct server_nodes *nodes)
{
    assert(nodes->count <= SERVER_NODES_MAX);
    for (size_t i = 0; i < nodes->count; i++)
        check_url(nodes->items[i].url, nodes->items[i].is_loopback);
}

static bool has(const struct server_nodes *nodes, const char *url)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (strcmp(nodes->items[i].url, url) == 0)
            return true;
    return false;
}

static void check_update(const struct server_nodes *nodes, size_t source)
{
    struct node_urls urls = {0};
    const bool is_busy[SERVER_NUMBERS_MAX] = {false};
    size_t added = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        char *url = strdup(options[i]);
        assert(url);
        node_urls_add_option(&urls, url, i == 0);
    }
    bool is_used = node_urls_update(&urls, source, nodes, is_busy, &added);
    assert(urls.count <= SERVER_NUMBERS_MAX);
    if (!is_used)
        assert(urls.count == OPTIONS);
    else
        assert(has(nodes, options[source]) && urls.count == OPTIONS + added);
    for (size_t i = 0; i < OPTIONS; i++)
        assert(urls.each[i].use != SERVER_GONE && strcmp(urls.each[i].url, options[i]) == 0);
    bool is_secure = strncmp(options[source], "https://", 8) == 0;
    for (size_t i = OPTIONS; i < urls.count; i++)
        assert(has(nodes, urls.each[i].url) &&
               (!is_secure || strncmp(urls.each[i].url, "https://", 8) == 0));
    node_urls_free(&urls);
}

static void read_nodes(struct slice body, size_t step)
{
    struct node_list whole;
    struct node_list pieces;
    struct wire_reader reader;
    node_list_start(&reader, &whole);
    enum error error = feed_pieces(&reader, body, body.size);
    node_list_start(&reader, &pieces);
    assert(feed_pieces(&reader, body, step) == error);
    check_nodes(&whole.nodes);
    if (!error) {
        assert(whole.result.done == pieces.result.done);
        assert(memcmp(&whole.nodes, &pieces.nodes, sizeof(whole.nodes)) == 0);
        check_update(&whole.nodes, step % OPTIONS);
    }
    wire_free_result(&whole.result);
    wire_free_result(&pieces.result);
}

/* --- clients --------------------------------------------------------------------------------- */

struct client {
    struct cache_sync sync;
    struct topic_sync topics;
    struct event_item_seen {
        char node_id[EVENT_NODE_ID_BYTES];
        char run[EVENT_RUN_BYTES];
        uint64_t number;
    } seen[PUBLISHERS_CHECKED]; /* the last event of the first publishers of the topic */
    struct slice input;         /* of push_frames */
    size_t step;
    uint64_t generation; /* of the last fetch */
    char id[ID_BYTES_MAX + 1];
    uint64_t now_ms;
};

static void check_caches(const struct client *client)
{
    const struct service_cache *cache;
    LIST_FOREACH (cache, &client->sync.caches, link) {
        const struct instance_set *set = &cache->instances;
        for (size_t i = 1; i < set->count; i++)
            assert(shared_instance_compare(set->each[i - 1], set->each[i]) < 0);
    }
}

/* The events of a publisher come in order and once. */
static void check_event(struct client *client, const struct artemis_event *event)
{
    for (size_t i = 0; i < PUBLISHERS_CHECKED; i++) {
        struct event_item_seen *seen = &client->seen[i];
        bool is_new = seen->number == 0;
        if (!is_new &&
            (strcmp(seen->node_id, event->node_id) != 0 || strcmp(seen->run, event->run) != 0))
            continue;
        assert(event->number > seen->number);
        assert(strlen(event->payload) == event->payload_size);
        snprintf(seen->node_id, sizeof seen->node_id, "%s", event->node_id);
        snprintf(seen->run, sizeof seen->run, "%s", event->run);
        seen->number = event->number;
        return;
    }
}

static void act(struct client *client)
{
    struct sync_action action;
    struct text message;
    uint64_t at_ms;
    while (topic_sync_next(&client->topics, client->now_ms, &message, &at_ms))
        text_free(&message);
    while (cache_sync_next(&client->sync, client->now_ms, &action, &at_ms)) {
        if (action.path.size > 0) {
            client->generation = action.generation;
            memcpy(client->id, action.id, sizeof client->id);
        }
        text_free(&action.message);
        text_free(&action.path);
    }
    struct queued_callback *callback;
    while ((callback = callback_queue_take(&client->sync.callbacks))) {
        if (callback->topic_event)
            check_event(client, &callback->topic_event->view);
        queued_callback_free(callback);
    }
    client->now_ms += 1000;
}

static void on_push(void *context, struct slice text)
{
    struct client *client = context;
    struct push_message message;
    if (!wire_read_push(text, &message)) {
        topic_sync_push(&client->topics, &message, client->now_ms);
        cache_sync_push(&client->sync, &message, client->now_ms, 0);
    }
    check_caches(client);
    act(client);
}

static void on_response(struct client *client, struct slice body)
{
    struct wire_instances instances;
    struct wire_reader reader;
    wire_reader_start_instances(&reader, &instances);
    if (feed_pieces(&reader, body, body.size))
        cache_sync_refused(&client->sync, client->id, client->generation, "", client->now_ms);
    else
        cache_sync_fetched(&client->sync, client->id, client->generation, &instances,
                           &(struct fetched_header){.etag = "", .run = ""}, client->now_ms, 0);
    wire_free_instances(&instances);
    check_caches(client);
    act(client);
}

static void start_client(struct client *client, struct artemis_watch *watch)
{
    struct service_cache *cache;
    cache_sync_init(&client->sync);
    client->sync.poll_ms = 1000;
    for (int i = 0; i < 2; i++) {
        if (cache_sync_find_or_create(&client->sync, i ? "*" : "s", &cache))
            abort();
        cache->pins++;
    }
    if (service_cache_add_watch(cache, watch, 0))
        abort();
    struct artemis_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        abort();
    subscription->refs = 1;
    memcpy(subscription->name, "t", 2);
    topic_sync_init(&client->topics, &client->sync.callbacks);
    if (topic_sync_add(&client->topics, subscription))
        abort();
    cache_sync_connected(&client->sync, false, client->now_ms);
    topic_sync_connected(&client->topics, false);
    act(client);
}

static void end_client(struct client *client)
{
    cache_sync_disconnected(&client->sync);
    topic_sync_disconnected(&client->topics);
    assert(client->sync.deferred == 0 && client->sync.fetches == 0);
    topic_sync_free(&client->topics);
    cache_sync_free(&client->sync);
}

static void run_session(struct slice body, size_t step)
{
    struct client client = {.step = step, .now_ms = 1000};
    struct artemis_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        abort();
    watch->flags = ARTEMIS_WATCH_CURRENT;
    watch->refs = 1;
    start_client(&client, watch);
    for (size_t i = 1; body.size >= 2; i++) {
        size_t size = (size_t)(uint8_t)body.data[0] << 8 | (uint8_t)body.data[1];
        if (size > body.size - 2)
            size = body.size - 2;
        struct slice text = {body.data + 2, size};
        if (i % RESPONSE_EVERY)
            on_push(&client, text);
        else
            on_response(&client, text);
        body.data += 2 + size;
        body.size -= 2 + size;
    }
    end_client(&client);
}

/* --- frames ----------------------------------------------------------------------------------- */

static ssize_t receive(void *context, uint8_t *to, size_t size)
{
    struct client *client = context;
    size_t got = client->input.size < client->step ? client->input.size : client->step;
    got = got < size ? got : size;
    if (got > 0)
        memcpy(to, client->input.data, got);
    client->input.data += got;
    client->input.size -= got;
    return (ssize_t)got;
}

static ssize_t transmit(void *context, const uint8_t *from, size_t size)
{
    (void)context;
    (void)from;
    return (ssize_t)size;
}

static uint64_t stopped_clock(void)
{
    return 1;
}

static void run_frames(struct slice body, size_t step)
{
    struct client client = {.step = step, .now_ms = 1000, .input = body};
    struct artemis_watch *watch = calloc(1, sizeof *watch);
    const struct push_frames_io io = {.receive = receive,
                                      .transmit = transmit,
                                      .on_message = on_push,
                                      .clock_ms = stopped_clock,
                                      .random = stopped_clock,
                                      .context = &client};
    struct push_frames *frames;
    if (!watch || push_frames_create(&io, &frames))
        abort();
    watch->refs = 1;
    start_client(&client, watch);
    bool open = true;
    for (size_t turn = 0; open && client.input.size > 0 && turn < 1000; turn++)
        open = push_frames_read(frames) && push_frames_write(frames);
    push_frames_free(frames);
    end_client(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = fuzz_slice(data + 2, size - 2);
    size_t step = (size_t)data[1] + 1;
    struct handshake_response response;
    switch (data[0] % READERS) {
    case 0:
        read_result(body, step);
        break;
    case 1:
        read_instances(body, step);
        break;
    case 2:
        run_session(body, step);
        break;
    case 3:
        run_frames(body, step);
        break;
    case 5:
        read_published(body, step);
        break;
    case 6:
        read_nodes(body, step);
        break;
    default:
        if (handshake_read(body, "dGhlIHNhbXBsZSBub25jZQ==", &response) == HANDSHAKE_OPEN)
            assert(response.size_bytes <= body.size && response.status == 101);
        break;
    }
    return 0;
}
