/* SPDX-License-Identifier: Apache-2.0
 *
 * How leases and guards are printed, also when fields are missing.
 */
#include "artemis/output/view_leases.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <stdlib.h>
#include <string.h>

static void assert_leases(const char *json, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    json_t *root = quoted_json(json);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_leases(root, out, 0);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
    json_decref(root);
}

static void leases_are_lines(void **state)
{
    (void)state;
    assert_leases("{'leases':{'orders':["
                  "{'instance':{'instance_id':'a','status':'up','region_id':'r','zone_id':'z'},"
                  "'renewed_ms_ago':1200,'ends_in_ms':28800,'held':false},"
                  "{'instance':{'instance_id':'b','status':'down','group_id':'g'},"
                  "'renewed_ms_ago':45000,'ends_in_ms':0,'held':true},7]}}",
                  "INSTANCE  STATUS  RENEWED  EXPIRES  GUARD    ZONE  GROUP\n"
                  "a         up          1 s     28 s           r/z\n"
                  "b         down       45 s     0 ms  guarded        g\n"
                  "                        -        -\n");
}

static void leases_none_is_a_message(void **state)
{
    (void)state;
    assert_leases("{'leases':{'orders':[]}}", "the service has no leases\n");
    assert_leases("{}", "the service has no leases\n");
}

#define OFF     "'node':{'state':'off','renewals':0,'expected_renewals':0,'held':0}"
#define NODE_ON "'node':{'state':'on','renewals':1,'expected_renewals':90,'held':1204,'cause':'C'}"
#define ORDERS_ON                                                                                  \
    "{'service_id':'orders','state':'on','cause':'D','since_ms_ago':61000,'ends_in_ms':9000,"      \
    "'renewals':2,'expected_renewals':60,'held':58}"
#define PAY_RELEASED "{'service_id':'pay','state':'released','cause':'E','held':0}"

static void assert_guards(const char *json, const char *service, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    json_t *root = quoted_json(json);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_guards(root, service, out, 0);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
    json_decref(root);
}

static void guards_are_lines_with_their_causes(void **state)
{
    (void)state;
    static const char all[] = "{'guard':{" OFF ",'services':[" ORDERS_ON "," PAY_RELEASED "]}}";
    assert_guards(all, NULL,
                  "SCOPE   STATE     RENEWALS  EXPECTED  SUSPENDED  SINCE  ENDS IN\n"
                  "(node)  off              0         0          0      -        -\n"
                  "orders  engaged          2        60         58  1 min      9 s\n"
                  "  D\n"
                  "pay     released         -         -          0      -        -\n"
                  "  E\n");
    assert_guards(all, "Orders",
                  "SCOPE   STATE    RENEWALS  EXPECTED  SUSPENDED  SINCE  ENDS IN\n"
                  "orders  engaged         2        60         58  1 min      9 s\n"
                  "  D\n");
    assert_guards(all, "other", "the guard of other is off\n");
}

static void engaged_guard_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *json, *service;
        bool engaged;
        const char *summary;
    } rows[] = {
        {"{'guard':{" OFF ",'services':[]}}", NULL, false, "off"},
        {"{'guard':{" OFF ",'services':[]}}", "orders", false, "off"},
        {"{'guard':{" OFF ",'services':[" PAY_RELEASED "]}}", NULL, false, "off"},
        {"{'guard':{" OFF ",'services':[" ORDERS_ON "]}}", NULL, true,
         "engaged for 1 service; 0 evictions suspended"},
        {"{'guard':{" OFF ",'services':[" ORDERS_ON "]}}", "ORDERS", true,
         "engaged for 1 service; 0 evictions suspended"},
        {"{'guard':{" NODE_ON ",'services':[]}}", NULL, true,
         "engaged for the node; 1,204 evictions suspended"},
        {"{'guard':{" NODE_ON ",'services':[]}}", "orders", false,
         "engaged for the node; 1,204 evictions suspended"},
        {"{'guard':{" NODE_ON ",'services':[" ORDERS_ON "," ORDERS_ON "]}}", NULL, true,
         "engaged for the node and 2 services; 1,204 evictions suspended"},
        {"{}", NULL, false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[VIEW_GUARD_MAX];
        json_t *root = quoted_json(rows[i].json);
        assert_int_equal(view_guard_is_engaged(root, rows[i].service), rows[i].engaged);
        assert_string_equal(view_guard_summary(root, text), rows[i].summary);
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_are_lines),
        cmocka_unit_test(leases_none_is_a_message),
        cmocka_unit_test(guards_are_lines_with_their_causes),
        cmocka_unit_test(engaged_guard_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
