/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes compressed bodies. Decompression never exceeds its limit, and any bytes survive
 * compression and decompression.
 */
#include "artemis-core/base/gzip.h"

#include "tests/fuzz/support/fuzz.h"

enum { LIMIT_BYTES = 100 * 1000 };

static void check_round_trip(struct slice data)
{
    struct text packed = {0};
    struct text out = {0};
    enum error error = gzip_compress(data, &packed);
    assert(!error);
    error = gzip_decompress((struct slice){packed.data, packed.size}, data.size, &out);
    assert(!error && slice_equal((struct slice){out.data, out.size}, data));
    text_free(&packed);
    text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text out = {0};
    enum error error = gzip_decompress(fuzz_slice(data, size), LIMIT_BYTES, &out);
    assert(error != ERR_NO_MEMORY && !text_failed(&out));
    assert(out.size <= LIMIT_BYTES);
    if (!error)
        check_round_trip((struct slice){out.data, out.size});
    text_free(&out);
    check_round_trip(fuzz_slice(data, size));
    return 0;
}
