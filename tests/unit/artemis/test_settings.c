/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources of settings, which one wins, and what stops the start. Each test has its own
 * directory, `directory`. The examples in configs/ are read from the root of the repository, where
 * tests run.
 */
#include "artemis/settings.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define LISTED "; all are listed by: artemis config reference"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char directory[64];
static char file[96]; /* the file of --config, below `directory` */
static struct config config;
static struct config_problem problem;
static struct text warnings;

static const char *below(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void write_bytes(const char *name, const char *bytes, size_t size)
{
    FILE *out = fopen(below(name), "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void make_directory(const char *name)
{
    assert_int_equal(mkdir(below(name), 0700), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/artemis-settings-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof(file), "%s/artemis.toml", directory);
    problem.text[0] = '\0';
    config = (struct config){0};
    return 0;
}

static void remove_all(const char *pattern)
{
    glob_t found;
    if (glob(below(pattern), GLOB_PERIOD, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        remove(found.gl_pathv[i]); /* fails for . and .., which remain */
    globfree(&found);
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    text_free(&warnings);
    remove_all("config.d/*");
    remove_all("config.d/.*");
    remove_all("*");
    return rmdir(directory);
}

/* --- what a test says ------------------------------------------------------------------------- */

static enum error load_all(const char *path, char *const *environment, const char *const *sets,
                           size_t set_count, const char *addr)
{
    struct settings_input input = {path, environment, sets, set_count, addr, &warnings};
    config_free(&config);
    text_free(&warnings);
    return settings_load(&config, &input, &problem);
}

static void check_loads(enum error code)
{
    if (code != ERR_NONE)
        fail_msg("%s", problem.text);
}

static void check_file_loads(void)
{
    check_loads(load_all(file, NULL, NULL, 0, NULL));
}

/* `expected` may hold %s for the path of the file. */
static void check_problem(enum error code, enum error expected_code, const char *expected)
{
    char text[CONFIG_PROBLEM_BYTES];
    const char *at = strstr(expected, "%s");
    if (at)
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - expected), expected, file, at + 2);
    else
        snprintf(text, sizeof(text), "%s", expected);
    assert_string_equal(problem.text, text);
    assert_int_equal(code, expected_code);
}

static void check_source(const char *key, const char *expected)
{
    assert_string_equal(config_source(&config, config_find(key)), expected);
}

/* --- the layers ------------------------------------------------------------------------------- */

static void nothing_given_is_the_default_on_this_host(void **state)
{
    (void)state;
    char host[HOST_NAME_MAX + 1] = "";
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    check_loads(load_all(NULL, NULL, NULL, 0, NULL));
    assert_string_equal(config.server.node_id, host);
    assert_in_range(config.server.threads, 1, 256);
    for (size_t i = 0; i < config_setting_count; i++)
        check_source(config_settings[i].key, "default");
}

static void later_layer_wins_setting_by_setting(void **state)
{
    (void)state;
    static const char *const keys[] = {"server.zone", "server.region", "lease.ttl_secs",
                                       "cluster.cluster_id", "server.listen_addr"};
    char *environment[] = {"PATH=/bin", "ARTEMIS_LEASE_TTL_SECS=3",
                           "ARTEMIS_CLUSTER_CLUSTER_ID=environment",
                           "ARTEMIS_SERVER_LISTEN_ADDR=h:3", NULL};
    const char *sets[] = {"cluster.cluster_id=set", "server.listen_addr=h:4"};
    char expected[2][128];
    make_directory("config.d");
    write_file("artemis.toml",
               "[server]\nzone = \"file\"\nregion = \"file\"\nlisten_addr = \"h:1\"\n"
               "allow_insecure = true\n"
               "[lease]\nttl_secs = 1\n[cluster]\ncluster_id = \"file\"\n");
    write_file("config.d/a.toml",
               "server.region = \"fragment\"\nlease.ttl_secs = 2\n"
               "cluster.cluster_id = \"fragment\"\nserver.listen_addr = \"h:2\"");
    check_loads(load_all(file, environment, sets, COUNT(sets), "h:5"));

    assert_string_equal(config.server.zone, "file");
    assert_string_equal(config.server.region, "fragment");
    assert_int_equal(config.lease.ttl_secs, 3);
    assert_string_equal(config.cluster.cluster_id, "set");
    assert_string_equal(config.server.listen_addr, "h:5");
    assert_string_equal(config.cluster.advertise_addr, "h:5");
    snprintf(expected[0], sizeof(expected[0]), "%s:2", file);
    snprintf(expected[1], sizeof(expected[1]), "%s/config.d/a.toml:1", directory);
    const char *sources[] = {expected[0], expected[1], "environment ARTEMIS_LEASE_TTL_SECS",
                             "--set", "--addr"};
    for (size_t i = 0; i < COUNT(keys); i++)
        check_source(keys[i], sources[i]);
}

static void fragments_are_read_by_name_and_only_toml(void **state)
{
    (void)state;
    make_directory("config.d");
    write_file("artemis.toml", "server.zone = \"main\"");
    write_file("config.d/10-b.toml", "server.zone = \"10\"\nserver.region = \"10\"");
    write_file("config.d/9-a.toml", "server.zone = \"9\"");
    write_file("config.d/Z.toml", "lease.ttl_secs = 7");
    write_file("config.d/a.toml", "lease.ttl_secs = 8"); /* lower case comes later, in any locale */
    write_file("config.d/.z.toml", "not read");
    write_file("config.d/z.toml~", "not read");
    write_file("config.d/toml", "not read");
    write_file("config.d/.toml", "not read");
    check_file_loads();
    assert_string_equal(config.server.zone, "9");
    assert_string_equal(config.server.region, "10");
    assert_int_equal(config.lease.ttl_secs, 8);
}

static void fragments_lie_beside_a_file_in_the_current_directory(void **state)
{
    (void)state;
    char root[PATH_MAX];
    assert_non_null(getcwd(root, sizeof(root)));
    make_directory("config.d");
    write_file("artemis.toml", "");
    write_file("config.d/a.toml", "lease.ttl_secs = 8");
    assert_int_equal(chdir(directory), 0);
    enum error code = load_all("artemis.toml", NULL, NULL, 0, NULL);
    assert_int_equal(chdir(root), 0);
    check_loads(code);
    check_source("lease.ttl_secs", "config.d/a.toml:1");
}

static void sets_apply_in_order_and_addr_last(void **state)
{
    (void)state;
    const char *sets[] = {"lease.ttl_secs=1",       "lease.ttl_secs=2",
                          "server.listen_addr=h:1", "server.zone=a=b",
                          "cluster.peers=a:1,b:2",  "server.allow_insecure=true"};
    check_loads(load_all(NULL, NULL, sets, COUNT(sets), "h:2"));
    assert_int_equal(config.lease.ttl_secs, 2);
    assert_string_equal(config.server.listen_addr, "h:2");
    assert_string_equal(config.server.zone, "a=b");
    assert_int_equal(config.cluster.peers.count, 2);
}

/* Variables of the client, of an orchestrator and of other programs are ignored without a warning.
 */
static void foreign_environment_is_ignored(void **state)
{
    (void)state;
    char *environment[] = {"ARTEMIS_URL=http://h:1",
                           "ARTEMIS_PORT=tcp://10.0.0.1:8080",
                           "ARTEMIS_PORT_8080_TCP=tcp://10.0.0.1:8080",
                           "ARTEMIS_PORT_8080_TCP_ADDR=10.0.0.1",
                           "ARTEMIS_SERVICE_HOST=10.0.0.1",
                           "ARTEMIS_SERVICE_PORT=8080",
                           "ARTEMIS_SERVICE_PORT_HTTP=8080",
                           "ARTEMIS_SERVER_SERVICE_HOST=10.0.0.1",
                           "ARTEMIS_SERVER_SERVICE_PORT=8080",
                           "ARTEMIS_SERVER_PORT=tcp://10.0.0.1:8080",
                           "ARTEMIS_CLUSTER_HEADLESS_PORT_8080_TCP_PROTO=tcp",
                           "XARTEMIS_SERVER_ZONE=x",
                           "ARTEMIS_LOGS",
                           "artemis_server_zone=x",
                           NULL};
    check_loads(load_all(NULL, environment, NULL, 0, NULL));
    check_source("server.zone", "default");
    assert_int_equal(warnings.size, 0);
}

static void unknown_section_in_environment_is_a_warning(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"ARTEMIS_=x", ""},
        {"ARTEMIS_URL=http://localhost:8080", ""},
        {"ARTEMIS_BINARY=build/artemis", ""},
        {"ARTEMIS_TOKEN=x", ""},
        {"ARTEMIS_HOME=x", ""},
        {"ARTEMIS_VERSION=x", ""},
        {"ARTEMIS_SERVER=x", ""},
        {"ARTEMIS_LOGLEVEL=x", "environment ARTEMIS_LOGLEVEL: not a setting, ignored; did you "
                               "mean ARTEMIS_LOG_LEVEL?\n"},
        {"ARTEMIS_BINARY_=x", "environment ARTEMIS_BINARY_: not a setting, ignored\n"},
        {"ARTEMIS_SERVERS_ZONE=x", "environment ARTEMIS_SERVERS_ZONE: not a setting, ignored; "
                                   "did you mean ARTEMIS_SERVER_ZONE?\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *environment[] = {(char *)cases[i][0], NULL};
        check_loads(load_all(NULL, environment, NULL, 0, NULL));
        check_source("server.zone", "default");
        assert_string_equal(text_string(&warnings), cases[i][1]);
    }
}

static void cluster_without_peers_is_a_warning(void **state)
{
    (void)state;
    const char *sets[] = {"cluster.enabled=true"};
    check_loads(load_all(NULL, NULL, sets, COUNT(sets), NULL));
    assert_ptr_equal(strstr(text_string(&warnings), "cluster.enabled is true (--set), but "),
                     warnings.data);
}

static void address_of_every_interface_is_not_advertised(void **state)
{
    (void)state;
    const char *sets[] = {"server.allow_insecure=true"};
    check_loads(load_all(NULL, NULL, sets, COUNT(sets), "0.0.0.0:5"));
    const char *port = strrchr(config.cluster.advertise_addr, ':');
    assert_non_null(port);
    assert_string_equal(port, ":5");
    assert_string_not_equal(config.cluster.advertise_addr, "0.0.0.0:5");
}

static void environment_accepts_text_and_both_forms_of_lists(void **state)
{
    (void)state;
    char *environment[] = {"ARTEMIS_SERVER_REGION=\"eu\"", "ARTEMIS_CLUSTER_ENABLED=true",
                           "ARTEMIS_CLUSTER_PEERS=[\"a:1\", \"b:2\"]",
                           "ARTEMIS_SERVER_MAX_BODY_BYTES=1 MiB", NULL};
    check_loads(load_all(NULL, environment, NULL, 0, NULL));
    assert_string_equal(config.server.region, "\"eu\"");
    assert_true(config.cluster.enabled);
    assert_string_equal(config.cluster.peers.items[1], "b:2");
    assert_int_equal(config.server.max_body_bytes, 1 << 20);
    environment[2] = "ARTEMIS_CLUSTER_PEERS=c:3, d:4";
    check_loads(load_all(NULL, environment, NULL, 0, NULL));
    assert_string_equal(config.cluster.peers.items[1], "d:4");
}

/* --- what stops the start --------------------------------------------------------------------- */

static void bad_file_is_refused_with_file_and_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[lease]\n\nttl_secs = 0\n",
         "%s:3: lease.ttl_secs: must be a whole number, 1 to 86400, is 0"},
        {"[server]\ntreads = 4\n",
         "%s:2: unknown setting \"server.treads\"; did you mean server.threads?"},
        {"[serverr]\n", "%s:1: unknown setting \"serverr\"" LISTED},
        {"[server.threads]\n",
         "%s:1: server.threads: must be a whole number, 1 to 256, is a table"},
        {"[lease]\nttl_secs = 60.0\n", "%s:2: lease.ttl_secs: must be a whole number, 1 to 86400, "
                                       "is the number 60.0; write 60"},
        {"[lease]\nttl_secs = 0.5\n", "%s:2: lease.ttl_secs: must be a whole number, 1 to 86400, "
                                      "is the number 0.5"},
        {"[lease]\nttl_secs = \"60\"\n", "%s:2: lease.ttl_secs: must be a whole number, 1 to "
                                         "86400, is \"60\"; write 60"},
        {"server = 1\n", "%s:1: server: must be a section, [server], is 1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_file("artemis.toml", cases[i][0]);
        enum error code = load_all(file, NULL, NULL, 0, NULL);
        check_problem(code, ERR_INVALID_FIELD, cases[i][1]);
    }
}

