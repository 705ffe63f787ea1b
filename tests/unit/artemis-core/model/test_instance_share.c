/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance that shares the texts of another one reads as the one that it was made from, and
 * keeps the texts until it is freed. A temporary instance is copied to be kept.
 */
#include <stdlib.h>
#include <string.h>

#include "artemis-core/model/instance.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static char long_value[300];

enum { ENTRIES = 3 };
static struct metadata_entry metadata[ENTRIES];

static struct instance_spec full_spec(const char *id)
{
    memset(long_value, 'v', sizeof(long_value));
    metadata[0] = (struct metadata_entry){SLICE("release"), SLICE("2024.11.3")};
    metadata[1] = (struct metadata_entry){SLICE("long"), {long_value, sizeof(long_value)}};
    metadata[2] = (struct metadata_entry){SLICE("empty"), SLICE("")};
    return (struct instance_spec){
        .text =
            {
                [FIELD_REGION] = SLICE("lab"),
                [FIELD_ZONE] = SLICE("zone1"),
                [FIELD_SERVICE] = SLICE("orders"),
                [FIELD_GROUP] = SLICE("blue"),
                [FIELD_INSTANCE] = slice_of(id),
                [FIELD_IP] = SLICE("10.0.0.1"),
                [FIELD_URL] = SLICE("http://orders"),
                [FIELD_STATUS] = SLICE("draining"),
                [FIELD_MACHINE_NAME] = SLICE("machine"),
                [FIELD_PROTOCOL] = SLICE("http"),
                [FIELD_HEALTH_CHECK_URL] = SLICE("http://10.0.0.1/health"),
            },
        .port = 8080,
        .metadata = metadata,
        .metadata_count = ENTRIES,
    };
}

static struct instance *make(const struct instance_spec *spec)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(spec, &instance, &problem), ERR_NONE);
    return instance;
}

/* An instance whose texts are those of another one, which it alone keeps. */
static struct instance *make_sharing(const struct instance_spec *spec)
{
    struct instance_spec of_holder = full_spec("holder");
    of_holder.text[FIELD_HEALTH_CHECK_URL] = SLICE("http://10.0.0.2/a/longer/one");
    struct instance *holder = make(&of_holder);
    struct instance *instance = make(spec);
    struct instance *sharing = instance_share(instance, holder);
    assert_non_null(sharing);
    assert_true(instance_is_sharing(sharing));
    assert_ptr_equal(instance_common_texts(sharing).data, instance_common_texts(holder).data);
    instance_unref(instance);
    instance_unref(holder);
    return sharing;
}

static void assert_same_content(const struct instance *a, const struct instance *b)
{
    struct metadata_entry x, y;
    size_t at_x = 0, at_y = 0;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        assert_true(slice_equal(instance_text(a, field), instance_text(b, field)));
    assert_true(slice_equal(instance_packed_key(a), instance_packed_key(b)));
    assert_int_equal(instance_port(a), instance_port(b));
    assert_int_equal(instance_weight(a), instance_weight(b));
    assert_int_equal(instance_status(a), instance_status(b));
    assert_true(instance_client_revision(a) == instance_client_revision(b));
    assert_int_equal(instance_metadata_count(a), instance_metadata_count(b));
    while (instance_next_metadata(a, &at_x, &x)) {
        assert_true(instance_next_metadata(b, &at_y, &y));
        assert_true(slice_equal(x.name, y.name));
        assert_true(slice_equal(x.value, y.value));
    }
    assert_false(instance_next_metadata(b, &at_y, &y));
    assert_int_equal(instance_size(a), instance_size(b));
    assert_true(instance_equal(a, b));
    assert_true(instance_equal(b, a));
}

static void sharing_instance_reads_as_its_original(void **state)
{
    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        struct instance_spec spec = full_spec("i1");
        spec.client_revision = variant & 1;
        spec.has_weight = variant & 2;
        struct instance *instance = make(&spec);
        struct instance *sharing = make_sharing(&spec);
        assert_same_content(sharing, instance);
        instance_unref(sharing);
        instance_unref(instance);
    }
}

/* Without a protocol, the first metadata entry begins where the common texts begin. */
static void metadata_alone_can_be_shared(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    spec.text[FIELD_PROTOCOL] = (struct slice){0};
    struct instance *holder = make(&spec);
    struct instance *sharing = instance_share(holder, holder);
    assert_same_content(sharing, holder);
    instance_unref(holder);
    struct instance *instance = make(&spec);
    assert_same_content(sharing, instance);
    instance_unref(instance);
    instance_unref(sharing);
}

static void sharing_instance_differs_by_any_field(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    struct instance *sharing = make_sharing(&spec);
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        spec = full_spec("i1");
        spec.text[field] = SLICE("x");
        struct instance *other = make(&spec);
        assert_false(instance_equal(sharing, other));
        instance_unref(other);
    }
    struct metadata_entry changed[ENTRIES];
    memcpy(changed, metadata, sizeof(changed));
    changed[0].value = SLICE("2024.11.4");
    spec = full_spec("i1");
    spec.metadata = changed;
    struct instance *other = make(&spec);
    assert_false(instance_equal(sharing, other));
    instance_unref(other);
    spec = full_spec("i1");
    spec.port++;
    other = make(&spec);
    assert_false(instance_equal(sharing, other));
    instance_unref(other);
    spec = full_spec("i1");
    spec.client_revision = 1;
    other = make(&spec);
    assert_false(instance_equal(sharing, other));
    instance_unref(other);
    spec = full_spec("i1");
    spec.has_weight = true;
    other = make(&spec);
    assert_false(instance_equal(sharing, other));
    instance_unref(other);
    instance_unref(sharing);
}

