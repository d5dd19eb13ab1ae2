/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical presence interface: memory in which the operating system leaves what firmware shall do with the TPM
 * at the next start. Specs: TCG PC Client Platform Physical Presence Interface 1.30; TCG Platform Reset Attack
 * Mitigation 1.10; QEMU's docs/specs/tpm (the memory's layout, which SeaBIOS and OVMF know).
 */
#include <string.h>
#include "hw/fw_cfg.h"
#include "hw/tpm.h"
#include "util/rcu.h"

enum {
    ADDRESS = TPM_BASE + TPM_LOCALITIES * TPM_LOCALITY_SIZE, PAGE = 4096, FUNCTIONS = 0x100,
    REQUESTS_AT = 0x100, REQUESTS = 0x15, OVERWRITE_AT = 0x15a, OVERWRITE = 1, VERSION_1_30 = 1,
    KIND = 7,                   /* of a function's byte: 0 unknown, 1 firmware only, 2 blocked, 3 asks, 4 just does */
};

/* What firmware finds in etc/tpm/config. */
typedef struct __attribute__((packed)) Config {
    uint32_t address;
    uint8_t tpm, version;
} Config;

bool tpm_ppi_place(TpmPpi *p, Device *d, Object *backend, GError **error)
{
    Vm *vm = d->object.vm;
    Config c = {GUINT32_TO_LE(ADDRESS), tpm_version(backend), VERSION_1_30};
    FwCfg *fw_cfg = vm->machine ? vm->machine->fw_cfg : NULL;
    if (!p->on)
        return true;
    p->memory = mem_ram(&d->object, "tpm-ppi", PAGE, NULL, error);
    if (!p->memory)
        return false;
    mem_add(vm->memory_root, ADDRESS, p->memory, 1);
    if (fw_cfg)
        fw_cfg_add_file(fw_cfg, "etc/tpm/config", &c, sizeof(c));
    return true;
}

static void wipe(uint64_t pa, const MemSection *s, void *memory)
{
    Object *o = memory;
    if (!s->host || s->readonly || s->region == memory)
        return;
    memset(s->host, 0, s->left);
    ram_written(o->vm, s->ram_offset, s->left);
}

void tpm_ppi_reset(TpmPpi *p, Device *d)
{
    uint8_t *memory = p->memory ? mem_host(p->memory) : NULL;
    if (!memory || !(memory[OVERWRITE_AT] & OVERWRITE))
        return;
    rcu_read_lock();
    as_foreach(d->object.vm->memory, wipe, p->memory);
    rcu_read_unlock();
}

/* ---- ACPI ---- */

static Aml *returns(uint64_t v) { return aml_return(aml_int(v)); }

static Aml *when(Aml *condition, Aml *first, Aml *second)
{
    Aml *block = aml_if(condition);
    aml_append(block, first);
    if (second)
        aml_append(block, second);
    return block;
}

static Aml *is_function(unsigned n) { return aml_equal(aml_arg(2), aml_int(n)); }
static Aml *is_revision(unsigned n) { return aml_equal(aml_arg(1), aml_int(n)); }
static Aml *argument(unsigned n) { return aml_deref(aml_index(aml_arg(3), aml_int(n))); }

static Aml *set_element(const char *package, unsigned n, const char *from)
{
    return aml_store(aml_path(from), aml_index(aml_path(package), aml_int(n)));
}

/* TPFN: what firmware says of an operation. */
static void add_function_lookup(Aml *tpm)
{
    Aml *m = aml_method("TPFN", 1, true), *known = aml_if(aml_less(aml_arg(0), aml_int(FUNCTIONS)));
    aml_append(known, aml_region_at("TPP1", 0, aml_add(aml_int(ADDRESS), aml_arg(0), NULL), 1));
    aml_append(known, aml_field("TPP1", 1, "TPPF", 8));
    aml_append(known, aml_return(aml_path("TPPF")));
    aml_append(m, known);
    aml_append(m, returns(0));
    aml_append(tpm, m);
}

static Aml *kind_of_operation(void)
{
    Aml *operation[] = {argument(0)};
    return aml_and(aml_call("TPFN", operation, 1), aml_int(KIND));
}

/* Function 2: submit an operation. */
static Aml *submit(void)
{
    Aml *f = aml_if(is_function(2));
    aml_append(f, when(aml_equal(kind_of_operation(), aml_int(0)), returns(1), NULL));
    aml_append(f, aml_store(argument(0), aml_path("PPRQ")));
    aml_append(f, aml_store(aml_int(0), aml_path("PPRM")));
    aml_append(f, returns(0));
    return f;
}