/* The text after the position comes from toml++. */
static void malformed_file_is_refused_with_its_place(void **state)
{
    (void)state;
    char expected[128];
    write_file("artemis.toml", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n");
    assert_int_equal(load_all(file, NULL, NULL, 0, NULL), ERR_INVALID_FIELD);
    snprintf(expected, sizeof(expected), "%s:3:9: ", file);
    assert_ptr_equal(strstr(problem.text, expected), problem.text);
}

static void bad_fragment_is_refused_by_its_own_name(void **state)
{
    (void)state;
    make_directory("config.d");
    write_file("artemis.toml", "");
    write_file("config.d/a.toml", "\nx = 1");
    char expected[256];
    snprintf(expected, sizeof(expected), "%s/config.d/a.toml:2: unknown setting \"x\"" LISTED,
             directory);
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_INVALID_FIELD, expected);
}

static void bad_environment_is_refused_by_its_name(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"ARTEMIS_LEASE_TTL_SECS=soon", "environment ARTEMIS_LEASE_TTL_SECS: lease.ttl_secs: must "
                                        "be a whole number, 1 to 86400, is \"soon\""},
        {"ARTEMIS_LEASE_TTL=5", "environment ARTEMIS_LEASE_TTL: unknown setting \"lease.ttl\"; did "
                                "you mean ARTEMIS_LEASE_TTL_SECS?"},
        {"ARTEMIS_LEASE_TTL_SEC=5", "environment ARTEMIS_LEASE_TTL_SEC: unknown setting "
                                    "\"lease.ttl_sec\"; did you mean ARTEMIS_LEASE_TTL_SECS?"},
        {"ARTEMIS_SERVER_PORT=9090", "environment ARTEMIS_SERVER_PORT: unknown setting "
                                     "\"server.port\"" LISTED},
        {"ARTEMIS_LEASE_TTL_SECS=60.0", "environment ARTEMIS_LEASE_TTL_SECS: lease.ttl_secs: must "
                                        "be a whole number, 1 to 86400, is \"60.0\"; write "
                                        "ARTEMIS_LEASE_TTL_SECS=60"},
        {"ARTEMIS_LOG_LEVEL=\"debug\"", "environment ARTEMIS_LOG_LEVEL: log.level: must be debug, "
                                        "info, warn or error, is \"\\\"debug\\\"\"; write "
                                        "ARTEMIS_LOG_LEVEL=debug"},
        {"ARTEMIS_SERVER_ZONE=", "environment ARTEMIS_SERVER_ZONE: server.zone: must be text, 1 to "
                                 "255 bytes of UTF-8, no control character or mark of "
                                 "direction, no blank at an end, is \"\""},
        {"ARTEMIS_LOG_=x", "environment ARTEMIS_LOG_: unknown setting \"log.\"" LISTED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *environment[] = {(char *)cases[i][0], NULL};
        enum error code = load_all(NULL, environment, NULL, 0, NULL);
        check_problem(code, ERR_INVALID_FIELD, cases[i][1]);
    }
}

