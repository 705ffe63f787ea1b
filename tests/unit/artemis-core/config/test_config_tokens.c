/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves of [[auth.tokens]] in files: what is read, what is refused and with which message, and
 * that a secret is never shown.
 */
#include "artemis-core/config/config.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define DIGEST_A "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DIGEST_B "aa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TOKEN(name, digest)                                                                        \
    "[[auth.tokens]]\nname = '" name "'\nrole = 'read'\nsha256 = '" digest "'\n"

static struct config config;
static struct config_problem problem;
static const char *file = "a.toml";

static enum error visit(void *context, const char *key, const struct toml_value *value,
                        uint32_t line)
{
    char source[64];
    (void)context;
    snprintf(source, sizeof(source), "%s:%u", file, line);
    return config_set(&config, key, value, source, &problem);
}

static enum error read_file(const char *name, const char *text)
{
    file = name;
    return toml_read(name, slice_of(text), visit, NULL, problem.text, sizeof(problem.text));
}

static int set_up(void **state)
{
    (void)state;
    config_init(&config, "node", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void token_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_file("a.toml", "[[auth.tokens]]\n"
                                         "name = 'shop'\nrole = 'write'\nsha256 = '" DIGEST_A
                                         "'\nservices = ['Shop-*', 'x']\nexpires = 2027-01-31\n"
                                         "max_services = 5\n"
                                         "[[auth.tokens]]\n"
                                         "sha256 = '" DIGEST_B "'\nrole = 'peer'\nname = 'p'\n"),
                     ERR_NONE);
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    assert_int_equal(config.auth.tokens.count, 2);
    const struct config_token *token = &config.auth.tokens.items[0];
    assert_string_equal(token->name, "shop");
    assert_int_equal(config_token_role(token), ROLE_WRITE);
    assert_int_equal(token->services.count, 2);
    assert_string_equal(token->services.items[0], "shop-*"); /* as service ids are kept */
    assert_true(config_token_expires_ms(token) == 1801440000000);
    assert_int_equal(token->max_services, 5);
    assert_int_equal(config.auth.tokens.items[1].max_services, 0);
    assert_int_equal(config_token_role(&config.auth.tokens.items[1]), ROLE_PEER);
    assert_true(config_token_expires_ms(&config.auth.tokens.items[1]) == 0);
}

static void each_file_adds_its_tokens(void **state)
{
    (void)state;
    assert_int_equal(read_file("a.toml", TOKEN("a", DIGEST_A)), ERR_NONE);
    assert_int_equal(read_file("b.toml", TOKEN("b", DIGEST_B)), ERR_NONE);
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    assert_int_equal(config.auth.tokens.count, 2);
}

static void invalid_token_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[[auth.tokens]]\nname = 'a'\nrole = 'read'\n",
         "a.toml:2: auth.tokens.sha256: is missing in this [[auth.tokens]]"},
        {"[[auth.tokens]]\nname = 'a'\nrole = 'root'\n",
         "a.toml:3: auth.tokens.role: must be read, write, operator, admin or peer, is \"root\""},
        {"[[auth.tokens]]\nname = 'a b'\n",
         "a.toml:2: auth.tokens.name: must be text, 1 to 64 letters, digits, dots, dashes and "
         "underscores, is \"a b\""},
        {"[[auth.tokens]]\nsha256 = 'secret-that-was-pasted-here'\n",
         "a.toml:2: auth.tokens.sha256: must be text, 64 hexadecimal digits, is something else"},
        {"[[auth.tokens]]\nexpires = 'soon'\n",
         "a.toml:2: auth.tokens.expires: must be text, a day like 2027-01-31, or a time like "
         "2027-01-31T12:00:00Z, is \"soon\""},
        {"[[auth.tokens]]\nservices = 'a'\n",
         "a.toml:2: auth.tokens.services: must be a list, at most 64 of a service id, in which * "
         "stands for any text, is \"a\""},
        {"[[auth.tokens]]\npassword = 'a'\n",
         "a.toml:2: [[auth.tokens]] has no field \"password\"; it has name, role, sha256, "
         "services, expires and max_services"},
        {"[[auth.tokens]]\nmax_services = 0\n",
         "a.toml:2: auth.tokens.max_services: must be a whole number, 1 to 10000, is 0"},
        {"[auth]\ntokens = 'a'\n",
         "a.toml:2: auth.tokens: is set in a file, as tables [[auth.tokens]]"},
        {"[auth.tokens]\nname = 'a'\n",
         "a.toml:2: auth.tokens: is set in a file, as tables [[auth.tokens]]"},
        {TOKEN("a", DIGEST_A) TOKEN("a", DIGEST_B),
         "a.toml:6: auth.tokens.name: \"a\" is used twice, also at a.toml:2"},
        {TOKEN("a", DIGEST_A) TOKEN("b", DIGEST_A),
         "a.toml:6: auth.tokens.sha256: tokens \"a\" and \"b\" have the same secret"},
        {"[[auth.tokens]]\nname = 'a'\nrole = 'admin'\nsha256 = '" DIGEST_A "'\nservices = ['x']\n",
         "a.toml:2: auth.tokens.services: is only for the roles read and write; token \"a\" has "
         "the role admin"},
        {"[[auth.tokens]]\nname = 'a'\nrole = 'read'\nsha256 = '" DIGEST_A "'\nmax_services = 5\n",
         "a.toml:2: auth.tokens.max_services: is only for the role write; token \"a\" has the role "
         "read"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum error error = read_file("a.toml", rows[i].text);
        if (!error)
            error = config_validate(&config, &problem);
        assert_int_equal(error, ERR_INVALID_FIELD);
        assert_string_equal(problem.text, rows[i].message);
        config_free(&config);
        config_init(&config, "node", 1);
    }
}

