/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RISC-V virt: harts, PLIC, ACLINT, 16550A, goldfish clock, test finisher, fw_cfg and eight
 * virtio-mmio slots, described by a device tree. Starts OpenSBI, or what -bios and -kernel name.
 */
#include <inttypes.h>
#include <string.h>
#include "hw/fw_cfg.h"
#include "hw/riscv.h"
#include "hw/virtio-mmio.h"
#include "machines/common.h"
#include "machines/loader.h"
#include "machines/riscv/boot.h"
#include "machines/riscv/fdt.h"
#include "machines/riscv/guest-loader.h"
#include "target/riscv.h"
#include "util/error.h"

enum {
    ROM_BASE = 0x1000, ROM_SIZE = 0xf000, TEST_BASE = 0x100000, RTC_BASE = 0x101000,
    CLINT_BASE = 0x2000000, CLINT_SIZE = 0x10000, CLINT_MTIMER = 0x4000, CLINT_MTIME = 0x7ff8,
    SSWI_BASE = 0x2f00000, PLIC_BASE = 0xc000000, PLIC_SIZE = 0x600000, UART_BASE = 0x10000000,
    VIRTIO_BASE = 0x10001000, VIRTIO_STEP = 0x1000, SLOTS = 8, FW_CFG_BASE = 0x10100000,
    UART_IRQ = 10, RTC_IRQ = 11, SOURCES = 95, TIMEBASE_HZ = 10000000, UART_CLOCK = 3686400,
};
#define RAM_BASE 0x80000000ull

typedef struct RiscvVirt {
    Machine m;
    int acpi;                   /* OnOffAuto */
    bool aclint;
    char *aia;
    Device *plic, *mtimer;
    Bus *slot[SLOTS];
    RiscvBoot boot;
} RiscvVirt;

/* ---- building ---- */

static bool check_options(RiscvVirt *s, GError **error)
{
    if (s->acpi == 1)
        return error_set(error, "-machine virt,acpi=on: not implemented yet");
    if (s->m.usb)
        return error_set(error, "-machine virt,usb=on: not implemented yet");
    if (s->aia && strcmp(s->aia, "none") != 0)
        return error_set(error, "-machine virt,aia=%s: not implemented yet; only none is", s->aia);
    if (s->m.ram_size < 2 << 20)
        return error_set(error, "virt needs at least 2 MiB of memory (-m)");
    return true;
}

static bool make_memory(RiscvVirt *s, GError **error)
{
    Machine *m = &s->m;
    MemRegion *root = m->vm->memory_root, *ram = machine_make_ram(m, error);
    if (!ram)
        return false;
    mem_add(root, RAM_BASE, ram, 0);
    MemRegion *rom = mem_rom(&m->object, "riscv_virt_board.mrom", ROM_SIZE, error);
    if (!rom)
        return false;
    mem_add(root, ROM_BASE, rom, 0);
    s->boot.ram_base = RAM_BASE;
    s->boot.ram_size = m->ram_size;
    s->boot.xlen = strcmp(m->arch, "riscv32") == 0 ? 32 : 64;
    return true;
}

static void time_changed(void *opaque)
{
    RiscvVirt *s = opaque;
    for (unsigned i = 0; i < s->m.vm->n_cpus; i++) {
        riscv_cpu_time_changed(s->m.vm->cpus[i]);
    }
}

static void make_interrupts(RiscvVirt *s)
{
    Vm *vm = s->m.vm;
    unsigned harts = vm->n_cpus;
    Device *mswi = riscv_aclint_swi_new(vm, CLINT_BASE, harts, false);
    Device *sswi = s->aclint ? riscv_aclint_swi_new(vm, SSWI_BASE, harts, true) : NULL;
    s->mtimer = riscv_aclint_mtimer_new(vm, CLINT_BASE + CLINT_MTIMER, CLINT_MTIME, harts,
                                        TIMEBASE_HZ);
    riscv_aclint_on_time_change(s->mtimer, time_changed, s);
    s->plic = sifive_plic_new(vm, PLIC_BASE, SOURCES, 2 * harts);
    for (unsigned i = 0; i < harts; i++) {
        Device *cpu = &vm->cpus[i]->dev;
        riscv_aclint_swi_connect(mswi, i, device_pin(cpu, RISCV_PIN_MSI));
        if (sswi)
            riscv_aclint_swi_connect(sswi, i, device_pin(cpu, RISCV_PIN_SSI));
        riscv_aclint_mtimer_connect(s->mtimer, i, device_pin(cpu, RISCV_PIN_MTI));
        sifive_plic_connect(s->plic, 2 * i, device_pin(cpu, RISCV_PIN_MEI));
        sifive_plic_connect(s->plic, 2 * i + 1, device_pin(cpu, RISCV_PIN_SEI));
        riscv_cpu_set_time(vm->cpus[i], riscv_aclint_time, s->mtimer, TIMEBASE_HZ);
        riscv_cpu_set_hartid(vm->cpus[i], i);
    }
}

