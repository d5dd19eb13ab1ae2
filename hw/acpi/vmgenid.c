/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number that changes whenever the guest's time line may have forked: a copy was started, a snapshot was taken
 * up again. Specs: Microsoft, Virtual Machine Generation ID; QEMU's docs/specs/vmgenid. Firmware allocates the
 * page from etc/vmgenid_guid and tells its address in etc/vmgenid_addr.
 */
#include <inttypes.h>
#include <string.h>
#include "hw/acpi.h"
#include "hw/pc-pci.h"
#include "hw/vmgenid.h"
#include "util/error.h"

enum { PAGE = 4096, GUID_AT = 40, GPE = 5, TABLE_ID_AT = 16 };
#define GUID_FILE "etc/vmgenid_guid"
#define ADDR_FILE "etc/vmgenid_addr"

typedef struct GenId {
    Device dev;
    char *text;                 /* "auto": chosen by chance, or a UUID */
    uint8_t guid[16];           /* as the text goes */
    uint64_t page;              /* where firmware has put it; 0: not yet */
} GenId;

static FwCfg *fw_cfg_of(Device *d) { return d->object.vm->machine ? d->object.vm->machine->fw_cfg : NULL; }

/* ---- the number ---- */

static bool parse(const char *text, uint8_t guid[16], GError **error)
{
    g_autofree char *chance = strcmp(text, "auto") ? NULL : g_uuid_string_random();
    const char *s = chance ? chance : text;
    if (!g_uuid_string_is_valid(s))
        return error_set(error, "vmgenid: guid= is a UUID or auto, not '%s'", text);
    for (unsigned n = 0; *s; s++)
        if (*s != '-') {
            guid[n / 2] = guid[n / 2] << 4 | g_ascii_xdigit_value(*s);
            n++;
        }
    return true;
}

/* The first three parts of a GUID are little-endian numbers in memory. */
static void in_memory(const GenId *s, uint8_t out[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (unsigned i = 0; i < 16; i++)
        out[i] = s->guid[order[i]];
}

static void offer_page(GenId *s)
{
    uint8_t page[PAGE] = {0};
    in_memory(s, page + GUID_AT);
    fw_cfg_add_file(fw_cfg_of(&s->dev), GUID_FILE, page, sizeof(page));
}

/* To a guest that has found the page. */
static void tell(GenId *s)
{
    uint8_t guid[16];
    Device *pm = acpi_pm_of(s->dev.object.vm);
    if (!s->page)
        return;
    in_memory(s, guid);
    dma_write(&s->dev, s->page + GUID_AT, guid, sizeof(guid));
    if (pm)
        acpi_pm_gpe(pm, GPE);
}

static bool guid_changed(Object *o, const Field *f, GError **error)
{
    GenId *s = (GenId *)o;
    if (!parse(s->text, s->guid, error))
        return false;
    offer_page(s);
    tell(s);
    return true;
}

/* Firmware has written the address. */
static void placed(void *opaque)
{
    GenId *s = opaque;
    size_t n;
    const void *file = fw_cfg_file(fw_cfg_of(&s->dev), ADDR_FILE, &n);
    memcpy(&s->page, file, sizeof(s->page));
    s->page = GUINT64_FROM_LE(s->page);
}

/* ---- the device ---- */

static bool realize(Device *d, GError **error)
{
    GenId *s = (GenId *)d;
    static const uint64_t nowhere;
    FwCfg *fw_cfg = fw_cfg_of(d);
    if (!fw_cfg || !acpi_pm_of(d->object.vm))
        return error_set(error, "vmgenid needs a machine with ACPI tables by fw_cfg: pc or q35");
    if (fw_cfg_has_file(fw_cfg, GUID_FILE))
        return error_set(error, "at most one vmgenid device is permitted");
    if (!parse(s->text ? s->text : "auto", s->guid, error))
        return false;
    offer_page(s);
    fw_cfg_add_file_rw(fw_cfg, ADDR_FILE, &nowhere, sizeof(nowhere), placed, s);
    return true;
}

static void reset(Device *d)
{
    static const uint64_t nowhere;
    if (!d->object.vm->waking)
        fw_cfg_set_file(fw_cfg_of(d), ADDR_FILE, &nowhere);
}

/* The state is of another run: this one has a number of its own. */
static void restored(Device *d)
{
    GenId *s = (GenId *)d;
    uint64_t page = GUINT64_TO_LE(s->page);
    fw_cfg_set_file(fw_cfg_of(d), ADDR_FILE, &page);
    tell(s);
}

static const Field fields[] = {
    PROP(GenId, text, "guid", PROP_STRING, .changed = guid_changed, .desc = "The number: a UUID, or auto"),
    HOST(GenId, guid), SAVED(GenId, page),
};
static const DeviceType vmgenid = {
    .name = "vmgenid", .desc = "Virtual machine generation ID", .size = sizeof(GenId), .pluggable = true,
    FIELDS(fields), .realize = realize, .reset = reset, .restored = restored,
};
DEVICE_TYPE(vmgenid);

static bool is_vmgenid(Object *o, void *unused) { return object_is_a(o, "vmgenid") && ((Device *)o)->realized; }
Device *vmgenid_of(Vm *vm) { return (Device *)object_walk(&vm->root, is_vmgenid, NULL); }

char *vmgenid_text(Device *d)
{
    const uint8_t *g = ((GenId *)d)->guid;
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[0], g[1], g[2],
                           g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

/* ---- its table ---- */

static Aml *status_method(void)
{
    Aml *m = aml_method("_STA", 0, false), *none = aml_if(aml_equal(aml_path("VGIA"), aml_int(0)));
    aml_append(none, aml_return(aml_int(0)));
    aml_append(m, none);
    aml_append(m, aml_return(aml_int(15)));
    return m;
}

static Aml *address_method(void)
{
    Aml *m = aml_method("ADDR", 0, false), *parts[] = {aml_int(0), aml_int(0)};
    aml_append(m, aml_store(aml_package(parts, 2), aml_local(0)));
    aml_append(m, aml_add(aml_path("VGIA"), aml_int(GUID_AT), aml_index(aml_local(0), aml_int(0))));
    aml_append(m, aml_return(aml_local(0)));
    return m;
}

void vmgenid_table(AcpiTables *t, Vm *vm)
{
    unsigned start;
    if (!vmgenid_of(vm))
        return;
    GByteArray *b = acpi_begin(t, "SSDT", 1, &start);
    memcpy(b->data + start + TABLE_ID_AT, "VMGENID", 8);
    acpi_name_of_file(t, "VGIA", GUID_FILE, PAGE);
    acpi_write_pointer(t, ADDR_FILE, GUID_FILE, 8);
    Aml *sb = aml_scope("\\_SB"), *d = aml_device("VGEN"), *gpe = aml_scope("\\_GPE");
    Aml *event = aml_method("_E05", 0, false);
    aml_append(d, aml_name("_HID", aml_string("QEMUVGID")));
    aml_append(d, aml_name("_CID", aml_string("VM_Gen_Counter")));
    aml_append(d, aml_name("_DDN", aml_string("VM_Gen_Counter")));
    aml_append(d, status_method());
    aml_append(d, address_method());
    aml_append(sb, d);
    aml_append(b, sb);
    aml_append(event, aml_notify("\\_SB.VGEN", 0x80));
    aml_append(gpe, event);
    aml_append(b, gpe);
    acpi_end(t, start, true);
}
