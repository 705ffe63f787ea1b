/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of peer responses. It returns the same however the bytes are cut into pieces; each key
 * and instance is valid with a stamp in range; and of a JSON response it takes at most as many
 * records as there are objects in the lists.
 *
 * The same bytes as a message with events, of a peer and a client: what is accepted is within the
 * limits, is the same when it is written and read again, and is valid JSON for subscribers. A hub
 * admits each number once, and upwards.
 */
#include "artemis-core/json/codec_peer.h"

#include <string.h>

#include "artemis-core/model/topic_name.h"
#include "artemis-server/events/event_hub.h"
#include "artemis-web/push/messages.h"
#include "tests/fuzz/support/fuzz.h"

/* The outcome of one reading, to compare two of them. */
struct outcome {
    uint64_t records[PEER_LISTS];
    uint64_t numbers, sum;
    uint64_t invalid;
    enum error error;
    bool ended, complete;
};

static void on_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct outcome *outcome = context;
    assert(list < PEER_LISTS && list != PEER_LIST_NUMBERS);
    assert((record->instance != NULL) == (list == PEER_LIST_INSTANCES));
    struct slice key = wire_record_key(record);
    assert(key.size > 0 && record->stamp.hlc <= HLC_MAX);
    assert(!record->stamp.hlc || record->stamp.node_id.size);
    outcome->records[list]++;
    for (size_t i = 0; i < key.size; i++)
        outcome->sum = outcome->sum * 31 + (unsigned char)key.data[i];
    outcome->sum += record->stamp.hlc + record->age_ms + record->deleted;
}

static void on_number(void *context, uint64_t number)
{
    struct outcome *outcome = context;
    outcome->numbers++;
    outcome->sum = outcome->sum * 31 + number;
}

static struct outcome read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct outcome outcome = {0};
    struct peer_reader *reader = NULL;
    enum error error = peer_reader_create(on_record, on_number, &outcome, &reader);
    assert(!error);
    for (size_t at = 0; at < size && !outcome.error; at += piece)
        outcome.error =
            peer_reader_feed(reader, fuzz_slice(data + at, size - at < piece ? size - at : piece));
    outcome.ended = peer_reader_ended(reader);
    outcome.complete = peer_reader_complete(reader);
    outcome.invalid = peer_reader_invalid(reader);
    peer_reader_free(reader);
    return outcome;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    assert(a->error == b->error && a->ended == b->ended && a->complete == b->complete);
    assert(a->numbers == b->numbers && a->sum == b->sum && a->invalid == b->invalid);
    for (int list = 0; list < PEER_LISTS; list++)
        assert(a->records[list] == b->records[list]);
}

/* --- events ----------------------------------------------------------------------------------- */

static struct event_hub hub; /* of this node */
static struct moment now;

static void ignore(void *context)
{
    (void)context;
}

static void start_hub(void)
{
    event_hub_init(&hub, "self", "0000000000000001");
    event_hub_set_local(&hub, ignore, NULL);
    atomic_store(&hub.subscriptions, 1);
}

static void check_item(const struct event_item *item)
{
    assert(topic_name_is_valid(item->topic));
    assert(item->payload.size > 0 && item->payload.size <= EVENT_PAYLOAD_BYTES_MAX);
    assert(text_is_utf8(item->payload));
}

static bool is_same(const struct event_item *a, const struct event_item *b)
{
    return a->number == b->number && a->wall_ms == b->wall_ms && slice_equal(a->topic, b->topic) &&
           slice_equal(a->payload, b->payload);
}

/* Writes the events as a node sends them, and reads them again. */
static void check_written(const struct event_message *events)
{
    struct text body = {0};
    char message[MESSAGE_BYTES];
    struct event_message *again = NULL;
    struct json_writer w = jw_to(&body, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "run");
    jw_text(&w, event_message_run(events));
    jw_name(&w, "events");
    jw_open(&w, '[');
    for (size_t i = 0; i < event_message_count(events); i++) {
        struct event_item item = event_message_item(events, i);
        codec_write_peer_event(&w, &item);
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    enum error error =
        event_message_read_peer((struct slice){body.data, body.size}, &again, message);
    assert(!error && event_message_count(again) == event_message_count(events));
    for (size_t i = 0; i < event_message_count(events); i++) {
        struct event_item item = event_message_item(events, i);
        struct event_item read = event_message_item(again, i);
        assert(is_same(&item, &read));
    }
    event_message_free(again);
    text_free(&body);
}

/* What a subscriber gets is one JSON object. */
static void check_pushed(const struct event *event)
{
    struct text pushed = {0};
    struct document *document;
    char message[MESSAGE_BYTES];
    message_event(&pushed, event);
    enum error error = document_parse((struct slice){pushed.data, pushed.size}, &document, message);
    assert(!error);
    document_free(document);
    text_free(&pushed);
}

static void check_received(const struct event_message *events)
{
    static uint64_t last;
    static char last_run[EVENT_RUN_BYTES];
    struct event *event;
    now.mono_ms++;
    enum error error = event_hub_receive(&hub, SLICE("peer"), events, now);
    assert(!error);
    while (event_hub_take_local(&hub, &event, 1)) {
        bool is_same_run = slice_equal(slice_of(last_run), event->run);
        assert(!is_same_run || event->number > last);
        last = event->number;
        memcpy(last_run, event->run.data, event->run.size);
        check_pushed(event);
        event_unref(event);
    }
}

static void check_peer_events(struct slice body)
{
    char message[MESSAGE_BYTES] = "";
    struct event_message *events = NULL;
    if (event_message_read_peer(body, &events, message)) {
        assert(message[0]);
        return;
    }
    assert(event_message_count(events) <= EVENTS_PER_MESSAGE_MAX);
    for (size_t i = 0; i < event_message_count(events); i++) {
        struct event_item item = event_message_item(events, i);
        assert(item.number > 0);
        check_item(&item);
    }
    check_written(events);
    check_received(events);
    event_message_free(events);
}

static void check_published_event(struct slice body)
{
    char message[MESSAGE_BYTES] = "";
    struct event_message *events = NULL;
    if (event_message_read_published(body, &events, message)) {
        assert(message[0]);
        return;
    }
    struct event_item item = event_message_item(events, 0);
    check_item(&item);
    event_message_free(events);
}

static void check_events(struct slice body)
{
    if (!hub.node_id.size)
        start_hub();
    check_peer_events(body);
    check_published_event(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = read_in_pieces(data, size, size + 1);
    check_events(fuzz_slice(data, size));
    struct outcome bytes = read_in_pieces(data, size, 1);
    struct outcome pieces = read_in_pieces(data, size, 1 + (size ? data[0] % 13 : 0));
    check_same(&whole, &bytes);
    check_same(&whole, &pieces);
    json_error_t problem;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &problem);
    if (json_is_object(root) && !whole.error) {
        assert(whole.ended);
        const json_t *complete = json_object_get(root, "complete");
        assert(!whole.complete || json_is_true(complete));
    }
    json_decref(root);
    return 0;
}
