/* SPDX-License-Identifier: Apache-2.0
 *
 * How responses of the server are printed, also when fields are missing, unknown or malformed.
 */
#include "artemis/output/view.h"

#include "tests/support/capture.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void assert_services(const char *json, const char *expected)
{
    struct capture capture;
    json_t *root = quoted_json(json);
    assert_int_equal(view_services(root, capture_begin(&capture), 0), ERR_NONE);
    capture_expect(&capture, expected);
    json_decref(root);
}

static void services_are_sorted_and_counted(void **state)
{
    (void)state;
    assert_services("{'services':["
                    "{'service_id':'pay','instances':[{'status':'up'},{'status':'down'},{}]},"
                    "{'service_id':'orders','instances':[{'status':'up'}]},"
                    "{'service_id':'bare'}]}",
                    "SERVICE  INSTANCES  UP\n"
                    "bare             0   0\n"
                    "orders           1   1\n"
                    "pay              3   1\n");
}

static void services_in_camel_case_are_read_too(void **state)
{
    (void)state;
    assert_services("{'services':[{'serviceId':'orders','instances':[{'status':'up'}]}]}",
                    "SERVICE  INSTANCES  UP\n"
                    "orders           1   1\n");
}

static void services_empty_list_is_a_message(void **state)
{
    (void)state;
    assert_services("{'services':[]}", "no services are registered\n");
    assert_services("{}", "no services are registered\n");
    assert_services("{'services':7}", "no services are registered\n");
}

static void services_malformed_items_are_blank(void **state)
{
    (void)state;
    assert_services("{'services':[1,{'service_id':2,'instances':'x'}]}",
                    "SERVICE  INSTANCES  UP\n"
                    "                 0   0\n"
                    "                 0   0\n");
}

static void assert_service(const char *json, bool all, const char *expected)
{
    struct capture capture;
    json_t *root = quoted_json(json);
    const struct service_view view = {.service = "orders", .all = all};
    view_service(root, &view, capture_begin(&capture));
    capture_expect(&capture, expected);
    json_decref(root);
}

static void service_has_a_line_for_each_instance(void **state)
{
    (void)state;
    assert_service(
        "{'service':{'instances':["
        "{'instance_id':'a','url':'http://h:1','status':'up','region_id':'local',"
        "'zone_id':'z1','group_id':'blue'},"
        "{'instance_id':'b','ip':'10.0.0.1','port':80,'status':'down','zone_id':'z2'}]}}",
        false,
        "INSTANCE  ADDRESS      STATUS  ZONE      GROUP\n"
        "a         http://h:1   up      local/z1  blue\n"
        "b         10.0.0.1:80  down    z2\n");
}

static void service_without_groups_has_no_column_for_them(void **state)
{
    (void)state;
    assert_service("{'service':{'instances':[{'instanceId':'a','url':'u','status':'up',"
                   "'regionId':'r','zoneId':'z','groupId':null}]}}",
                   false,
                   "INSTANCE  ADDRESS  STATUS  ZONE\n"
                   "a         u        up      r/z\n");
}

static void assert_wide(bool wide, size_t columns_max, const char *expected)
{
    struct capture capture;
    json_t *root =
        quoted_json("{'service':{'instances':[{'instance_id':'a','url':'u','status':'up',"
                    "'zone_id':'z','protocol':'grpc','machine_name':'m',"
                    "'metadata':{'version':'3','note':'x\\ny'}}]}}");
    const struct service_view view = {
        .service = "orders", .wide = wide, .columns_max = columns_max};
    view_service(root, &view, capture_begin(&capture));
    capture_expect(&capture, expected);
    json_decref(root);
}

static void service_wide_shows_metadata(void **state)
{
    (void)state;
    static const char narrow[] = "INSTANCE  ADDRESS  STATUS  ZONE\n"
                                 "a         u        up      z\n";
    static const char wide[] =
        "INSTANCE  ADDRESS  STATUS  ZONE  PROTOCOL  MACHINE  METADATA\n"
        "a         u        up      z     grpc      m        version=3,note=x\\ny\n";
    assert_wide(false, 0, narrow);
    assert_wide(false, 119, narrow);
    assert_wide(false, 120, wide);
    assert_wide(true, 0, wide);
    assert_wide(true, 80, wide);
}

static void service_without_instances_is_a_message(void **state)
{
    (void)state;
    assert_service("{'service':{'instances':[]}}", false,
                   "orders has no instance that is up; --all lists the others\n");
    assert_service("{}", true, "orders has no instance\n");
}

static void service_hostile_names_stay_on_their_line(void **state)
{
    (void)state;
    assert_service("{'service':{'instances':[{'instance_id':'a\\nroot','url':'\\u001b[2J',"
                   "'status':'up','zone_id':'\\u202e'}]}}",
                   false,
                   "INSTANCE  ADDRESS  STATUS  ZONE\n"
                   "a\\nroot   \\x1b[2J  up      \\u202e\n");
}

