/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of a snapshot file: what is written can be restored, and what is cut, damaged or
 * foreign cannot.
 */
#include "artemis-core/json/codec_snapshot.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

#define HEAD     "{\"artemis_snapshot\":1,\"cluster_id\":\"c\",\"node_id\":\"n\",\"time\":\"t\"}\n"
#define KEY      "\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\",\"instance_id\":\"i\""
#define STAMP    "\"version\":7,\"origin\":\"n\""
#define INSTANCE "{" KEY ",\"ip\":\"10.0.0.1\",\"port\":80," STAMP "}\n"
#define DELETED  "{" KEY "," STAMP ",\"deleted\":true}\n"
#define END      "{\"complete\":true,\"instances\":1,\"tombstones\":1}\n"

struct read {
    struct snapshot_check check;
    enum error error;
    char message[MESSAGE_BYTES];
};

/* Reads a file to its end or to its first error. */
static struct read read_file(struct slice file)
{
    struct read read = {0};
    enum snapshot_line kind;
    while (file.size && !read.error) {
        const char *feed = memchr(file.data, '\n', file.size);
        size_t size = feed ? (size_t)(feed - file.data) : file.size;
        read.error =
            snapshot_check_line(&read.check, (struct slice){file.data, size}, &kind, read.message);
        size += feed != NULL;
        file = (struct slice){file.data + size, file.size - size};
    }
    if (!read.error)
        read.error = snapshot_check_end(&read.check, read.message);
    return read;
}

static void check_refused(const char *file, uint64_t line, const char *message)
{
    struct read read = read_file(slice_of(file));
    assert_int_not_equal(read.error, ERR_NONE);
    assert_int_equal(read.check.lines, line);
    if (!strstr(read.message, message))
        fail_msg("\"%s\" is not in: %s", message, read.message);
}

static void a_whole_file_is_accepted(void **state)
{
    (void)state;
    struct read read = read_file(SLICE(HEAD INSTANCE DELETED END));
    assert_int_equal(read.error, ERR_NONE);
    assert_int_equal(read.check.instances, 1);
    assert_int_equal(read.check.tombstones, 1);
    assert_string_equal(read.check.head.cluster_id, "c");
    assert_string_equal(read.check.head.node_id, "n");
}

static void what_is_written_is_accepted(void **state)
{
    (void)state;
    struct text file = {0};
    struct field_problem problem;
    struct wire_record record = {.stamp = {7, SLICE("n")}, .age_ms = 5};
    const struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                                [FIELD_ZONE] = SLICE("z"),
                                                [FIELD_SERVICE] = SLICE("s"),
                                                [FIELD_INSTANCE] = SLICE("a \" \\ b"),
                                                [FIELD_IP] = SLICE("10.0.0.1"),
                                                [FIELD_STATUS] = SLICE("own-status")}};
    struct snapshot_head head = {.cluster_id = "c\"", .node_id = "n"};
    codec_write_snapshot_head(&file, &head, 1770000000000);
    assert_int_equal(instance_create(&spec, &record.instance, &problem), ERR_NONE);
    codec_write_snapshot_record(&file, &record);
    assert_non_null(memmem(file.data, file.size, "own-status", strlen("own-status")));
    instance_unref(record.instance);
    struct instance_key key;
    assert_int_equal(instance_key_make(spec.text, &key, &problem), ERR_NONE);
    record = (struct wire_record){.key = &key, .stamp = {8, SLICE("n")}, .deleted = true};
    codec_write_snapshot_record(&file, &record);
    codec_write_snapshot_end(&file, 1, 1);
    assert_false(text_failed(&file));
    struct read read = read_file((struct slice){file.data, file.size});
    assert_int_equal(read.error, ERR_NONE);
    assert_string_equal(read.check.head.cluster_id, "c\"");
    text_free(&file);
}

/* A file that is cut at any byte is not complete; only its last line feed may be missing. */
static void a_cut_file_is_refused(void **state)
{
    (void)state;
    static const char file[] = HEAD INSTANCE DELETED END;
    size_t size = sizeof(file) - 1;
    for (size_t cut = 0; cut < size - 1; cut++)
        assert_int_not_equal(read_file((struct slice){file, cut}).error, ERR_NONE);
    assert_int_equal(read_file((struct slice){file, size - 1}).error, ERR_NONE);
}

static void a_foreign_file_is_refused(void **state)
{
    (void)state;
    check_refused("", 0, "the file is empty");
    check_refused("hello\n", 1, "is not the first line of a snapshot file of Artemis");
    check_refused("{}\n", 1, "is not the first line of a snapshot file of Artemis");
    check_refused(INSTANCE, 1, "is not the first line of a snapshot file of Artemis");
    check_refused("\n" HEAD, 1, "is not the first line of a snapshot file of Artemis");
    check_refused("{\"artemis_snapshot\":2}\n", 1, "use a later version of artemis");
}

static void a_damaged_line_is_named(void **state)
{
    (void)state;
    check_refused(HEAD INSTANCE "{\"region_id\":\n" END, 3, "is not a JSON object");
    check_refused(HEAD "[]\n", 2, "is not a JSON object");
    check_refused(HEAD "\n" END, 2, "version: is required");
    check_refused(HEAD "{" KEY ",\"ip\":\"1\",\"port\":70000," STAMP "}\n", 2,
                  "port: must be 0 to");
    check_refused(HEAD "{" KEY ",\"ip\":\"1\"}\n", 2, "version: is required");
    check_refused(HEAD "{" KEY ",\"ip\":\"1\",\"version\":7}\n", 2, "origin: must be 1 to 255");
    check_refused(HEAD "{\"service_id\":\"s\"," STAMP ",\"deleted\":true}\n", 2, "region_id");
    check_refused(HEAD "{" KEY "," STAMP "}\n", 2, "url");
    check_refused(HEAD HEAD, 2, "version: is required");
}

static void the_last_line_counts_the_others(void **state)
{
    (void)state;
    check_refused(HEAD INSTANCE END, 3, "tombstones: must be 0");
    check_refused(HEAD INSTANCE INSTANCE DELETED END, 5, "instances: must be 2");
    check_refused(HEAD INSTANCE DELETED END INSTANCE, 5, "follows the last line");
    check_refused(HEAD INSTANCE DELETED, 3, "ends without its last line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_accepted),
        cmocka_unit_test(what_is_written_is_accepted),
        cmocka_unit_test(a_cut_file_is_refused),
        cmocka_unit_test(a_foreign_file_is_refused),
        cmocka_unit_test(a_damaged_line_is_named),
        cmocka_unit_test(the_last_line_counts_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