static void bad_command_line_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "--set: must be section.key=value, is \"\""},
        {"lease.ttl_secs", "--set: must be section.key=value, is \"lease.ttl_secs\""},
        {"=5", "--set: must be section.key=value, is \"=5\""},
        {"lease.ttl_secs=", "--set: lease.ttl_secs: must be a whole number, 1 to 86400, is \"\""},
        {"lease.ttl_secs=60.0", "--set: lease.ttl_secs: must be a whole number, 1 to 86400, is "
                                "\"60.0\"; write --set lease.ttl_secs=60"},
        {"lease.ttl_secs=1e9", "--set: lease.ttl_secs: must be a whole number, 1 to 86400, is "
                               "\"1e9\""},
        {"lease.ttl_secs =5", "--set: unknown setting \"lease.ttl_secs \"; did you mean "
                              "lease.ttl_secs?"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum error code = load_all(NULL, NULL, (const char *const[]){cases[i][0]}, 1, NULL);
        check_problem(code, ERR_INVALID_FIELD, cases[i][1]);
    }
    check_problem(load_all(NULL, NULL, NULL, 0, "8080"), ERR_INVALID_FIELD,
                  "--addr: server.listen_addr: must be text, HOST:PORT, port 0 to 65535, is "
                  "\"8080\"");
}