static void client_revision_is_added_to_a_sharing_instance(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    spec.has_weight = true;
    struct instance *sharing = make_sharing(&spec);
    struct instance *with = instance_with_client_revision(sharing, 7);
    struct instance *higher = instance_with_client_revision(with, 8);
    instance_unref(sharing);
    assert_true(instance_is_sharing(with));
    assert_int_equal(instance_client_revision(with), 7);
    instance_unref(with);
    spec.client_revision = 8;
    struct instance *instance = make(&spec);
    assert_same_content(higher, instance);
    instance_unref(instance);
    instance_unref(higher);
}

static void texts_are_freed_with_their_last_user(void **state)
{
    (void)state;
    long before = failing_malloc_live();
    struct instance_spec spec = full_spec("i1");
    struct instance *holder = make(&spec);
    struct instance *first = instance_share(holder, holder);
    struct instance *second = instance_share(holder, holder);
    assert_int_equal(failing_malloc_live(), before + 3);
    instance_unref(holder);
    instance_unref(first);
    assert_int_equal(failing_malloc_live(), before + 2); /* the second one, and the holder */
    assert_int_equal(instance_text(second, FIELD_PROTOCOL).size, 4);
    instance_unref(second);
    assert_int_equal(failing_malloc_live(), before);
}

static void sizes_count_the_texts_once_or_with_their_holder(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    struct instance *instance = make(&spec);
    struct instance *sharing = instance_share(instance, instance);
    size_t texts = instance_common_texts(instance).size;
    assert_int_equal(instance_kept_size(instance), instance_size(instance));
    assert_int_equal(instance_kept_size(sharing),
                     instance_size(instance) * 2 - texts + sizeof(void *));
    instance_unref(sharing);
    instance_unref(instance);
}

static void failed_allocation_takes_no_reference(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    struct instance *holder = make(&spec);
    struct instance *sharing = instance_share(holder, holder);
    long live = failing_malloc_live();
    failing_malloc_after(1);
    assert_null(instance_share(holder, holder));
    assert_true(failing_malloc_happened());
    failing_malloc_after(1);
    assert_null(instance_with_client_revision(sharing, 1));
    assert_true(failing_malloc_happened());
    assert_int_equal(failing_malloc_live(), live);
    instance_unref(sharing);
    assert_int_equal(failing_malloc_live(), live - 1);
    instance_unref(holder);
    assert_int_equal(failing_malloc_live(), live - 2);
}

static void temporary_instance_is_kept_as_a_copy(void **state)
{
    (void)state;
    struct instance_spec spec = full_spec("i1");
    spec.weight = 7;
    spec.has_weight = true;
    spec.client_revision = 42;
    struct instance *created = make(&spec);
    long live = failing_malloc_live();
    void *memory = malloc(instance_size(created));
    struct instance *temporary = instance_create_in(&spec, memory, instance_size(created));
    assert_ptr_equal(temporary, memory);
    assert_true(instance_equal(temporary, created));
    struct instance *kept = instance_keep(temporary);
    struct instance *sharing = instance_share(temporary, created);
    memset(memory, 0xFF, instance_size(created));
    free(memory);
    assert_true(instance_equal(kept, created));
    assert_true(instance_equal(sharing, created));
    assert_ptr_equal(instance_keep(kept), kept);
    instance_unref(kept);
    instance_unref(kept);
    instance_unref(sharing);
    assert_int_equal(failing_malloc_live(), live);
    instance_unref(created);
}

static void temporary_instance_needs_a_valid_spec_and_memory(void **state)
{
    (void)state;
    _Alignas(void *) char memory[1024];
    struct instance_spec spec = full_spec("i1");
    size_t size = instance_size(instance_create_in(&spec, memory, sizeof(memory)));
    memset(memory, 0, sizeof(memory));
    assert_null(instance_create_in(&spec, memory, size - 1));
    spec.port = PORT_MAX + 1;
    assert_null(instance_create_in(&spec, memory, sizeof(memory)));
    for (size_t i = 0; i < sizeof(memory); i++)
        assert_int_equal(memory[i], 0);
}

static void failed_allocation_keeps_no_temporary_instance(void **state)
{
    (void)state;
    _Alignas(void *) char memory[1024];
    struct instance_spec spec = full_spec("i1");
    struct instance *temporary = instance_create_in(&spec, memory, sizeof(memory));
    long live = failing_malloc_live();
    failing_malloc_after(1);
    assert_null(instance_keep(temporary));
    assert_true(failing_malloc_happened());
    assert_int_equal(failing_malloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_instance_reads_as_its_original),
        cmocka_unit_test(metadata_alone_can_be_shared),
        cmocka_unit_test(sharing_instance_differs_by_any_field),
        cmocka_unit_test(client_revision_is_added_to_a_sharing_instance),
        cmocka_unit_test(texts_are_freed_with_their_last_user),
        cmocka_unit_test(sizes_count_the_texts_once_or_with_their_holder),
        cmocka_unit_test(failed_allocation_takes_no_reference),
        cmocka_unit_test(temporary_instance_is_kept_as_a_copy),
        cmocka_unit_test(temporary_instance_needs_a_valid_spec_and_memory),
        cmocka_unit_test(failed_allocation_keeps_no_temporary_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