static void status_shows_the_present_fields(void **state)
{
    (void)state;
    struct capture capture;
    json_t *root = quoted_json(
        "{'node_status':{'node':{'node_id':'n1','url':'http://n1:8080',"
        "'zone':{'region_id':'local','zone_id':'z1'}},'status':'up','state':'ready',"
        "'can_service_registry':true,'cluster_id':'c1','artemis_version':'0.1.0',"
        "'uptime_secs':11520,'instances':3,'load':0.5,'quiet':true,'guard':{'on':1},'no':null}}");
    struct call_response ready = {.http_status = 503, .cluster = "artemis", .state = "other"};
    text_append_string(&ready.body, "catching up\r\nwith others");
    view_status(root, &ready, NULL, capture_begin(&capture));
    text_free(&ready.body);
    capture_expect(&capture, "node       n1\n"
                             "url        http://n1:8080\n"
                             "zone       local/z1\n"
                             "not ready  catching up\n"
                             "status     up\n"
                             "state      ready\n"
                             "cluster    c1\n"
                             "artemis    0.1.0\n"
                             "uptime     3 h 12 min\n"
                             "instances  3\n"
                             "load       0.5\n"
                             "quiet      yes\n");
    json_decref(root);
}

static void status_without_fields_uses_the_headers(void **state)
{
    (void)state;
    struct capture capture;
    json_t *root = quoted_json("{'node_status':[]}");
    const struct call_response silent = {.http_status = 200};
    view_status(root, &silent, NULL, capture_begin(&capture));
    capture_expect(&capture, "");

    struct call_response ready = {.http_status = 200, .node = "n1", .state = "ready"};
    text_append_string(&ready.body, "READY");
    json_t *leases = quoted_json("{'guard':{'node':{'state':'off'},'services':[]}}");
    view_status(root, &ready, leases, capture_begin(&capture));
    capture_expect(&capture, "node       n1\n"
                             "state      ready\n"
                             "guard      off\n");
    json_decref(leases);
    json_decref(root);
    root = quoted_json("{'node_status':{'guard':'engaged'}}");
    leases = quoted_json("{'response_status':{'reason':'no-permission'}}");
    view_status(root, &ready, leases, capture_begin(&capture));
    capture_expect(&capture, "node       n1\n"
                             "state      ready\n"
                             "guard      engaged\n");
    json_decref(leases);
    text_free(&ready.body);
    json_decref(root);
}

static void status_shows_the_storage(void **state)
{
    (void)state;
    static const struct {
        const char *storage;
        const char *expected;
    } rows[] = {
        {"{'state':'up','unstored':0,'bytes':4096}", "storage    up\n"},
        {"{'state':'up','unstored':7}", "storage    up, 7 changes unstored\n"},
        {"{'state':'failing','problem':'database or disk is full','unstored':1}",
         "storage    failing: database or disk is full, 1 change unstored\n"},
        {"null", ""},
    };
    const struct call_response ready = {.http_status = 200};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        struct capture capture;
        snprintf(text, sizeof text, "{'node_status':{'storage':%s}}", rows[i].storage);
        json_t *root = quoted_json(text);
        view_status(root, &ready, NULL, capture_begin(&capture));
        capture_expect(&capture, rows[i].expected);
        json_decref(root);
    }
}

static void uptime_is_in_two_units(void **state)
{
    (void)state;
    static const struct {
        uint64_t secs;
        const char *text;
    } cases[] = {
        {0, "0 s"},
        {59, "59 s"},
        {60, "1 min 0 s"},
        {3599, "59 min 59 s"},
        {3600, "1 h 0 min"},
        {86399, "23 h 59 min"},
        {86400, "1 d 0 h"},
        {90061, "1 d 1 h"},
        {UINT64_MAX, "213503982334601 d 7 h"},
    };
    char text[VIEW_UPTIME_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(view_uptime(cases[i].secs, text), cases[i].text);
}

static void settings_are_lines_with_their_sources(void **state)
{
    (void)state;
    struct capture capture;
    json_t *root = quoted_json("{'settings':{'a.text':{'value':'x','source':'default'},"
                               "'a.number':{'value':30,'source':'--set'},"
                               "'a.flag':{'value':false,'source':'f.toml:1'},"
                               "'a.list':{'value':['h:1','h:2'],'source':'ARTEMIS_A_LIST'},"
                               "'a.empty':{'value':[],'source':'default'},'a.odd':7}}");
    view_settings(root, capture_begin(&capture), 0);
    capture_expect(&capture, "SETTING   VALUE    SOURCE\n"
                             "a.text    x        default\n"
                             "a.number  30       --set\n"
                             "a.flag    false    f.toml:1\n"
                             "a.list    h:1,h:2  ARTEMIS_A_LIST\n"
                             "a.empty            default\n"
                             "a.odd\n");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_are_sorted_and_counted),
        cmocka_unit_test(services_in_camel_case_are_read_too),
        cmocka_unit_test(services_empty_list_is_a_message),
        cmocka_unit_test(services_malformed_items_are_blank),
        cmocka_unit_test(service_has_a_line_for_each_instance),
        cmocka_unit_test(service_without_groups_has_no_column_for_them),
        cmocka_unit_test(service_wide_shows_metadata),
        cmocka_unit_test(service_without_instances_is_a_message),
        cmocka_unit_test(settings_are_lines_with_their_sources),
        cmocka_unit_test(service_hostile_names_stay_on_their_line),
        cmocka_unit_test(status_shows_the_present_fields),
        cmocka_unit_test(status_without_fields_uses_the_headers),
        cmocka_unit_test(status_shows_the_storage),
        cmocka_unit_test(uptime_is_in_two_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
