/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes settings files. Each value is well-formed, and a rejected file has a message that begins
 * with the name of the file.
 */
#include "artemis-core/config/toml.h"

#include <string.h>

#include "tests/fuzz/support/fuzz.h"

enum { MESSAGE_BYTES_MAX = 256 };

static enum error check_leaf(void *context, const char *key, const struct toml_value *value,
                             uint32_t line)
{
    size_t *left = context;
    assert(key[0] && line >= 1);
    if (value->type == TOML_TYPE_TEXT || value->type == TOML_TYPE_OTHER)
        assert(text_is_utf8(slice_of(value->text)));
    for (size_t i = 0; value->type == TOML_TYPE_LIST && i < value->count; i++)
        assert(text_is_utf8(slice_of(value->items[i])));
    /* Now and then a visitor has enough. */
    return --*left ? ERR_NONE : ERR_SYSTEM;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[MESSAGE_BYTES_MAX] = "";
    size_t leaves_left = 20;
    enum error error = toml_read("f.toml", fuzz_slice(data, size), check_leaf, &leaves_left,
                                 message, sizeof(message));
    assert((error == ERR_SYSTEM) == (leaves_left == 0));
    assert((error == ERR_INVALID_FIELD) == (strncmp(message, "f.toml:", 7) == 0));
    assert(text_is_utf8(slice_of(message)));
    return 0;
}
