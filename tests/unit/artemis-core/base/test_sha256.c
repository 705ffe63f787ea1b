/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparisons of secrets: their result, and that they read everything whatever differs. The end of
 * a text is on a page that cannot be read, so a child process that reads it is killed. Digests as
 * such: tests/unit/artemis-core/auth/test_token.c.
 */
#include "artemis-core/base/sha256.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"

enum { SIZE = 64 };

static char *pages; /* the second one cannot be read */
static size_t page_size;

static int set_up(void **state)
{
    (void)state;
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    return mprotect(pages + page_size, page_size, PROT_NONE);
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(pages, 2 * page_size);
}

static bool equal_texts(const char *a, const char *b)
{
    return text_equal_secret((struct slice){a, SIZE}, (struct slice){b, SIZE});
}

static bool equal_digests(const char *a, const char *b)
{
    return sha256_equal((const struct sha256 *)a, (const struct sha256 *)b);
}

/* Whether the comparison of two texts that differ from the first byte on reads their last one. */
static bool reads_the_end(bool (*equal)(const char *, const char *), size_t size)
{
    char zeros[SIZE] = {0};
    int status = 0;
    char *text = pages + page_size - (size - 1);
    memset(text, 'x', size - 1);
    pid_t child = fork();
    if (child == 0) {
        volatile bool result;
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        result = equal(zeros, text);
        (void)result;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void comparison_of_different_secrets_reads_them_whole(void **state)
{
    (void)state;
    assert_true(reads_the_end(equal_texts, SIZE));
    assert_true(reads_the_end(equal_digests, SHA256_BYTES));
}

/* Each byte counts, also those after the last 8 together. */
static void secrets_that_differ_in_a_byte_are_different(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 2 * sizeof(uint64_t) + 1; size++) {
        char a[SIZE] = "artemis_0123456789";
        char b[SIZE] = "artemis_0123456789";
        assert_true(text_equal_secret((struct slice){a, size}, (struct slice){b, size}));
        assert_false(text_equal_secret((struct slice){a, size}, (struct slice){b, size - 1}));
        for (size_t at = 0; at < size; at++) {
            b[at] ^= 1;
            assert_false(text_equal_secret((struct slice){a, size}, (struct slice){b, size}));
            b[at] ^= 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comparison_of_different_secrets_reads_them_whole, set_up,
                                        tear_down),
        cmocka_unit_test(secrets_that_differ_in_a_byte_are_different),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
