/* SPDX-License-Identifier: Apache-2.0
 *
 * How the refused items of a response are printed.
 */
#include "artemis/call/server_call.h"

#include "tests/support/capture.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void failed_items_are_named_up_to_ten(void **state)
{
    (void)state;
    struct capture capture;
    json_t *failed =
        quoted_json("[{'service_id':'a','instance_id':'1','error_message':'m'},"
                    "{'instance':{'serviceId':'b','instanceId':'2'},'errorCode':'c'}]");
    server_call_print_failed(failed, capture_begin(&capture));
    capture_expect(&capture, "  a/1: m\n  b/2: c\n");

    for (int i = 0; i < 10; i++)
        assert_int_equal(json_array_append_new(failed, json_object()), 0);
    server_call_print_failed(failed, capture_begin(&capture));
    fflush(capture.out);
    assert_non_null(strstr(capture.printed, "\n  and 2 more\n"));
    fclose(capture.out);
    free(capture.printed);
    json_decref(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_items_are_named_up_to_ten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
