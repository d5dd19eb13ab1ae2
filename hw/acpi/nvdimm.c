/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of NVDIMMs: what came after the start, and labels. Specs: ACPI 6.5, 9.20; NVDIMM DSM Interface 1.6;
 * QEMU's docs/specs/acpi_nvdimm. A method fills a page with a call and writes its address to a register; the
 * answer stands in the page then.
 */
#include <string.h>
#include "hw/acpi-hotplug.h"
#include "hw/acpi/aml.h"
#include "hw/mem.h"
#include "util/bytes.h"

enum {
    PAGE = 4096, TABLE_ID_AT = 16,
    HANDLE = 0, REVISION = 4, FUNCTION = 8, ARGUMENT = 12,      /* of a call */
    LENGTH = 0, RESULT = 4, STATUS = 4, DATA = 8,               /* of an answer; the length counts itself */
    OFFSET_AT = ARGUMENT, COUNT_AT = ARGUMENT + 4, NEW_AT = ARGUMENT + 8,
    LARGEST = PAGE - NEW_AT,                                    /* piece of labels, both ways */
    ROOT = 0, FIT = 0x10000, READ_FIT = 1, FIT_CHANGED = 0x100,
    QUERY = 0, LABEL_SIZE = 4, GET_LABELS = 5, SET_LABELS = 6,
    SUCCESS = 0, UNSUPPORTED = 1, NO_DEVICE = 2, INVALID = 3,
};

typedef struct NvdimmBlock {
    Device dev;
    AcpiEvent event;
    GByteArray *fit;
    MemoryDevice *in_slot[ACPI_MEMORY_SLOTS];   /* those with labels; they stay */
    bool fit_changed;           /* since the guest began to read it */
} NvdimmBlock;

/* ---- calls: in the page, which becomes the answer ---- */

static uint32_t word(const uint8_t *page, unsigned at)
{
    uint32_t v;
    memcpy(&v, page + at, 4);
    return GUINT32_FROM_LE(v);
}

static void put_word(uint8_t *page, unsigned at, uint32_t v) { bytes_store(page + at, v, 4); }

/* A status, and `n` bytes that are in place behind it. */
static void answer(uint8_t *page, uint32_t status, unsigned n)
{
    put_word(page, LENGTH, DATA + n);
    put_word(page, STATUS, status);
}

static void read_fit(NvdimmBlock *s, uint8_t *page)
{
    uint32_t at = word(page, OFFSET_AT);
    if (at == 0)
        s->fit_changed = false;
    if (s->fit_changed || at > s->fit->len) {
        answer(page, s->fit_changed ? FIT_CHANGED : INVALID, 0);
        return;
    }
    unsigned n = MIN(s->fit->len - at, PAGE - DATA);
    memcpy(page + DATA, s->fit->data + at, n);
    answer(page, SUCCESS, n);
}

/* Whether offset and count of the call are within the labels. */
static bool piece_fits(const uint8_t *page, const MemoryDevice *m)
{
    uint32_t at = word(page, OFFSET_AT), n = word(page, COUNT_AT), size = nvdimm_label_size(m);
    return n <= LARGEST && at <= size && n <= size - at;
}

static void tell_size(const MemoryDevice *m, uint8_t *page)
{
    put_word(page, DATA, nvdimm_label_size(m));
    put_word(page, DATA + 4, MIN(nvdimm_label_size(m), LARGEST));
    answer(page, SUCCESS, 8);
}

static void get_labels(const MemoryDevice *m, uint8_t *page)
{
    uint32_t at = word(page, OFFSET_AT), n = word(page, COUNT_AT);
    if (!piece_fits(page, m)) {
        answer(page, INVALID, 0);
        return;
    }
    memcpy(page + DATA, nvdimm_labels(m) + at, n);
    answer(page, SUCCESS, n);
}

static void set_labels(const MemoryDevice *m, uint8_t *page)
{
    uint32_t at = word(page, OFFSET_AT), n = word(page, COUNT_AT);
    if (!piece_fits(page, m)) {
        answer(page, INVALID, 0);
        return;
    }
    memcpy(nvdimm_labels(m) + at, page + NEW_AT, n);
    mem_host_dirty(m->dev->object.vm, nvdimm_labels(m) + at, n);
    answer(page, SUCCESS, 0);
}

static uint32_t functions(const MemoryDevice *m)
{
    return !m ? 0 : 1u << QUERY | 1u << LABEL_SIZE | 1u << GET_LABELS |
                    (nvdimm_labels_readonly(m) ? 0 : 1u << SET_LABELS);
}

static void call_module(NvdimmBlock *s, uint32_t slot, uint8_t *page)
{
    const MemoryDevice *m = slot < ACPI_MEMORY_SLOTS ? s->in_slot[slot] : NULL;
    uint32_t function = word(page, FUNCTION);
    if (function == QUERY) {            /* no status: the set of functions alone */
        put_word(page, RESULT, functions(m));
        put_word(page, LENGTH, RESULT + 4);
    } else if (word(page, REVISION) != 1 || function > SET_LABELS || !(functions(m) >> function & 1)) {
        answer(page, m || slot == UINT32_MAX ? UNSUPPORTED : NO_DEVICE, 0);
    } else if (function == LABEL_SIZE) {
        tell_size(m, page);
    } else if (function == GET_LABELS) {
        get_labels(m, page);
    } else {
        set_labels(m, page);
    }
}

