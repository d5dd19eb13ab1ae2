/* SPDX-License-Identifier: Apache-2.0 */
/* How a guest finds its TPM. Spec: TCG ACPI Specification 1.3 (TPM2, TCPA), 8. */
#include "core/vm.h"
#include "hw/tpm.h"
#include "util/bytes.h"

enum { CONTROL_AREA = TPM_BASE + 0x40, START_TIS = 6, START_CRB = 7, LOG_ALIGN = 256 };

static bool is_crb(Device *d) { return object_is_a(&d->object, "tpm-crb"); }

static TpmVersion version_of(Device *d)
{
    PropValue v = {0};
    Object *backend = NULL;
    if (object_get(&d->object, "tpmdev", &v, NULL) && v.kind == VALUE_STRING)
        backend = object_resolve(d->object.vm, v.s, "tpm-backend", NULL);
    prop_value_clear(&v);
    return backend ? tpm_version(backend) : TPM_2_0;
}

static bool has_ppi(Device *d)
{
    PropValue v = {0};
    return object_get(&d->object, "ppi", &v, NULL) && v.b;
}

void tpm_aml(Aml *sb, Vm *vm)
{
    static const char title[] = "T\0P\0M\0 \0002\0.\0000\0 \0D\0e\0v\0i\0c\0e\0\0";
    Device *tpm = tpm_of(vm);
    if (!tpm)
        return;
    Aml *d = aml_device("TPM"), *r = aml_resources();
    if (version_of(tpm) == TPM_2_0) {
        aml_append(d, aml_name("_HID", aml_string("MSFT0101")));
        aml_append(d, aml_name("_STR", aml_buffer(title, sizeof(title))));
        aml_append(d, aml_name("_UID", aml_int(1)));
    } else {
        aml_append(d, aml_name("_HID", aml_eisaid("PNP0C31")));
    }
    aml_append(d, aml_name("_STA", aml_int(15)));
    aml_res_memory32(r, TPM_BASE, (is_crb(tpm) ? 1 : TPM_LOCALITIES) * TPM_LOCALITY_SIZE, true);
    aml_append(d, aml_name_resources("_CRS", r));
    if (has_ppi(tpm))
        tpm_ppi_aml(d);
    aml_append(sb, d);
}

static void put_log(AcpiTables *t, GByteArray *b)
{
    bytes_put(b, TPM_LOG_SIZE, 4);
    acpi_pointer_to_file(t, b->len, 8, "etc/tpm/log", LOG_ALIGN);
    bytes_put(b, 0, 8);
}

void tpm_table(AcpiTables *t, Vm *vm)
{
    Device *tpm = tpm_of(vm);
    unsigned start;
    if (!tpm)
        return;
    bool new = version_of(tpm) == TPM_2_0;
    GByteArray *b = acpi_begin(t, new ? "TPM2" : "TCPA", new ? 4 : 2, &start);
    bytes_put(b, 0, 2);                 /* a client, not a server */
    if (new) {
        bytes_put(b, 0, 2);
        bytes_put(b, is_crb(tpm) ? CONTROL_AREA : 0, 8);
        bytes_put(b, is_crb(tpm) ? START_CRB : START_TIS, 4);
        for (unsigned i = 0; i < 3; i++)
            bytes_put(b, 0, 4);         /* parameters of starting: none */
    }
    put_log(t, b);
    acpi_end(t, start, true);
}
