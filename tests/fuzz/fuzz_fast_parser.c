/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of ordinary records against Jansson: whatever it takes, Jansson takes too, and finds
 * the same members, from which come the same instances, keys and refusals.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/support/parser_agreement.h"

enum { LIMIT = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_slice(data, size);
    hot_check_record(text);
    hot_check_body(text, true, LIMIT);
    hot_check_body(text, false, LIMIT);
    return 0;
}
