/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses of a server, as the commands print them. The first byte selects the HTTP status, the
 * second the width of the terminal; the rest is the body, which is also every text of the header.
 *
 * Whatever a server sends, only valid UTF-8 without control characters reaches the terminal, and
 * JSON stays the same JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis/call/call_response.h"
#include "artemis/output/view.h"
#include "artemis/output/view_cluster.h"
#include "artemis/output/view_leases.h"
#include "artemis/terminal/terminal_text.h"
#include "tests/fuzz/fuzz.h"

enum { STATUSES = 8 };

static const int statuses[STATUSES] = {200, 200, 200, 301, 400, 404, 429, 503};

/* --- the terminal ----------------------------------------------------------------------------- */

static FILE *out;
static char *printed;
static size_t printed_size;

static void begin(void)
{
    out = open_memstream(&printed, &printed_size);
    assert(out);
}

static void end(void)
{
    fclose(out);
    struct slice text = {printed, printed_size};
    assert(text_is_utf8(text));
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        assert(c == '\n' || (c >= 0x20 && c != 0x7f));
        assert(c != 0xc2 || (unsigned char)text.data[i + 1] >= 0xa0); /* C1 controls */
    }
    free(printed);
}

/* --- views ------------------------------------------------------------------------------------ */

static void print_views(const json_t *root, const struct call_response *response, size_t columns)
{
    char text[VIEW_GUARD_MAX];
    const struct service_view view = {
        .service = "s", .all = columns % 2, .wide = columns % 3 == 0, .columns_max = columns};
    begin();
    enum error error = view_services(root, out, columns);
    assert(!error);
    end();
    begin();
    view_service(root, &view, out);
    end();
    begin();
    view_status(root, response, root, out);
    end();
    begin();
    view_settings(root, out, columns);
    end();
    begin();
    view_cluster(root, out, columns);
    end();
    begin();
    view_leases(root, out, columns);
    end();
    begin();
    view_guards(root, columns % 2 ? "s" : NULL, out, columns);
    end();
    begin();
    terminal_text_print(out, view_guard_summary(root, text), 0);
    end();
    (void)view_cluster_is_healthy(root);
    (void)view_guard_is_engaged(root, "s");
    (void)view_guard_is_engaged(root, NULL);
}

static void print_json(const json_t *root, struct slice body)
{
    begin();
    terminal_text_print_json(out, body.data, body.size);
    fflush(out);
    json_t *again = json_loadb(printed, printed_size, JSON_ALLOW_NUL, NULL);
    assert(json_equal(root, again));
    json_decref(again);
    end();
}

/* --- responses -------------------------------------------------------------------------------- */

static void set_header(char to[CALL_HEADER_MAX], struct slice body)
{
    size_t size = body.size < CALL_HEADER_MAX - 1 ? body.size : CALL_HEADER_MAX - 1;
    if (size)
        memcpy(to, body.data, size);
    to[size] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = fuzz_slice(data + 2, size - 2);
    struct call_response response = {.transfer =
                                         data[0] % 16 == 15 ? TRANSFER_INTERRUPTED : TRANSFER_DONE,
                                     .http_status = statuses[data[0] % STATUSES],
                                     .retry_after_secs = data[1]};
    struct call_outcome outcome = {0};
    json_t *root = NULL;
    set_header(response.location, body);
    set_header(response.node, body);
    set_header(response.cluster, body);
    set_header(response.state, body);
    set_header(response.detail, body);
    text_append_slice(&response.body, body);
    call_response_evaluate(&response, "http://127.0.0.1:1", &outcome, &root);
    assert((outcome.exit_code == EXIT_DONE) == !outcome.message[0]);
    begin();
    terminal_text_print_error(out, outcome.hint, "%s", outcome.message);
    end();
    if (root) {
        call_response_require(root, "service.instances", "http://127.0.0.1:1", &outcome);
        print_views(root, &response, data[1]);
        print_json(root, body);
    }
    json_decref(root);
    text_free(&response.body);
    return 0;
}
