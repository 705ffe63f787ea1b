/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves of the tokens of a node: a secret finds its token, a reload revokes, failures slow down
 * their address alone, and each allocation may fail.
 */
#include "artemis-server/auth/auth.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/base/sha256.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define SHOP_SECRET  "shop-secret-0123456789"
#define ADMIN_SECRET "admin-secret-0123456789"
#define OTHER_SECRET "other-secret-0123456789"

static struct config config;
static struct auth auth;
static struct auth_memory memory;

/* Adds a token as the reader of a file does. */
static void add_token(uint32_t index, const char *name, const char *role, const char *secret,
                      const char *service, const char *expires)
{
    char hex[SHA256_HEX_BYTES];
    struct sha256 digest = sha256_of(slice_of(secret));
    sha256_write_hex(&digest, hex);
    const struct {
        const char *field;
        const char *text;
    } fields[] = {{"name", name}, {"role", role}, {"sha256", hex}, {"expires", expires}};
    struct config_problem problem;
    char key[64];
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct toml_value value = {.type = TOML_TYPE_TEXT, .text = fields[i].text};
        snprintf(key, sizeof(key), "auth.tokens[%u].%s", index, fields[i].field);
        if (fields[i].text)
            assert_int_equal(config_set(&config, key, &value, "a.toml:1", &problem), ERR_NONE);
    }
    struct toml_value services = {.type = TOML_TYPE_LIST, .items = &service, .count = 1};
    snprintf(key, sizeof(key), "auth.tokens[%u].services", index);
    if (service)
        assert_int_equal(config_set(&config, key, &services, "a.toml:1", &problem), ERR_NONE);
}

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "node", 1);
    add_token(0, "shop", "write", SHOP_SECRET, "Shop-*", "2027-01-31");
    add_token(1, "admin", "admin", ADMIN_SECRET, NULL, NULL);
    add_token(2, "reader", "read", OTHER_SECRET, "shop-*", NULL);
    assert_int_equal(auth_init(&auth, &config), ERR_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    auth_memory_free(&memory);
    auth_free(&auth);
    config_free(&config);
    return 0;
}

static const struct token *find(const char *secret)
{
    char value[128];
    const struct token *token = NULL;
    snprintf(value, sizeof(value), "Bearer %s", secret);
    return auth_find(&auth, &memory, slice_of(value), &token) ? NULL : token;
}

static void secret_finds_its_token(void **state)
{
    (void)state;
    assert_true(auth_is_required(&auth));
    for (int i = 0; i < 2; i++) { /* the second time from the memory of the connection */
        assert_string_equal(find(SHOP_SECRET)->name, "shop");
        assert_string_equal(find(SHOP_SECRET)->name, "shop");
        assert_string_equal(find(ADMIN_SECRET)->name, "admin");
        assert_int_equal(find(ADMIN_SECRET)->role, ROLE_ADMIN);
        assert_null(find("shop-secret-012345678"));
        assert_null(find("shop-secret-01234567890"));
        assert_null(find("unknown-secret-0123456789"));
    }
}

static void field_must_be_a_bearer_token(void **state)
{
    (void)state;
    const struct token *token = NULL;
    assert_int_equal(auth_find(&auth, &memory, SLICE("Basic " SHOP_SECRET), &token), ERR_NO_TOKEN);
    assert_int_equal(auth_find(&auth, &memory, SLICE("Bearer x"), &token), ERR_INVALID_TOKEN);
    assert_null(token);
    char value[AUTH_VALUE_BYTES_MAX + 64]; /* too long to be kept, and still found */
    memset(value, ' ', sizeof(value));
    memcpy(value, "Bearer", 6);
    memcpy(value + sizeof(value) - strlen(SHOP_SECRET), SHOP_SECRET, strlen(SHOP_SECRET));
    for (int i = 0; i < 2; i++)
        assert_int_equal(auth_find(&auth, &memory, (struct slice){value, sizeof(value)}, &token),
                         ERR_NONE);
    assert_string_equal(find(ADMIN_SECRET)->name, "admin");
}

static void token_expires(void **state)
{
    (void)state;
    const struct token *token = find(SHOP_SECRET);
    assert_int_equal(token_check(token, 1801440000000 - 1), ERR_NONE);
    assert_int_equal(token_check(token, 1801440000000), ERR_TOKEN_EXPIRED);
    assert_int_equal(token_check(find(ADMIN_SECRET), UINT64_MAX), ERR_NONE);
}