static void append_token(struct text *out, unsigned number)
{
    text_printf(out, "[[auth.tokens]]\nname = 't%u'\nrole = 'read'\nsha256 = '%064x'\n", number,
                number);
}

static void number_of_tokens_is_limited(void **state)
{
    (void)state;
    struct text text = {0};
    for (unsigned i = 0; i < CONFIG_TOKENS_MAX; i++)
        append_token(&text, i);
    assert_int_equal(read_file("a.toml", text_string(&text)), ERR_NONE);
    assert_int_equal(config_validate(&config, &problem), ERR_NONE);
    text_clear(&text);
    append_token(&text, CONFIG_TOKENS_MAX);
    enum error error = read_file("b.toml", text_string(&text));
    if (!error)
        error = config_validate(&config, &problem);
    assert_int_equal(error, ERR_INVALID_FIELD);
    assert_string_equal(problem.text, "b.toml:3: auth.tokens: there may be at most 1024 tokens");
    text_free(&text);
}

static void tokens_are_set_in_files_alone(void **state)
{
    (void)state;
    static const char *const sources[] = {"--set", CONFIG_SOURCE_ENVIRONMENT "ARTEMIS_AUTH_TOKENS"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(config_set_text(&config, "auth.tokens", "[]", sources[i], &problem),
                         ERR_INVALID_FIELD);
        assert_non_null(strstr(problem.text, "is set in a file"));
    }
    assert_int_equal(read_file("a.toml", "[auth]\ntokens = []\n"), ERR_NONE);
    assert_int_equal(config.auth.tokens.count, 0);
}

static void secret_of_the_cluster_is_masked(void **state)
{
    (void)state;
    struct text shown = {0};
    assert_int_equal(config_set_text(&config, "cluster.token", "short", "--set", &problem),
                     ERR_INVALID_FIELD);
    assert_null(strstr(problem.text, "short"));
    assert_int_equal(config_set_text(&config, "cluster.token", "a-long-secret-of-the-cluster",
                                     "--set", &problem),
                     ERR_NONE);
    config_write_text(&shown, &config, config_find("cluster.token"));
    assert_string_equal(text_string(&shown), "***");
    text_free(&shown);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    bool failed = true;
    for (long n = 1; failed && n < 200; n++) {
        struct toml_value name = {.type = TOML_TYPE_TEXT, .text = "a"};
        const char *items[] = {"x"};
        struct toml_value services = {.type = TOML_TYPE_LIST, .items = items, .count = 1};
        failing_malloc_after(n);
        enum error error = config_set(&config, "auth.tokens[0].name", &name, "a.toml:1", &problem);
        if (!error)
            error = config_set(&config, "auth.tokens[0].services", &services, "a.toml:2", &problem);
        failed = error != ERR_NONE;
        failing_malloc_after(-1);
        assert_true(!failed || error == ERR_NO_MEMORY);
        config_free(&config);
        config_init(&config, "node", 1);
    }
    assert_false(failed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(token_is_read),
        TEST(each_file_adds_its_tokens),
        TEST(invalid_token_is_refused),
        TEST(number_of_tokens_is_limited),
        TEST(tokens_are_set_in_files_alone),
        TEST(secret_of_the_cluster_is_masked),
        TEST(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