static bool is_irq(const Field *f, void *data) { return f->kind == FIELD_IRQ; }

/* Ties a device's (only) output to an input of the PLIC. */
static void connect(RiscvVirt *s, Device *d, unsigned source)
{
    const Field *f = object_type_fields(d->object.type, is_irq, NULL);
    irq_connect((Irq *)((char *)d + f->offset), device_pin(s->plic, source));
}

static bool make_serial(RiscvVirt *s, GError **error)
{
    Device *d = device_new(s->m.vm, "serial-mm", error);
    if (!d || !machine_set_chardev(&s->m, d, 0, error) ||
        !object_set_string(&d->object, "baudbase", "230400", error) ||
        !device_realize(d, NULL, error))
        return false;
    device_place(d, UART_BASE);
    connect(s, d, UART_IRQ);
    return true;
}

static bool make_chips(RiscvVirt *s, GError **error)
{
    Vm *vm = s->m.vm;
    device_place(device_make(vm, "riscv.sifive.test"), TEST_BASE);
    Device *rtc = device_make(vm, "goldfish_rtc");
    device_place(rtc, RTC_BASE);
    connect(s, rtc, RTC_IRQ);
    for (unsigned i = 0; i < SLOTS; i++) {
        s->slot[i] = virtio_mmio_new(vm, VIRTIO_BASE + i * VIRTIO_STEP,
                                     device_pin(s->plic, 1 + i));
    }
    return make_serial(s, error);
}

static bool build(Machine *m, GError **error)
{
    RiscvVirt *s = (RiscvVirt *)m;
    if (!m->cpu_model)
        m->cpu_model = g_strdup(strcmp(m->arch, "riscv32") == 0 ? "rv32" : "rv64");
    if (!check_options(s, error) || !make_memory(s, error) || !machine_make_cpus(m, error))
        return false;
    make_interrupts(s);
    return make_chips(s, error);
}

/* Devices fill the slots from the highest down. */
static Bus *default_bus(Machine *m, const DeviceType *t)
{
    RiscvVirt *s = (RiscvVirt *)m;
    if (g_strcmp0(device_type_bus(t), "virtio-bus") != 0)
        return NULL;
    for (int i = SLOTS - 1; i >= 0; i--) {
        if (s->slot[i]->devices->len == 0)
            return s->slot[i];
    }
    return NULL;
}

/* ---- the device tree ---- */

enum { PH_PLIC = 1, PH_TEST = 2, PH_CPU = 16 };     /* cpu n: PH_CPU + 2n, its controller + 1 */

static void describe_cpu(Fdt *f, Cpu *cpu, unsigned i)
{
    g_autofree char *name = g_strdup_printf("cpu@%x", i);
    g_autofree char *isa = riscv_cpu_isa_string(cpu);
    g_auto(GStrv) list = riscv_cpu_isa_list(cpu);
    fdt_node(f, name);
    fdt_u32(f, "phandle", PH_CPU + 2 * i);
    fdt_text(f, "device_type", "cpu");
    fdt_u32(f, "reg", i);
    fdt_text(f, "status", "okay");
    fdt_text(f, "compatible", "riscv");
    fdt_texts(f, "riscv,isa-extensions", (const char *const *)list);
    fdt_text(f, "riscv,isa-base", riscv_cpu_xlen(cpu) == 32 ? "rv32i" : "rv64i");
    fdt_text(f, "riscv,isa", isa);
    if (riscv_cpu_has(cpu, "zicbom"))
        fdt_u32(f, "riscv,cbom-block-size", 64);
    if (riscv_cpu_has(cpu, "zicboz"))
        fdt_u32(f, "riscv,cboz-block-size", 64);
    if (riscv_cpu_has(cpu, "zicbop"))
        fdt_u32(f, "riscv,cbop-block-size", 64);
    fdt_text(f, "mmu-type", riscv_cpu_mmu_type(cpu));
    fdt_node(f, "interrupt-controller");
    fdt_u32(f, "#interrupt-cells", 1);
    fdt_empty(f, "interrupt-controller");
    fdt_text(f, "compatible", "riscv,cpu-intc");
    fdt_u32(f, "phandle", PH_CPU + 2 * i + 1);
    fdt_end(f);
    fdt_end(f);
}

