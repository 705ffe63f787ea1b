/* SPDX-License-Identifier: Apache-2.0
 *
 * The value of an Authorization field against a table with one token of each role. Only the secrets
 * of the table are found. The rest of the input is a pattern and a service id: the matcher must
 * agree with a simple one. A time of expiry is never before 1970.
 */
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sha256.h"
#include "artemis-server/auth/auth.h"
#include "artemis-server/auth/token_table.h"
#include "tests/fuzz/fuzz.h"

static const char *const secrets[] = {"reader-secret-0123456789", "writer-secret-0123456789",
                                      "operator-secret-0123456789", "admin-secret-0123456789",
                                      "peer-secret-0123456789"};
enum { TOKENS = sizeof(secrets) / sizeof(secrets[0]) };

static struct config config;
static struct auth auth;

static void start(void)
{
    static struct config_token tokens[TOKENS];
    config_init(&config, "node", 1);
    for (unsigned i = 0; i < TOKENS; i++) {
        struct sha256 digest = sha256_of(slice_of(secrets[i]));
        strcpy(tokens[i].name, secrets[i]);
        sha256_write_hex(&digest, tokens[i].sha256);
        tokens[i].role = i;
    }
    config.auth.tokens = (struct config_tokens){TOKENS, tokens};
    assert(!auth_init(&auth, &config));
}

static bool is_known(struct slice secret)
{
    for (unsigned i = 0; i < TOKENS; i++)
        if (slice_equal(secret, slice_of(secrets[i])))
            return true;
    return false;
}

static void check_authorization(struct slice value)
{
    static struct auth_memory memory; /* as of one connection */
    struct slice secret;
    const struct token *token = NULL;
    if (bearer_read(value, &secret) != BEARER_FOUND) {
        assert(auth_find(&auth, &memory, value, &token));
        return;
    }
    assert(token_secret_is_valid(secret));
    assert(secret.data >= value.data && secret.data + secret.size == value.data + value.size);
    enum error error = auth_find(&auth, &memory, value, &token);
    assert((error == ERR_NONE) == is_known(secret));
    if (!error)
        assert(slice_equal(slice_of(token->name), secret)); /* named after its secret */
}

/* Exponential, for short inputs. */
static bool matches_slowly(struct slice pattern, struct slice id)
{
    if (pattern.size == 0)
        return id.size == 0;
    struct slice rest = {pattern.data + 1, pattern.size - 1};
    struct slice next = {id.data + 1, id.size ? id.size - 1 : 0};
    if (pattern.data[0] == '*')
        return matches_slowly(rest, id) || (id.size && matches_slowly(pattern, next));
    return id.size && pattern.data[0] == id.data[0] && matches_slowly(rest, next);
}

static void check_pattern(struct slice text)
{
    const char *end = memchr(text.data, '\n', text.size);
    if (!end)
        return;
    struct slice pattern = {text.data, (size_t)(end - text.data)};
    struct slice id = {end + 1, text.size - pattern.size - 1};
    bool matches = token_pattern_matches(pattern, id);
    if (pattern.size <= 10 && id.size <= 14)
        assert(matches == matches_slowly(pattern, id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t wall_ms;
    if (!auth_is_required(&auth))
        start();
    if (size == 0)
        return 0;
    char *copy = malloc(size); /* of exactly this size: reading beyond it is found */
    assert(copy);
    memcpy(copy, data, size);
    struct slice text = {copy, size};
    check_authorization(text);
    check_pattern(text);
    if (token_expiry_read(text, &wall_ms))
        assert(wall_ms > 0);
    struct sha256 digest;
    if (sha256_read_hex(text, &digest))
        assert(size == SHA256_HEX_BYTES - 1);
    free(copy);
    return 0;
}
