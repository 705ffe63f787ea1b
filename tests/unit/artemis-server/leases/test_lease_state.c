/* SPDX-License-Identifier: Apache-2.0
 *
 * The legal transitions, written once more as text.
 */
#include "artemis-server/leases/lease_state.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static const char *const names[LEASE_STATES] = {
    [LEASE_NONE] = "none",
    [LEASE_ACTIVE] = "active",
    [LEASE_CONFIRMING] = "confirming",
    [LEASE_DUE] = "due",
    [LEASE_EXPIRED] = "expired",
    [LEASE_GUARDED] = "guarded",
    [LEASE_PEER_GUARDED] = "peer_guarded",
    [LEASE_LOADED] = "loaded",
};

static void transitions_are_these_and_no_others(void **state)
{
    (void)state;
    static const char *const expected = "none: active\n"
                                        "active: none confirming expired peer_guarded loaded\n"
                                        "confirming: none active due expired peer_guarded\n"
                                        "due: none active expired\n"
                                        "expired: none active guarded\n"
                                        "guarded: none active peer_guarded\n"
                                        "peer_guarded: none active due guarded\n"
                                        "loaded: none active confirming expired\n";
    char actual[512] = "";
    for (enum lease_state from = 0; from < LEASE_STATES; from++) {
        strcat(strcat(actual, names[from]), ":");
        for (enum lease_state to = 0; to < LEASE_STATES; to++)
            if (lease_state_is_legal(from, to))
                strcat(strcat(actual, " "), names[to]);
        strcat(actual, "\n");
    }
    assert_string_equal(actual, expected);
}

static void only_expired_and_guarded_leases_are_counted_as_ended(void **state)
{
    (void)state;
    for (enum lease_state from = 0; from < LEASE_STATES; from++)
        assert_int_equal(lease_state_is_ended(from), from == LEASE_EXPIRED ||
                                                         from == LEASE_GUARDED ||
                                                         from == LEASE_PEER_GUARDED);
}

static void guarded_and_loaded_leases_are_held(void **state)
{
    (void)state;
    for (enum lease_state from = 0; from < LEASE_STATES; from++)
        assert_int_equal(lease_state_is_held(from), from == LEASE_GUARDED ||
                                                        from == LEASE_PEER_GUARDED ||
                                                        from == LEASE_LOADED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transitions_are_these_and_no_others),
        cmocka_unit_test(guarded_and_loaded_leases_are_held),
        cmocka_unit_test(only_expired_and_guarded_leases_are_counted_as_ended),
    };
    return cmocka_run_group_tests_name("lease_state", tests, NULL, NULL);
}
