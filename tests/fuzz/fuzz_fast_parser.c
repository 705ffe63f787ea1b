/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes fast_parser against Jansson: what fast_parser accepts, Jansson accepts too, with the same
 * members, instances, keys, errors and casing of the response.
 */
#include "tests/fuzz/support/fuzz.h"
#include "tests/support/parser_agreement.h"

enum { LIMIT = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_slice(data, size);
    agreement_check_record(text);
    agreement_check_body(text, true, LIMIT);
    agreement_check_body(text, false, LIMIT);
    return 0;
}
