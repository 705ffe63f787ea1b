/* SPDX-License-Identifier: Apache-2.0
 *
 * The value of an Authorization field against a table with one token of each role. Only the secrets
 * of the table are found. The rest of the input is a pattern and a service id: the matcher must
 * agree with a simple one. A time of expiry is never before 1970. A secret of peers is a valid one.
 * An input that begins with [[auth.tokens]] is a settings file: what is accepted is complete, and
 * makes a table of tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sha256.h"
#include "artemis-server/auth/auth.h"
#include "artemis-server/auth/token_table.h"
#include "tests/fuzz/support/fuzz.h"

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

/* --- settings --------------------------------------------------------------------------------- */

static void check_token(const struct config_token *token)
{
    uint64_t wall_ms = 0;
    struct sha256 digest;
    enum auth_role role = config_token_role(token);
    assert(role > ROLE_NONE && role <= ROLE_PEER);
    assert(token->name[0] && text_is_utf8(slice_of(token->name)));
    assert(sha256_read_hex(slice_of(token->sha256), &digest));
    assert(role == ROLE_READ || role == ROLE_WRITE || token->services.count == 0);
    if (token->expires[0])
        assert(token_expiry_read(slice_of(token->expires), &wall_ms));
    assert(config_token_expires_ms(token) == wall_ms);
}

static void check_table(const struct config *read)
{
    struct auth made;
    struct auth_memory memory = {0};
    const struct token *token = NULL;
    assert(!auth_init(&made, read));
    assert(auth_is_required(&made) == (read->auth.tokens.count > 0));
    for (size_t i = 0; i < read->auth.tokens.count; i++)
        check_token(&read->auth.tokens.items[i]);
    assert(!auth_reload(&made, read));
    assert(auth_find(&made, &memory, SLICE("Bearer unknown-secret-0123456789"), &token));
    auth_memory_free(&memory);
    auth_free(&made);
}

static enum error visit(void *context, const char *key, const struct toml_value *value,
                        uint32_t line)
{
    struct config_problem problem;
    (void)line;
    return config_set(context, key, value, "t.toml", &problem);
}

static void check_settings(struct slice text)
{
    const struct slice table = SLICE("[[auth.tokens]]");
    struct config read;
    struct config_problem problem = {""};
    if (text.size < table.size || memcmp(text.data, table.data, table.size) != 0)
        return;
    config_init(&read, "node", 1);
    enum error error = toml_read("t.toml", text, visit, &read, problem.text, sizeof(problem.text));
    if (!error && !config_validate(&read, &problem))
        check_table(&read);
    config_free(&read);
}

/* Of the file of cluster.token_file, or of the environment. */
static void check_peer_secret(struct slice text)
{
    char secret[CONFIG_TEXT_BYTES];
    struct config_problem problem = {""};
    if (text.size >= sizeof(secret) || memchr(text.data, '\0', text.size))
        return;
    memcpy(secret, text.data, text.size);
    secret[text.size] = '\0';
    if (!config_set_text(&config, "cluster.token", secret, "t.token", &problem))
        assert(!config.cluster.token[0] || token_secret_is_valid(slice_of(config.cluster.token)));
    else
        assert(problem.text[0]);
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
    check_settings(text);
    check_peer_secret(text);
    if (token_expiry_read(text, &wall_ms))
        assert(wall_ms > 0);
    struct sha256 digest;
    if (sha256_read_hex(text, &digest))
        assert(size == SHA256_HEX_BYTES - 1);
    free(copy);
    return 0;
}
