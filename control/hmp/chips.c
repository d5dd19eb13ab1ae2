/* SPDX-License-Identifier: Apache-2.0 */
/* info pic and info lapic: the interrupt chips of PC boards. */
#include "control/hmp/hmp-internal.h"
#include "control/session.h"
#include "hw/apic.h"
#include "hw/pc-chips.h"
#include "util/error.h"

static const char none[] = "this machine has no such interrupt chips outside of its accelerator";

typedef struct Chips {
    GString *out;
    unsigned ioapics, pics;
} Chips;

static bool show_ioapic(Object *o, void *data)
{
    Chips *c = data;

    if (object_is_a(o, "ioapic")) {
        ioapic_describe((Device *)o, c->ioapics++, c->out);
    }
    return false;
}

static bool show_pic(Object *o, void *data)
{
    Chips *c = data;

    if (object_is_a(o, "isa-i8259")) {
        i8259_describe((Device *)o, c->out);
        c->pics++;
    }
    return false;
}

static bool run_pic(Hmp *hmp, const Json *args, GError **error)
{
    Chips c = {.out = hmp->out};

    object_walk(&hmp->vm->root, show_ioapic, &c);
    object_walk(&hmp->vm->root, show_pic, &c);
    return c.ioapics || c.pics || error_set(error, "%s", none);
}

static bool run_lapic(Hmp *hmp, const Json *args, GError **error)
{
    Cpu *cpu = hmp_cpu(hmp, error);
    int64_t id = -1;

    if (!cpu) {
        return false;
    }
    if (json_get_int(json_get(args, "apic-id"), &id) && id < 0) {
        return error_set(error, "invalid APIC id %" G_GINT64_FORMAT, id);
    }
    return apic_describe(hmp->vm, id, cpu, hmp->out) ||
           (id >= 0 ? error_set(error, "there is no APIC with id %" G_GINT64_FORMAT, id)
                    : error_set(error, "%s", none));
}

static const HmpCommand items[] = {
    { "info pic", "", "", "show PIC state", .run = run_pic },
    { "info lapic", "apic-id:i?", "[apic-id]",
      "show local apic state (apic-id: local apic to read, default is which of current CPU)", .run = run_lapic },
};
HMP_COMMANDS(items);