static void describe_cpus(Fdt *f, const RiscvVirt *s)
{
    const Vm *vm = s->m.vm;
    fdt_node(f, "cpus");
    fdt_u32(f, "#address-cells", 1);
    fdt_u32(f, "#size-cells", 0);
    fdt_u32(f, "timebase-frequency", TIMEBASE_HZ);
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        describe_cpu(f, vm->cpus[i], i);
    }
    fdt_node(f, "cpu-map");
    fdt_node(f, "cluster0");
    for (unsigned i = 0; i < vm->n_cpus; i++) {
        g_autofree char *core = g_strdup_printf("core%u", i);
        fdt_node(f, core);
        fdt_u32(f, "cpu", PH_CPU + 2 * i);
        fdt_end(f);
    }
    fdt_end(f);
    fdt_end(f);
    fdt_end(f);
}

/* A node with compatible strings and one register window; the caller ends it. */
static void chip(Fdt *f, const char *name, uint64_t base, uint64_t size,
                 const char *const *compatible)
{
    g_autofree char *node = g_strdup_printf("%s@%" PRIx64, name, base);
    uint64_t reg[2] = {base, size};
    fdt_node(f, node);
    fdt_texts(f, "compatible", compatible);
    fdt_u64s(f, "reg", reg, 2);
}
#define COMPATIBLE(...) (const char *const[]){__VA_ARGS__, NULL}

static void interrupt(Fdt *f, uint32_t irq)
{
    fdt_u32(f, "interrupts", irq);
    fdt_u32(f, "interrupt-parent", PH_PLIC);
}

/* interrupts-extended: each hart's controller with the interrupts given (0: one only). */
static void to_harts(Fdt *f, const RiscvVirt *s, unsigned first, unsigned second)
{
    unsigned n = s->m.vm->n_cpus, each = second ? 4 : 2;
    g_autofree uint32_t *cells = g_new(uint32_t, each * n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t *c = cells + each * i;
        c[0] = PH_CPU + 2 * i + 1;
        c[1] = first;
        if (second) {
            c[2] = c[0];
            c[3] = second;
        }
    }
    fdt_u32s(f, "interrupts-extended", cells, each * n);
}

static void describe_aclint(Fdt *f, const RiscvVirt *s)
{
    if (!s->aclint) {
        chip(f, "clint", CLINT_BASE, CLINT_SIZE, COMPATIBLE("sifive,clint0", "riscv,clint0"));
        to_harts(f, s, RISCV_PIN_MSI, RISCV_PIN_MTI);
        fdt_end(f);
        return;
    }
    chip(f, "mswi", CLINT_BASE, 0x4000, COMPATIBLE("riscv,aclint-mswi"));
    to_harts(f, s, RISCV_PIN_MSI, 0);
    fdt_empty(f, "interrupt-controller");
    fdt_u32(f, "#interrupt-cells", 0);
    fdt_end(f);
    uint64_t timer[4] = {CLINT_BASE + CLINT_MTIMER + CLINT_MTIME, 8, CLINT_BASE + CLINT_MTIMER,
                         CLINT_MTIME};
    chip(f, "mtimer", CLINT_BASE + CLINT_MTIMER, CLINT_MTIME, COMPATIBLE("riscv,aclint-mtimer"));
    fdt_u64s(f, "reg", timer, 4);
    to_harts(f, s, RISCV_PIN_MTI, 0);
    fdt_end(f);
    chip(f, "sswi", SSWI_BASE, 0x4000, COMPATIBLE("riscv,aclint-sswi"));
    to_harts(f, s, RISCV_PIN_SSI, 0);
    fdt_empty(f, "interrupt-controller");
    fdt_u32(f, "#interrupt-cells", 0);
    fdt_end(f);
}

static void describe_soc(Fdt *f, const RiscvVirt *s)
{
    fdt_node(f, "soc");
    fdt_u32(f, "#address-cells", 2);
    fdt_u32(f, "#size-cells", 2);
    fdt_text(f, "compatible", "simple-bus");
    fdt_empty(f, "ranges");

    chip(f, "rtc", RTC_BASE, 0x1000, COMPATIBLE("google,goldfish-rtc"));
    interrupt(f, RTC_IRQ);
    fdt_end(f);

    chip(f, "serial", UART_BASE, 0x100, COMPATIBLE("ns16550a"));
    fdt_u32(f, "clock-frequency", UART_CLOCK);
    interrupt(f, UART_IRQ);
    fdt_end(f);

    chip(f, "test", TEST_BASE, 0x1000, COMPATIBLE("sifive,test1", "sifive,test0", "syscon"));
    fdt_u32(f, "phandle", PH_TEST);
    fdt_end(f);

    for (int i = SLOTS - 1; i >= 0; i--) {
        chip(f, "virtio_mmio", VIRTIO_BASE + i * VIRTIO_STEP, VIRTIO_STEP,
             COMPATIBLE("virtio,mmio"));
        interrupt(f, 1 + i);
        fdt_end(f);
    }

    chip(f, "plic", PLIC_BASE, PLIC_SIZE, COMPATIBLE("sifive,plic-1.0.0", "riscv,plic0"));
    fdt_u32(f, "phandle", PH_PLIC);
    fdt_u32(f, "riscv,ndev", SOURCES);
    to_harts(f, s, RISCV_PIN_MEI, RISCV_PIN_SEI);
    fdt_empty(f, "interrupt-controller");
    fdt_u32(f, "#address-cells", 0);
    fdt_u32(f, "#interrupt-cells", 1);
    fdt_end(f);

    describe_aclint(f, s);
    fdt_end(f);
}