static void write_block(Device *d, uint64_t at, uint64_t v, unsigned size)
{
    NvdimmBlock *s = (NvdimmBlock *)d;
    uint8_t page[PAGE];
    if (!dma_read(d, v, page, sizeof(page)))
        return;
    uint32_t handle = word(page, HANDLE);
    if (handle == FIT && word(page, FUNCTION) == READ_FIT)
        read_fit(s, page);
    else
        call_module(s, handle - 1, page);
    dma_write(d, v, page, MIN(word(page, LENGTH), PAGE));
}

/* ---- the device ---- */

static void init(Object *o) { ((NvdimmBlock *)o)->fit = g_byte_array_new(); }
static void finish(Object *o) { g_byte_array_unref(((NvdimmBlock *)o)->fit); }

static const Field fields[] = {
    HOST(NvdimmBlock, event), HOST(NvdimmBlock, fit), HOST(NvdimmBlock, in_slot), SAVED(NvdimmBlock, fit_changed),
};
static const DeviceType type = {
    .name = "acpi-nvdimm", .desc = "ACPI methods of NVDIMMs", .size = sizeof(NvdimmBlock),
    .window = ACPI_NVDIMM_WINDOW, .min_access = 4, .max_access = 4, FIELDS(fields), .init = init, .finish = finish,
    .write = write_block,
};
DEVICE_TYPE(type);

Device *acpi_nvdimm_new(Vm *vm, AcpiEvent event)
{
    NvdimmBlock *s = (NvdimmBlock *)device_draft(vm, "acpi-nvdimm");
    s->event = event;
    device_start(&s->dev);
    return &s->dev;
}

static void find_labels(MemoryDevice *m, void *data)
{
    if (m->kind == MEMORY_NVDIMM && nvdimm_label_size(m))
        ((NvdimmBlock *)data)->in_slot[m->slot] = m;
}

void acpi_nvdimm_changed(Device *d, bool tell)
{
    NvdimmBlock *s = (NvdimmBlock *)d;
    g_autoptr(GByteArray) fit = acpi_nfit_structures(d->object.vm);
    device_lock(d);
    GByteArray *old = s->fit;
    s->fit = g_steal_pointer(&fit);
    s->fit_changed = true;
    memory_device_foreach(d->object.vm, find_labels, s);
    device_unlock(d);
    g_byte_array_unref(old);
    if (tell)
        s->event.raise(s->event.opaque);
}

/* ---- AML ---- */

static void put(Aml *m, Aml *value, const char *field) { aml_append(m, aml_store(value, aml_path(field))); }

/* The register, and the page as a call and as an answer. */
static void add_registers(Aml *root, uint16_t port)
{
    static const AmlUnit call[] = {{"HDLE", 32}, {"REVS", 32}, {"FUNC", 32}, {"FARG", 8 * (PAGE - ARGUMENT)}};
    static const AmlUnit result[] = {{"RLEN", 32}, {"ODAT", 8 * (PAGE - RESULT)}};
    static const AmlUnit fit[] = {{NULL, 32}, {"FSTA", 32}, {NULL, 32}, {"FOFS", 32}};
    aml_append(root, aml_region("NPIO", 1, port, ACPI_NVDIMM_WINDOW));
    aml_append(root, aml_field("NPIO", 3, "NTFI", 32));
    aml_append(root, aml_region_at("NRAM", 0, aml_path("MEMA"), PAGE));
    aml_append(root, aml_fields("NRAM", 3, false, 0, call, G_N_ELEMENTS(call)));
    aml_append(root, aml_fields("NRAM", 3, false, 0, result, G_N_ELEMENTS(result)));
    aml_append(root, aml_fields("NRAM", 3, false, 0, fit, G_N_ELEMENTS(fit)));
}

static Aml *empty_buffer(void) { return aml_buffer(NULL, 0); }