static void contradiction_between_layers_is_refused(void **state)
{
    (void)state;
    write_file("artemis.toml", "server.threads = 64");
    const char *sets[] = {"server.max_connections=16"};
    check_problem(load_all(file, NULL, sets, 1, NULL), ERR_INVALID_FIELD,
                  "server.max_connections: must be at least server.threads, 64 (%s:1), is 16 "
                  "(--set)");
}

static void unreadable_file_is_reported(void **state)
{
    (void)state;
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_SYSTEM,
                  "cannot read %s: No such file or directory");
    make_directory("artemis.toml");
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_SYSTEM,
                  "cannot read %s: Is a directory");
}

/* Opening a FIFO without a writer would block for ever. */
static void fifo_is_reported(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_SYSTEM,
                  "cannot read %s: it is not a regular file");
    check_problem(load_all("/dev/zero", NULL, NULL, 0, NULL), ERR_SYSTEM,
                  "cannot read /dev/zero: it is not a regular file");
}

static void config_d_that_is_a_file_is_reported(void **state)
{
    (void)state;
    char expected[256];
    write_file("artemis.toml", "");
    write_file("config.d", "");
    snprintf(expected, sizeof(expected), "cannot read %s/config.d: Not a directory", directory);
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_SYSTEM, expected);
}

