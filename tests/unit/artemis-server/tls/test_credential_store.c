/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates are read, checked and replaced; whatever is wrong with new files, the earlier ones
 * stay in use.
 */
#include "artemis-server/tls/credential_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "tests/support/certificates.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static struct temp_folder folder;
static struct credential_store *store;
static struct moment now;

static struct credential_source source(void)
{
    return (struct credential_source){
        .keys = {"tls.cert", "tls.key", "tls.client_ca"},
        .paths = {certificates_path(&folder, "node.pem"), certificates_path(&folder, "node.key"),
                  certificates_path(&folder, "ca.pem")},
    };
}

static int start(void **state)
{
    static struct credential_source used;
    static char paths[CREDENTIAL_FILES][256];
    char problem[CREDENTIALS_PROBLEM_BYTES];
    (void)state;
    now = clock_now();
    temp_folder_make(&folder);
    certificates_make_authority(&folder, "ca");
    certificates_make(&folder, "ca", "node", NULL);
    used = source();
    for (int i = 0; i < CREDENTIAL_FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s", used.paths[i]);
        used.paths[i] = paths[i];
    }
    assert_int_equal(credential_store_open(&used, now, &store, problem), ERR_NONE);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    credential_store_close(store);
    temp_folder_remove(&folder);
    return 0;
}

static void check_status(uint64_t reloads, uint64_t failures, bool is_failing)
{
    struct credential_status status = credential_store_status(store, now);
    assert_int_equal(status.reloads, reloads);
    assert_int_equal(status.failures, failures);
    assert_int_equal(status.is_failing, is_failing);
}

static char *read_path(const char *path)
{
    char *content = calloc(1, 8192);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    (void)!fread(content, 1, 8191, file);
    fclose(file);
    return content;
}

static void unchanged_files_are_not_read_again(void **state)
{
    (void)state;
    credential_store_check(store, false, now);
    check_status(0, 0, false);
    credential_store_check(store, true, now);
    check_status(1, 0, false);
    assert_int_equal(credential_store_status(store, now).expiry_days, 99);
}

/* Connections that have the earlier credentials keep them, and so does libcurl by its path. */
static void earlier_credentials_stay_valid(void **state)
{
    (void)state;
    struct credentials *earlier = credential_store_get(store);
    char *before = read_path(credentials_path(earlier, CREDENTIAL_CERT));
    certificates_make(&folder, "ca", "node", NULL);
    credential_store_check(store, false, now);
    check_status(1, 0, false);
    struct credentials *later = credential_store_get(store);
    assert_ptr_not_equal(earlier, later);
    char *after = read_path(credentials_path(later, CREDENTIAL_CERT));
    char *still = read_path(credentials_path(earlier, CREDENTIAL_CERT));
    assert_string_equal(before, still);
    assert_string_not_equal(before, after);
    free(before);
    free(after);
    free(still);
    credentials_unref(earlier);
    credentials_unref(later);
}

static void bad_files_change_nothing(void **state)
{
    (void)state;
    const struct certificate_options expired = {.from_days = -2, .until_days = -1};
    const struct certificate_options future = {.from_days = 1, .until_days = 2};
    struct credentials *before = credential_store_get(store);
    temp_folder_write(&folder, "node.pem", "");
    credential_store_check(store, false, now);
    check_status(0, 1, true);
    credential_store_check(store, false, now); /* not tried again before it changes */
    check_status(0, 1, true);
    certificates_make(&folder, "ca", "node", &expired);
    credential_store_check(store, false, now);
    check_status(0, 2, true);
    certificates_make(&folder, "ca", "node", &future);
    credential_store_check(store, false, now);
    check_status(0, 3, true);
    certificates_make(&folder, "ca", "other", NULL);
    assert_int_equal(
        rename(certificates_path(&folder, "other.key"), certificates_path(&folder, "node.key")), 0);
    credential_store_check(store, false, now);
    check_status(0, 4, true);
    assert_int_equal(unlink(certificates_path(&folder, "node.key")), 0);
    credential_store_check(store, false, now);
    check_status(0, 5, true);
    struct credentials *after = credential_store_get(store);
    assert_ptr_equal(before, after);
    credentials_unref(before);
    credentials_unref(after);
    certificates_make(&folder, "ca", "node", NULL);
    credential_store_check(store, false, now);
    check_status(1, 5, false);
}

/* A certificate that was not valid yet is used as soon as it is, although its file stays. */
static void failed_files_are_tried_again(void **state)
{
    (void)state;
    const struct certificate_options future = {.from_days = 1, .until_days = 2};
    certificates_make(&folder, "ca", "node", &future);
    credential_store_check(store, false, now);
    check_status(0, 1, true);
    now.mono_ms += 59 * 1000;
    credential_store_check(store, false, now);
    check_status(0, 1, true);
    now.mono_ms += 1000;
    now.wall_ms += UINT64_C(30) * 3600 * 1000;
    credential_store_check(store, false, now);
    check_status(1, 1, false);
    now.mono_ms += 60 * 1000;
    credential_store_check(store, false, now);
    check_status(1, 1, false);
}

static bool key_is_exposed_with(unsigned mode)
{
    assert_int_equal(chmod(certificates_path(&folder, "node.key"), mode), 0);
    credential_store_check(store, true, now);
    struct credentials *loaded = credential_store_get(store);
    bool is_exposed = credentials_key_is_exposed(loaded);
    credentials_unref(loaded);
    return is_exposed;
}

static void keys_of_everyone_are_found(void **state)
{
    (void)state;
    assert_false(key_is_exposed_with(0600));
    assert_false(key_is_exposed_with(0440));
    assert_true(key_is_exposed_with(0644));
    assert_true(key_is_exposed_with(0660));
    assert_true(key_is_exposed_with(0602));
    struct stat copy;
    struct credentials *loaded = credential_store_get(store);
    assert_int_equal(stat(credentials_path(loaded, CREDENTIAL_KEY), &copy), 0);
    assert_int_equal(copy.st_mode & 0777, 0400);
    credentials_unref(loaded);
}

static void expiry_is_counted_in_days(void **state)
{
    (void)state;
    struct moment later = now;
    later.wall_ms += UINT64_C(99) * 24 * 3600 * 1000;
    assert_int_equal(credential_store_status(store, later).expiry_days, 0);
    later.wall_ms += UINT64_C(2) * 24 * 3600 * 1000;
    assert_true(credential_store_status(store, later).expiry_days < 0);
}

static void lack_of_memory_changes_nothing(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        uint64_t reloads = credential_store_status(store, now).reloads;
        failing_malloc_after(n);
        credential_store_check(store, true, now);
        bool has_failed = failing_malloc_happened();
        failing_malloc_after(-1);
        struct credentials *current = credential_store_get(store);
        assert_non_null(current);
        credentials_unref(current);
        if (!has_failed) {
            assert_int_equal(credential_store_status(store, now).reloads, reloads + 1);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unchanged_files_are_not_read_again, start, stop),
        cmocka_unit_test_setup_teardown(earlier_credentials_stay_valid, start, stop),
        cmocka_unit_test_setup_teardown(bad_files_change_nothing, start, stop),
        cmocka_unit_test_setup_teardown(failed_files_are_tried_again, start, stop),
        cmocka_unit_test_setup_teardown(keys_of_everyone_are_found, start, stop),
        cmocka_unit_test_setup_teardown(expiry_is_counted_in_days, start, stop),
        cmocka_unit_test_setup_teardown(lack_of_memory_changes_nothing, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