/* NCAL: UUID, revision, function, package of an argument; handle. */
static void add_call(Aml *root)
{
    static const uint8_t unsupported[] = {UNSUPPORTED}, none[] = {0};
    Aml *m = aml_method("NCAL", 5, true);
    aml_append(m, aml_store(aml_uuid("4309AC30-0D11-11E4-9191-0800200C9A66"), aml_local(0)));
    Aml *of_root = aml_if(aml_equal(aml_arg(4), aml_int(ROOT)));
    aml_append(of_root, aml_store(aml_uuid("2F10E7A4-9E91-11E4-89D3-123B93F75CBA"), aml_local(0)));
    aml_append(m, of_root);
    Aml *unknown = aml_if(aml_not_equal(aml_arg(0), aml_local(0)));
    Aml *query = aml_if(aml_equal(aml_arg(2), aml_int(QUERY)));
    aml_append(query, aml_return(aml_buffer(none, 1)));
    aml_append(unknown, query);
    aml_append(unknown, aml_return(aml_buffer(unsupported, 1)));
    aml_append(m, unknown);

    put(m, aml_arg(4), "HDLE");
    put(m, aml_arg(1), "REVS");
    put(m, aml_arg(2), "FUNC");
    Aml *has = aml_if(aml_logical_and(aml_equal(aml_object_type(aml_arg(3)), aml_int(4)),
                                      aml_equal(aml_sizeof(aml_arg(3)), aml_int(1))));
    aml_append(has, aml_store(aml_deref(aml_index(aml_arg(3), aml_int(0))), aml_local(1)));
    put(has, aml_local(1), "FARG");
    aml_append(m, has);
    put(m, aml_path("MEMA"), "NTFI");
    aml_append(m, aml_store(aml_subtract(aml_path("RLEN"), aml_int(RESULT), NULL), aml_local(2)));
    aml_append(m, aml_return(aml_mid(aml_path("ODAT"), aml_int(0), aml_local(2))));
    aml_append(root, m);
}

/* _FIT: piece by piece, from the beginning if it changes. */
static void add_fit(Aml *root)
{
    Aml *m = aml_method("_FIT", 0, true), *loop = aml_while(aml_int(1));
    aml_append(m, aml_store(aml_int(0), aml_local(0)));
    aml_append(m, aml_store(empty_buffer(), aml_local(1)));
    put(loop, aml_int(FIT), "HDLE");
    put(loop, aml_int(1), "REVS");
    put(loop, aml_int(READ_FIT), "FUNC");
    put(loop, aml_local(0), "FOFS");
    put(loop, aml_path("MEMA"), "NTFI");
    Aml *again = aml_if(aml_equal(aml_path("FSTA"), aml_int(FIT_CHANGED)));
    aml_append(again, aml_store(aml_int(0), aml_local(0)));
    aml_append(again, aml_store(empty_buffer(), aml_local(1)));
    aml_append(loop, again);
    Aml *more = aml_else();
    Aml *bad = aml_if(aml_not_equal(aml_path("FSTA"), aml_int(SUCCESS)));
    aml_append(bad, aml_return(empty_buffer()));
    aml_append(more, bad);
    aml_append(more, aml_store(aml_subtract(aml_path("RLEN"), aml_int(DATA), NULL), aml_local(2)));
    Aml *end = aml_if(aml_equal(aml_local(2), aml_int(0)));
    aml_append(end, aml_return(aml_local(1)));
    aml_append(more, end);
    aml_append(more, aml_store(aml_mid(aml_path("ODAT"), aml_int(DATA - RESULT), aml_local(2)), aml_local(3)));
    aml_append(more, aml_store(aml_concatenate(aml_local(1), aml_local(3)), aml_local(1)));
    aml_append(more, aml_add(aml_local(0), aml_local(2), aml_local(0)));
    aml_append(loop, more);
    aml_append(m, loop);
    aml_append(m, aml_return(aml_local(1)));
    aml_append(root, m);
}

static void add_dsm(Aml *d, unsigned handle)
{
    Aml *m = aml_method("_DSM", 4, true);
    Aml *args[] = {aml_arg(0), aml_arg(1), aml_arg(2), aml_arg(3), aml_int(handle)};
    aml_append(m, aml_return(aml_call("NCAL", args, G_N_ELEMENTS(args))));
    aml_append(d, m);
}

void acpi_nvdimm_table(AcpiTables *t, uint16_t port, unsigned slots)
{
    unsigned start;
    GByteArray *b = acpi_begin(t, "SSDT", 1, &start);
    memcpy(b->data + start + TABLE_ID_AT, "NVDIMM\0", 8);
    acpi_name_of_file(t, "MEMA", ACPI_NVDIMM_PAGE, PAGE);
    Aml *sb = aml_scope("\\_SB"), *root = aml_device("NVDR"), *gpe = aml_scope("\\_GPE");
    Aml *event = aml_method("_E04", 0, false);
    aml_append(root, aml_name("_HID", aml_string("ACPI0012")));
    add_registers(root, port);
    add_call(root);
    add_fit(root);
    add_dsm(root, ROOT);
    for (unsigned i = 0; i < MIN(slots, ACPI_MEMORY_SLOTS); i++) {
        g_autofree char *name = g_strdup_printf("NV%02X", i);
        Aml *d = aml_device(name);
        aml_append(d, aml_name("_ADR", aml_int(ACPI_NVDIMM_HANDLE(i))));
        add_dsm(d, ACPI_NVDIMM_HANDLE(i));
        aml_append(root, d);
    }
    aml_append(sb, root);
    aml_append(b, sb);
    aml_append(event, aml_notify("\\_SB.NVDR", 0x80));
    aml_append(gpe, event);
    aml_append(b, gpe);
    acpi_end(t, start, true);
}