static void file_of_1_mib_is_read_and_a_larger_one_is_not(void **state)
{
    (void)state;
    char *text = malloc(SETTINGS_FILE_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, '\n', SETTINGS_FILE_BYTES_MAX + 1);
    write_bytes("artemis.toml", text, SETTINGS_FILE_BYTES_MAX);
    check_file_loads();
    write_bytes("artemis.toml", text, SETTINGS_FILE_BYTES_MAX + 1);
    free(text);
    check_problem(load_all(file, NULL, NULL, 0, NULL), ERR_SYSTEM,
                  "cannot read %s: it is larger than 1 MiB");
}

static void failure_leaves_the_config_unchanged(void **state)
{
    (void)state;
    struct config before;
    memset(&before, 0x5A, sizeof(before));
    struct config after = before;
    const char *sets[] = {"cluster.peers=a:1", "x=1"};
    struct settings_input input = {NULL, NULL, sets, COUNT(sets), NULL, NULL};
    assert_int_equal(settings_load(&after, &input, &problem), ERR_INVALID_FIELD);
    assert_memory_equal(&after, &before, sizeof(before));
}

static void each_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    char *environment[] = {"ARTEMIS_CLUSTER_PEERS=[\"a:1\", \"b:2\"]", NULL};
    const char *sets[] = {"cluster.peers=c:3,d:4"};
    struct settings_input input = {file, environment, sets, COUNT(sets), NULL, NULL};
    write_file("artemis.toml", "cluster.peers = [\"e:5\"]\n");
    long live = failing_malloc_live();
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error code = settings_load(&config, &input, &problem);
        if (!failing_malloc_happened()) {
            check_loads(code);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(code, ERR_NO_MEMORY);
        assert_non_null(strstr(problem.text, "out of memory"));
        assert_int_equal(failing_malloc_live(), live);
    }
}

