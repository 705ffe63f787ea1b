/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshot files, as `artemis snapshot restore` reads them. The first byte selects plain bytes, as
 * they are, or gzip, which the target adds.
 *
 * A refused file has a message that can be printed. The second reading of a file returns the lines
 * of the first. Records of an accepted file can be sent together, and a node refuses none of them
 * because of its form.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "artemis-core/base/gzip.h"
#include "artemis-core/json/codec_snapshot.h"
#include "artemis/snapshot/snapshot_file.h"
#include "tests/fuzz/support/fuzz.h"

enum { LINES_MAX = 100000 };

struct result {
    enum error error;
    uint64_t lines;
    struct text all;   /* lines, each with a line feed */
    struct text batch; /* the body of a call with all records */
    struct snapshot_check check;
};

static void check_problem(enum error error, const char *problem)
{
    assert(error != ERR_NO_MEMORY && error != ERR_SYSTEM);
    assert(problem[0] && text_is_utf8(slice_of(problem)));
}

static void add_line(struct result *result, struct slice line)
{
    enum snapshot_line kind;
    char message[MESSAGE_BYTES] = "";
    result->error = snapshot_check_line(&result->check, line, &kind, message);
    if (result->error) {
        check_problem(result->error, message);
        return;
    }
    if (kind != SNAPSHOT_RECORD)
        return;
    text_append_string(&result->batch, result->batch.size ? "," : "{\"instances\":[");
    text_append_slice(&result->batch, line);
}

/* Reads to the end, or to the first error. */
static void read_lines(struct snapshot_reader *reader, struct result *result, bool check)
{
    char problem[SNAPSHOT_PROBLEM_MAX] = "";
    char message[MESSAGE_BYTES] = "";
    bool ended = false;
    while (!result->error) {
        struct slice line;
        result->error = snapshot_reader_next(reader, &line, &ended, problem);
        if (result->error) {
            check_problem(result->error, problem);
            return;
        }
        if (ended)
            break;
        assert(++result->lines < LINES_MAX);
        text_append_slice(&result->all, line);
        text_append_string(&result->all, "\n");
        if (check)
            add_line(result, line);
    }
    if (check && !result->error) {
        result->error = snapshot_check_end(&result->check, message);
        if (result->error)
            check_problem(result->error, message);
    }
}

static void check_records(struct result *result)
{
    struct batch *batch;
    enum name_casing names;
    char message[MESSAGE_BYTES] = "";
    uint64_t records = result->check.instances + result->check.tombstones;
    text_append_string(&result->batch, result->batch.size ? "]}" : "{\"instances\":[]}");
    assert(!text_failed(&result->batch));
    if (records > BATCH_ITEMS_MAX)
        return;
    enum error error = batch_parse((struct slice){result->batch.data, result->batch.size},
                                   BATCH_OF_INSTANCES, &batch, &names, message);
    assert(!error && batch_count(batch) == records);
    for (size_t i = 0; i < batch_count(batch); i++) {
        struct wire_record record = {0};
        struct instance_key key;
        error = batch_stamp(batch, i, &record);
        assert(!error && record.stamp.hlc);
        error =
            record.deleted ? batch_key(batch, i, &key) : batch_instance(batch, i, &record.instance);
        assert(!error);
        instance_unref(record.instance);
    }
    batch_free(batch);
}

static void check_file(const char *path)
{
    char problem[SNAPSHOT_PROBLEM_MAX] = "";
    struct snapshot_reader *reader = NULL;
    struct result first = {0};
    struct result second = {0};
    enum error error = snapshot_reader_open(path, &reader, problem);
    assert(!error);
    read_lines(reader, &first, true);
    if (!first.error) {
        error = snapshot_reader_rewind(reader, problem);
        assert(!error);
        read_lines(reader, &second, false);
        assert(!second.error && first.lines == second.lines && first.check.is_complete);
        assert(slice_equal((struct slice){first.all.data, first.all.size},
                           (struct slice){second.all.data, second.all.size}));
        check_records(&first);
    }
    text_free(&first.all);
    text_free(&first.batch);
    text_free(&second.all);
    snapshot_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    struct text packed = {0};
    if (size == 0)
        return 0;
    if (fd < 0)
        fd = memfd_create("snapshot", MFD_CLOEXEC);
    struct slice content = fuzz_slice(data + 1, size - 1);
    if (data[0] % 2) {
        enum error error = gzip_compress(content, &packed);
        assert(!error);
        content = (struct slice){packed.data, packed.size};
    }
    assert(fd >= 0 && ftruncate(fd, 0) == 0);
    assert(pwrite(fd, content.data, content.size, 0) == (ssize_t)content.size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    check_file(path);
    text_free(&packed);
    return 0;
}
