/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes bodies of discovery and small documents (a version, a status). An accepted body is valid;
 * a rejected one has a message that fits a response.
 */
#include "artemis-core/json/codec.h"

#include "tests/fuzz/support/fuzz.h"

static void check_error(enum error error, const char *message)
{
    assert(error != ERR_NO_MEMORY);
    struct text response = {0};
    codec_write_error(&response, DIALECT_CAMEL, error, message);
    fuzz_check_response(&response);
}

static void read_request(struct slice body)
{
    struct discovery_request *request;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    enum error error = discovery_request_parse(body, &request, &names, message);
    if (error) {
        check_error(error, message);
        return;
    }
    assert(discovery_request_is_list(request) || discovery_request_count(request) == 1);
    for (size_t i = 0; i < discovery_request_count(request); i++) {
        struct slice id = discovery_request_config(request, i).service_id;
        assert(id.size >= 1 && id.size <= ID_BYTES_MAX);
        struct text service = {0};
        struct json_writer w = jw_to(&service, CASING_SNAKE);
        codec_write_service(&w, DIALECT_JAVA, id, NULL, 0);
        fuzz_check_response(&service);
    }
    struct lookup_choice choice = discovery_request_choice(request);
    assert(choice.strategy < LOOKUP_STRATEGIES);
    assert(choice.hash_key.size || choice.strategy != LOOKUP_CONSISTENT_HASH);
    discovery_request_free(request);
}

static void read_document(struct slice body)
{
    struct document *document;
    char message[MESSAGE_BYTES];
    enum error error = document_parse(body, &document, message);
    if (error) {
        check_error(error, message);
        return;
    }
    uint64_t version = 0;
    error = document_u64(document, "version", &version, message);
    if (error)
        check_error(error, message);
    struct slice word = {0};
    unsigned statuses = 0;
    error = document_text(document, "service_id", &word, message);
    if (!error)
        error = discovery_statuses(word, &statuses, message);
    if (error)
        check_error(error, message);
    document_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_request(fuzz_slice(data, size));
    read_document(fuzz_slice(data, size));
    return 0;
}