static void describe_syscon(Fdt *f, const char *name, const char *compatible, uint32_t value)
{
    fdt_node(f, name);
    fdt_u32(f, "value", value);
    fdt_u32(f, "offset", 0);
    fdt_u32(f, "regmap", PH_TEST);
    fdt_text(f, "compatible", compatible);
    fdt_end(f);
}

static GByteArray *describe(const RiscvVirt *s)
{
    Fdt *f = fdt_begin();
    fdt_u32(f, "#address-cells", 2);
    fdt_u32(f, "#size-cells", 2);
    fdt_text(f, "compatible", "riscv-virtio");
    fdt_text(f, "model", "riscv-virtio,qemu");

    chip(f, "fw-cfg", FW_CFG_BASE, 0x18, COMPATIBLE("qemu,fw-cfg-mmio"));
    fdt_empty(f, "dma-coherent");
    fdt_end(f);

    fdt_node(f, "chosen");
    fdt_text(f, "stdout-path", "/soc/serial@10000000");
    fdt_end(f);
    describe_syscon(f, "poweroff", "syscon-poweroff", 0x5555);
    describe_syscon(f, "reboot", "syscon-reboot", 0x7777);

    fdt_node(f, "memory@80000000");
    fdt_text(f, "device_type", "memory");
    fdt_u64s(f, "reg", (const uint64_t[]){RAM_BASE, s->m.ram_size}, 2);
    fdt_end(f);
    describe_cpus(f, s);
    describe_soc(f, s);
    return fdt_finish_tree(f);
}

static GByteArray *make_tree(RiscvVirt *s, GError **error)
{
    Machine *m = &s->m;
    g_autoptr(GByteArray) tree = NULL;
    if (m->dtb) {
        g_autoptr(GBytes) file = loader_file(m, m->dtb, error);
        if (!file)
            return NULL;
        tree = g_byte_array_new();
        g_byte_array_append(tree, g_bytes_get_data(file, NULL), g_bytes_get_size(file));
    } else {
        tree = describe(s);
    }
    FdtChosen chosen = {.bootargs = m->append, .initrd_start = s->boot.initrd_start,
                        .initrd_end = s->boot.initrd_end};
    return fdt_set_chosen(tree, &chosen, m->dtb, error) && guest_loaders_describe(m->vm, tree, m->dtb, error)
               ? g_steal_pointer(&tree) : NULL;
}

/* ---- the last words before the start ---- */

static bool ready(Machine *m, GError **error)
{
    RiscvVirt *s = (RiscvVirt *)m;
    fw_cfg_new_mem(m, FW_CFG_BASE);
    if (!riscv_boot_load(m, &s->boot, error))
        return false;
    g_autoptr(GByteArray) tree = make_tree(s, error);
    if (!tree)
        return false;
    machine_keep_fdt(m, tree);
    if (m->dumpdtb)
        return g_file_set_contents(m->dumpdtb, (const char *)tree->data, tree->len, error);
    uint64_t at = riscv_boot_place_dtb(m, &s->boot, tree->data, tree->len, error);
    if (!at)
        return false;
    riscv_boot_reset_vector(m, &s->boot, ROM_BASE, at);
    return true;
}

static void cold_reset(Machine *m) { loader_reset(m); }

static const char *const archs[] = {"riscv64", "riscv32", NULL};
static const Field fields[] = {
    PROP(RiscvVirt, acpi, "acpi", PROP_ON_OFF_AUTO, .desc = "Enable ACPI"),
    PROP(RiscvVirt, aclint, "aclint", PROP_BOOL, .desc = "Supervisor software interrupts, too"),
    PROP(RiscvVirt, aia, "aia", PROP_STRING, .desc = "Interrupt architecture: none"),
};
static const MachineType riscv_virt = {
    .name = "riscv-virt-machine", .parent = "machine", .desc = "RISC-V VirtIO board",
    .size = sizeof(RiscvVirt), FIELDS(fields), .machine = "virt", .archs = archs,
    .default_ram_id = "riscv_virt_board.ram", .default_ram = 128 << 20, .max_cpus = 512,
    .default_cpus = 1, .build = build, .ready = ready, .cold_reset = cold_reset,
    .default_bus = default_bus,
};
OBJECT_TYPE(riscv_virt);
