/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers about this process are those of the system.
 */
#include "artemis-server/process_stats.h"

#include "tests/support/cmocka_all.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void files_are_counted_and_limited(void **state)
{
    (void)state;
    struct process_stats before;
    struct process_stats after;
    struct rlimit limit;
    process_stats(&before);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    process_stats(&after);
    close(file);
    assert_true(before.open_files >= 3);
    assert_int_equal(after.open_files, before.open_files + 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(after.max_files, limit.rlim_cur);
}

static void memory_and_processor_time_are_plausible(void **state)
{
    (void)state;
    struct process_stats stats;
    process_stats(&stats);
    assert_true(stats.cpu_seconds >= 0);
    assert_true(stats.resident_bytes >= 64 * 1024);
    assert_true(stats.virtual_bytes >= stats.resident_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_counted_and_limited),
        cmocka_unit_test(memory_and_processor_time_are_plausible),
    };
    return cmocka_run_group_tests_name("process_stats", tests, NULL, NULL);
}