static void services_limit_writes_and_the_reads_of_readers(void **state)
{
    (void)state;
    const struct token *shop = find(SHOP_SECRET);
    assert_true(token_may_write(shop, SLICE("shop-cart")));
    assert_false(token_may_write(shop, SLICE("bank")));
    assert_true(token_may_read(shop, SLICE("bank")) && token_reads_all(shop));
    const struct token *reader = find(OTHER_SECRET);
    assert_true(token_may_read(reader, SLICE("shop-cart")));
    assert_false(token_may_read(reader, SLICE("bank")) || token_reads_all(reader));
    const struct token *admin = find(ADMIN_SECRET);
    assert_true(token_may_write(admin, SLICE("bank")) && token_reads_all(admin));
    assert_true(token_may_write(NULL, SLICE("bank")) && token_reads_all(NULL));
}

static void reload_revokes_what_is_gone_or_different(void **state)
{
    (void)state;
    struct config changed = config;
    struct token_table *old = token_table_ref(auth.tokens);
    const struct token *shop = token_table_find(old, SLICE(SHOP_SECRET));
    const struct token *admin = token_table_find(old, SLICE(ADMIN_SECRET));
    const struct token *reader = token_table_find(old, SLICE(OTHER_SECRET));
    struct config_token tokens[2] = {config.auth.tokens.items[0], config.auth.tokens.items[1]};
    assert_string_equal(find(OTHER_SECRET)->name, "reader");
    tokens[0].services.count = 0;
    changed.auth.tokens = (struct config_tokens){2, tokens};
    assert_int_equal(auth_reload(&auth, &changed), ERR_NONE);
    assert_int_equal(token_check(shop, 0), ERR_INVALID_TOKEN); /* its services changed */
    assert_int_equal(token_check(admin, 0), ERR_NONE);
    assert_int_equal(token_check(reader, 0), ERR_INVALID_TOKEN);
    assert_null(find(OTHER_SECRET)); /* although this connection knew it */
    assert_true(token_may_write(find(SHOP_SECRET), SLICE("bank")));
    token_table_unref(old);
}

/* As when a secret is rotated: the first reload keeps the token, the second removes it. */
static void token_of_an_earlier_table_is_revoked_too(void **state)
{
    (void)state;
    struct config changed = config;
    struct token_table *first = token_table_ref(auth.tokens);
    const struct token *admin = token_table_find(first, SLICE(ADMIN_SECRET));
    const struct token *shop = token_table_find(first, SLICE(SHOP_SECRET));
    assert_int_equal(auth_reload(&auth, &config), ERR_NONE);
    assert_int_equal(token_check(admin, 0), ERR_NONE);
    changed.auth.tokens = (struct config_tokens){1, &config.auth.tokens.items[0]};
    assert_int_equal(auth_reload(&auth, &changed), ERR_NONE);
    assert_int_equal(token_check(shop, 0), ERR_NONE);
    assert_int_equal(token_check(admin, 0), ERR_INVALID_TOKEN);
    token_table_unref(first);
}

static void node_without_tokens_needs_none(void **state)
{
    (void)state;
    struct config none;
    config_init(&none, "node", 1);
    assert_int_equal(auth_reload(&auth, &none), ERR_NONE);
    assert_false(auth_is_required(&auth));
    assert_null(find(SHOP_SECRET));
    config_free(&none);
}

static void reload_without_memory_changes_nothing(void **state)
{
    (void)state;
    for (long n = 1; n <= 6; n++) {
        failing_malloc_after(n);
        assert_int_equal(auth_reload(&auth, &config), ERR_NO_MEMORY);
        failing_malloc_after(-1);
        assert_string_equal(find(SHOP_SECRET)->name, "shop");
    }
}

static uint64_t fail_at(uint32_t address, uint64_t mono_ms)
{
    return auth_failed(&auth, address, (struct moment){.mono_ms = mono_ms});
}

static void failures_slow_down_their_address_alone(void **state)
{
    (void)state;
    uint64_t now_ms = 1000000;
    for (int i = 0; i < AUTH_FREE_FAILURES; i++)
        assert_int_equal(fail_at(1, now_ms), 0);
    assert_int_equal(fail_at(1, now_ms), 25);
    assert_int_equal(fail_at(1, now_ms), 50);
    assert_int_equal(fail_at(2, now_ms), 0);
    for (int i = 0; i < 100; i++)
        assert_true(fail_at(1, now_ms) <= AUTH_DELAY_MS_MAX);
    assert_int_equal(fail_at(1, now_ms), AUTH_DELAY_MS_MAX);
    assert_int_equal(fail_at(1, now_ms + 32 * AUTH_FORGET_MS), 0);
    assert_int_equal(auth.failures, AUTH_FREE_FAILURES + 2 + 1 + 100 + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(secret_finds_its_token),
        TEST(field_must_be_a_bearer_token),
        TEST(token_expires),
        TEST(services_limit_writes_and_the_reads_of_readers),
        TEST(reload_revokes_what_is_gone_or_different),
        TEST(token_of_an_earlier_table_is_revoked_too),
        TEST(node_without_tokens_needs_none),
        TEST(reload_without_memory_changes_nothing),
        TEST(failures_slow_down_their_address_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