/* --- the examples in configs/ ----------------------------------------------------------------- */

static void examples_all_load(void **state)
{
    (void)state;
    glob_t found;
    char *environment[] = {"ARTEMIS_CLUSTER_ADVERTISE_ADDR=artemis-1.example.com:8080", NULL};
    assert_int_equal(glob("configs/*.toml", 0, NULL, &found), 0);
    assert_int_equal(glob("configs/secure/*.toml", GLOB_APPEND, NULL, &found), 0);
    assert_true(found.gl_pathc >= 4);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_loads(load_all(found.gl_pathv[i], environment, NULL, 0, NULL));
    globfree(&found);
}

static void example_of_tokens_loads(void **state)
{
    (void)state;
    check_loads(load_all("configs/secure/tokens.toml", NULL, NULL, 0, NULL));
    assert_int_equal(config.auth.tokens.count, 4);
    assert_int_equal(config_token_role(&config.auth.tokens.items[0]), ROLE_PEER);
    config_free(&config);
}

static void annotated_example_is_the_default(void **state)
{
    (void)state;
    struct config base;
    check_loads(load_all("configs/artemis.toml", NULL, NULL, 0, NULL));
    settings_defaults(&base);
    assert_int_equal(config_validate(&base, &problem), ERR_NONE);
    for (size_t i = 0; i < config_setting_count; i++)
        if (!config_same(&config, &base, &config_settings[i]))
            fail_msg("%s is not at its default", config_settings[i].key);
    config_free(&base);
}

/* "# key = value" is a setting in a comment; prose has no " = " after its first word. */
static bool is_commented_setting(const char *line)
{
    if (strncmp(line, "# [[", 4) == 0)
        return true;
    size_t word = strspn(line + 2, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return strncmp(line, "# ", 2) == 0 && word > 0 && strncmp(line + 2 + word, " = ", 3) == 0;
}

static void annotated_example_uncommented_has_every_setting(void **state)
{
    (void)state;
    char line[256];
    FILE *in = fopen("configs/artemis.toml", "r");
    FILE *out = fopen(file, "w");
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof(line), in))
        fputs(line + (is_commented_setting(line) ? 2 : 0), out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    check_file_loads();
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_source(&config, &config_settings[i]), "default") == 0)
            fail_msg("%s is not in configs/artemis.toml", config_settings[i].key);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_given_is_the_default_on_this_host),
        TEST(later_layer_wins_setting_by_setting),
        TEST(fragments_are_read_by_name_and_only_toml),
        TEST(fragments_lie_beside_a_file_in_the_current_directory),
        TEST(sets_apply_in_order_and_addr_last),
        TEST(foreign_environment_is_ignored),
        TEST(unknown_section_in_environment_is_a_warning),
        TEST(cluster_without_peers_is_a_warning),
        TEST(address_of_every_interface_is_not_advertised),
        TEST(environment_accepts_text_and_both_forms_of_lists),
        TEST(bad_file_is_refused_with_file_and_line),
        TEST(malformed_file_is_refused_with_its_place),
        TEST(bad_fragment_is_refused_by_its_own_name),
        TEST(bad_environment_is_refused_by_its_name),
        TEST(bad_command_line_is_refused),
        TEST(contradiction_between_layers_is_refused),
        TEST(unreadable_file_is_reported),
        TEST(fifo_is_reported),
        TEST(config_d_that_is_a_file_is_reported),
        TEST(file_of_1_mib_is_read_and_a_larger_one_is_not),
        TEST(failure_leaves_the_config_unchanged),
        TEST(each_failed_allocation_is_reported_and_leaks_nothing),
        TEST(examples_all_load),
        cmocka_unit_test(example_of_tokens_loads),
        TEST(annotated_example_is_the_default),
        TEST(annotated_example_uncommented_has_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