/* Function 7: the same with a parameter, and it says when firmware refuses. */
static Aml *submit_with_parameter(void)
{
    Aml *f = aml_if(is_function(7));
    aml_append(f, aml_store(kind_of_operation(), aml_local(0)));
    aml_append(f, when(aml_equal(aml_local(0), aml_int(0)), returns(1), NULL));
    aml_append(f, when(aml_equal(aml_local(0), aml_int(2)), returns(3), NULL));
    aml_append(f, aml_store(aml_int(0), aml_path("PPRM")));
    aml_append(f, when(is_revision(2), aml_store(argument(1), aml_path("PPRM")), NULL));
    aml_append(f, aml_store(argument(0), aml_path("PPRQ")));
    aml_append(f, returns(0));
    return f;
}

/* Function 3: what waits; by revision with its parameter. */
static Aml *pending(void)
{
    Aml *f = aml_if(is_function(3)), *new = aml_if(is_revision(2));
    aml_append(f, when(is_revision(1), set_element("TPM2", 1, "PPRQ"), aml_return(aml_path("TPM2"))));
    aml_append(new, set_element("TPM3", 1, "PPRQ"));
    aml_append(new, set_element("TPM3", 2, "PPRM"));
    aml_append(new, aml_return(aml_path("TPM3")));
    aml_append(f, new);
    return f;
}

/* Function 5: what became of the last one. */
static Aml *response(void)
{
    Aml *f = aml_if(is_function(5));
    aml_append(f, set_element("TPM3", 1, "LPPR"));
    aml_append(f, set_element("TPM3", 2, "PPRP"));
    aml_append(f, aml_return(aml_path("TPM3")));
    return f;
}

static Aml *presence(void)
{
    enum { REBOOT = 2, NO_LANGUAGES = 3 };
    static const uint8_t functions[] = {0xff, 0x01};
    Aml *is = aml_if(aml_equal(aml_arg(0), aml_uuid("3dddfaa6-361b-4eb4-a424-8d10089d1653")));
    aml_append(is, when(is_function(0), aml_return(aml_buffer(functions, sizeof(functions))), NULL));
    aml_append(is, when(is_function(1), aml_return(aml_string("1.3")), NULL));
    aml_append(is, submit());
    aml_append(is, pending());
    aml_append(is, when(is_function(4), returns(REBOOT), NULL));
    aml_append(is, response());
    aml_append(is, when(is_function(6), returns(NO_LANGUAGES), NULL));
    aml_append(is, submit_with_parameter());
    aml_append(is, when(is_function(8), aml_return(kind_of_operation()), NULL));
    aml_append(is, aml_return(aml_buffer("", 1)));
    return is;
}

/* Memory is to be overwritten at the next start. */
static Aml *overwriting(void)
{
    static const uint8_t functions[] = {0x03};
    Aml *is = aml_if(aml_equal(aml_arg(0), aml_uuid("376054ed-cc13-4675-901c-4756d7f2d45d")));
    aml_append(is, when(is_function(0), aml_return(aml_buffer(functions, sizeof(functions))), NULL));
    aml_append(is, when(is_function(1), aml_store(argument(0), aml_path("MOVV")), returns(0)));
    return is;
}

void tpm_ppi_aml(Aml *tpm)
{
    static const AmlUnit requests[] = {{"PPIN", 8}, {"PPIP", 32}, {"PPRP", 32}, {"PPRQ", 32}, {"PPRM", 32}, {"LPPR", 32}};
    Aml *two[] = {aml_int(0), aml_int(0)}, *three[] = {aml_int(0), aml_int(0), aml_int(0)};
    aml_append(tpm, aml_region("TPP2", 0, ADDRESS + REQUESTS_AT, REQUESTS));
    aml_append(tpm, aml_fields("TPP2", 0, false, 0, requests, G_N_ELEMENTS(requests)));
    aml_append(tpm, aml_region("TPP3", 0, ADDRESS + OVERWRITE_AT, 1));
    aml_append(tpm, aml_field("TPP3", 1, "MOVV", 8));
    add_function_lookup(tpm);
    aml_append(tpm, aml_name("TPM2", aml_package(two, 2)));
    aml_append(tpm, aml_name("TPM3", aml_package(three, 3)));
    Aml *m = aml_method("_DSM", 4, true);
    aml_append(m, presence());
    aml_append(m, overwriting());
    aml_append(m, aml_return(aml_buffer("", 1)));
    aml_append(tpm, m);
}
