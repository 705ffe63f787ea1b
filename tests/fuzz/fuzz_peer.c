/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of peer responses. It returns the same however the bytes are cut into pieces; each key
 * and instance is valid with a stamp in range; and of a JSON response it takes at most as many
 * records as there are objects in the lists.
 */
#include "artemis-core/json/codec_peer.h"

#include "tests/fuzz/fuzz.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = read_in_pieces(data, size, size + 1);
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
