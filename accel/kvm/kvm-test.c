/* SPDX-License-Identifier: Apache-2.0 */
/* Small programs under KVM: registers, ports, memory, dirty logs, several CPUs, the engine's help. */
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/accel.h"
#include "core/vm.h"
#include "target/x86-state.h"
#include "target/x86.h"

enum { RAM = 4 << 20, CODE = 0x1000, PORT = 0x80, MMIO = 0x800000 };

typedef struct Machine1 {
    Loop *loop;
    Vm *vm;
    uint8_t *ram;
    uint64_t port_value, mmio_at, mmio_value;
    unsigned port_writes, mmio_writes;
} Machine1;

static uint64_t port_read(void *opaque, uint64_t at, unsigned size) { return 0x5a; }

static void port_write(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    ((Machine1 *)opaque)->port_value = v;
    ((Machine1 *)opaque)->port_writes++;
}

static uint64_t mmio_read(void *opaque, uint64_t at, unsigned size) { return 0x1234567800ull + at + size; }

static void mmio_write(void *opaque, uint64_t at, uint64_t v, unsigned size)
{
    Machine1 *m = opaque;

    m->mmio_at = at;
    m->mmio_value = v;
    m->mmio_writes++;
}

static const MemOps port_ops = {.read = port_read, .write = port_write};
static const MemOps mmio_ops = {.read = mmio_read, .write = mmio_write};

static bool usable(void)
{
    const AccelType *t = accel_find("kvm", NULL);
    g_autofree char *why = t && t->unavailable ? t->unavailable() : NULL;

    if (why) {
        g_test_skip(why);
    }
    return !why;
}

/* What the kernel can do by itself, even where it only emulates. */
#define KERNEL "emulated-modes", "on"

static Machine1 *machine(unsigned cpus, const char *const *props)
{
    static const char *const kernel[] = {KERNEL, NULL};
    Machine1 *m = g_new0(Machine1, 1);
    GError *error = NULL;

    m->loop = loop_new();
    m->vm = vm_new(m->loop);
    MemRegion *ram = mem_ram(&m->vm->root, "ram", RAM, NULL, &error);
    g_assert_no_error(error);
    mem_add(m->vm->memory_root, 0, ram, 0);
    mem_add(m->vm->io_root, PORT, mem_io(&m->vm->root, "port", 4, &port_ops, m, NULL), 0);
    mem_add(m->vm->memory_root, MMIO, mem_io(&m->vm->root, "mmio", 4096, &mmio_ops, m, NULL), 0);
    m->ram = mem_host(ram);
    accel_start(m->vm, accel_find("kvm", &error), props ? props : kernel, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < cpus; i++) {
        cpu_new(m->vm, isa_find("x86_64"), "qemu64,check=off", i, &error);
        g_assert_no_error(error);
    }
    return m;
}

static void machine_free(Machine1 *m)
{
    vm_free(m->vm);
    loop_free(m->loop);
    g_free(m);
}

/* Until all CPUs have halted. */
static void run(Machine1 *m)
{
    vm_start(m->vm);
    for (unsigned i = 0; i < m->vm->n_cpus; i++) {
        Cpu *cpu = m->vm->cpus[i];
        for (unsigned n = 0; !(__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST) &&
                               __atomic_load_n(&cpu->state, __ATOMIC_SEQ_CST) == CPU_HALTED); n++) {
            g_assert_cmpuint(n, <, 60000);
            g_usleep(1000);
        }
    }
    vm_stop(m->vm, RUN_PAUSED);
}

static void boot(Machine1 *m, X86BootMode mode, const uint8_t *code, size_t n)
{
    memcpy(m->ram + CODE, code, n);
    const X86Boot b = {.mode = mode, .start = CODE, .rsp = 0x9000, .cr3 = 0x4000};
    x86_cpu_boot(m->vm->cpus[0], &b);
}

/* Identity-mapped 2 MiB pages for the first GiB. */
static void page_tables(Machine1 *m)
{
    uint64_t *t = (uint64_t *)(m->ram + 0x4000);

    t[0] = 0x5003;
    t[512] = 0x6003;
    for (uint64_t i = 0; i < 512; i++) {
        t[1024 + i] = i << 21 | 0x83;
    }
}

static X86State state(Machine1 *m)
{
    X86State s;

    x86_state_get(m->vm->cpus[0], &s);
    return s;
}

/* ---- real mode ---- */

static void test_real(void)
{
    /* mov $0x1111, %ax; in $0x80, %al; inc %al; out %al, $0x80; mov %ax, 0x2000; mov $7, %cx;
     * 1: loop 1b; hlt */
    static const uint8_t code[] = {0xb8, 0x11, 0x11, 0xe4, 0x80, 0xfe, 0xc0, 0xe6, 0x80, 0xa3, 0x00, 0x20,
                                   0xb9, 0x07, 0x00, 0xe2, 0xfe, 0xf4};
    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    boot(m, X86_BOOT_REAL, code, sizeof(code));
    run(m);
    X86State s = state(m);
    g_assert_cmphex(m->port_value, ==, 0x5b);
    g_assert_cmpuint(m->port_writes, ==, 1);
    g_assert_cmphex(s.regs[0] & 0xffff, ==, 0x115b);
    g_assert_cmphex(s.regs[1] & 0xffff, ==, 0);
    g_assert_cmphex(s.rip, ==, CODE + sizeof(code));
    g_assert_cmphex(m->ram[0x2000] | m->ram[0x2001] << 8, ==, 0x115b);
    machine_free(m);
}

/* ---- protected mode, memory-mapped I/O ---- */

static void test_mmio(void)
{
    /* mov 0x800010, %eax; mov %eax, %ebx; not %eax; mov %eax, 0x800020; movw %ax, 0x800030; hlt */
    static const uint8_t code[] = {0xa1, 0x10, 0x00, 0x80, 0x00, 0x89, 0xc3, 0xf7, 0xd0, 0xa3, 0x20, 0x00,
                                   0x80, 0x00, 0x66, 0xa3, 0x30, 0x00, 0x80, 0x00, 0xf4};
    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    boot(m, X86_BOOT_PROT32, code, sizeof(code));
    run(m);
    g_assert_cmphex(state(m).regs[3], ==, 0x34567814);
    g_assert_cmphex(m->mmio_at, ==, 0x30);
    g_assert_cmphex(m->mmio_value, ==, (uint16_t)~0x7814);
    g_assert_cmpuint(m->mmio_writes, ==, 2);
    machine_free(m);
}

/* ---- long mode, with an instruction that some kernels cannot emulate ---- */

static void test_long(void)
{
    /* mov $0x2000, %esi; lock cmpxchg16b (%rsi); movabs $0x1122334455667788, %r9; movq %r9, %xmm3;
     * paddq %xmm3, %xmm3; movq %xmm3, 0x10(%rsi); hlt */
    static const uint8_t code[] = {0xbe, 0x00, 0x20, 0x00, 0x00, 0xf0, 0x48, 0x0f, 0xc7, 0x0e, 0x49, 0xb9,
                                   0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x66, 0x49, 0x0f, 0x6e,
                                   0xd9, 0x66, 0x0f, 0xd4, 0xdb, 0x66, 0x0f, 0xd6, 0x5e, 0x10, 0xf4};
    uint64_t *at;

    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    page_tables(m);
    boot(m, X86_BOOT_LONG64, code, sizeof(code));
    X86State s = state(m);
    s.regs[0] = 1;              /* rdx:rax expected, rcx:rbx new */
    s.regs[2] = 2;
    s.regs[3] = 3;
    s.regs[1] = 4;
    s.cr4 |= 1 << 9;            /* OSFXSR */
    x86_state_set(m->vm->cpus[0], &s);
    at = (uint64_t *)(m->ram + 0x2000);
    at[0] = 1;
    at[1] = 2;
    run(m);
    s = state(m);
    g_assert_cmphex(at[0], ==, 3);
    g_assert_cmphex(at[1], ==, 4);
    g_assert_cmphex(at[2], ==, 0x22446688aaccef10ull);
    g_assert_cmphex(s.regs[9], ==, 0x1122334455667788ull);
    g_assert_true(s.rflags & 0x40);
    g_assert_cmphex(s.efer & 0x500, ==, 0x500);
    machine_free(m);
}

/* ---- dirty logs ---- */

static void dirty(const char *const *props)
{
    /* movb $1, 0x103456; movb $2, 0x200000; hlt */
    static const uint8_t code[] = {0xc6, 0x05, 0x56, 0x34, 0x10, 0x00, 0x01, 0xc6, 0x05, 0x00, 0x00, 0x20,
                                   0x00, 0x02, 0xf4};
    unsigned long bits[RAM / 4096 / 64];

    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, props);
    boot(m, X86_BOOT_PROT32, code, sizeof(code));
    dirty_track(m->vm, DIRTY_MIGRATION, true);
    dirty_fetch_clear(m->vm, DIRTY_MIGRATION, 0, RAM, bits);
    run(m);
    g_assert_true(dirty_fetch_clear(m->vm, DIRTY_MIGRATION, 0, RAM, bits));
    for (unsigned page = 0; page < RAM / 4096; page++) {
        bool set = bits[page / 64] >> page % 64 & 1;
        if (page == 0x103 || page == 0x200) {
            g_assert_true(set);
        } else if (page > 0x10) {
            g_assert_false(set);
        }
    }
    machine_free(m);
}

static void test_dirty_bitmap(void) { dirty(NULL); }

static void test_dirty_ring(void)
{
    dirty((const char *const[]){KERNEL, "dirty-ring-size", "1024", NULL});
}

/* ---- gathered stores, doorbells ---- */

static void test_gathered(void)
{
    /* mov $0x11, %eax; mov %eax, 0x800040; inc %eax; mov %eax, 0x800044; hlt */
    static const uint8_t code[] = {0xb8, 0x11, 0x00, 0x00, 0x00, 0xa3, 0x40, 0x00, 0x80, 0x00, 0x40,
                                   0xa3, 0x44, 0x00, 0x80, 0x00, 0xf4};
    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    MemSection s = as_find(m->vm->memory, MMIO);
    mem_set_coalesced(s.region, true);
    boot(m, X86_BOOT_PROT32, code, sizeof(code));
    run(m);
    g_assert_cmpuint(m->mmio_writes, ==, 2);
    g_assert_cmphex(m->mmio_at, ==, 0x44);
    g_assert_cmphex(m->mmio_value, ==, 0x12);
    machine_free(m);
}

static void test_doorbell(void)
{
    /* mov $3, %eax; mov %eax, 0x800050; mov $4, %eax; mov %eax, 0x800050; hlt */
    static const uint8_t code[] = {0xb8, 0x03, 0x00, 0x00, 0x00, 0xa3, 0x50, 0x00, 0x80, 0x00, 0xb8,
                                   0x04, 0x00, 0x00, 0x00, 0xa3, 0x50, 0x00, 0x80, 0x00, 0xf4};
    uint64_t count = 0;

    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    MemSection s = as_find(m->vm->memory, MMIO);
    int fd = eventfd(0, EFD_NONBLOCK);
    mem_add_eventfd(s.region, 0x50, 4, true, 3, fd);
    boot(m, X86_BOOT_PROT32, code, sizeof(code));
    run(m);
    g_assert_cmpint(read(fd, &count, sizeof(count)), ==, sizeof(count));
    g_assert_cmpuint(count, ==, 1);
    g_assert_cmpuint(m->mmio_writes, ==, 1);
    g_assert_cmphex(m->mmio_value, ==, 4);
    mem_del_eventfd(s.region, 0x50, 4, true, 3, fd);
    close(fd);
    machine_free(m);
}

/* ---- several CPUs ---- */

static void test_cpus(void)
{
    /* mov $1000, %ecx; 1: lock incl 0x2000; loop 1b; hlt */
    static const uint8_t code[] = {0xb9, 0xe8, 0x03, 0x00, 0x00, 0xf0, 0xff, 0x05, 0x00, 0x20, 0x00, 0x00,
                                   0xe2, 0xf7, 0xf4};
    enum { CPUS = 3 };

    if (!usable()) {
        return;
    }
    Machine1 *m = machine(CPUS, NULL);
    memcpy(m->ram + CODE, code, sizeof(code));
    for (unsigned i = 0; i < CPUS; i++) {
        const X86Boot b = {.mode = X86_BOOT_PROT32, .start = CODE, .rsp = 0x9000};
        x86_cpu_set_bsp(m->vm->cpus[i], true);      /* nobody waits for the start message */
        x86_cpu_boot(m->vm->cpus[i], &b);
    }
    run(m);
    g_assert_cmpuint(*(uint32_t *)(m->ram + 0x2000), ==, CPUS * 1000);
    machine_free(m);
}

/* ---- hand-over of a running machine ---- */

static uint32_t checksum(uint32_t rounds)
{
    uint32_t a = 1, b = 0;

    for (uint32_t n = rounds; n; n--) {
        a = (a << 5 | a >> 27) + n;
        b ^= a;
    }
    return b;
}

static void test_hand_over(void)
{
    /* mov $N, %ecx; mov $1, %eax; xor %ebx, %ebx; 1: rol $5, %eax; add %ecx, %eax; xor %eax, %ebx;
     * dec %ecx; jnz 1b; hlt */
    enum { ROUNDS = 30000000 };
    static const uint8_t code[] = {0xb9, ROUNDS & 255, ROUNDS >> 8 & 255, ROUNDS >> 16 & 255, ROUNDS >> 24,
                                   0xb8, 0x01, 0x00, 0x00, 0x00, 0x31, 0xdb, 0xc1, 0xc0, 0x05, 0x01, 0xc8,
                                   0x31, 0xc3, 0x49, 0x75, 0xf6, 0xf4};
    unsigned changes = 0;

    if (!usable()) {
        return;
    }
    Machine1 *m = machine(1, NULL);
    const AccelType *t = accel_of(m->vm);
    Cpu *cpu = m->vm->cpus[0];
    boot(m, X86_BOOT_PROT32, code, sizeof(code));
    vm_start(m->vm);
    while (!__atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST)) {
        const char *to = changes++ & 1 ? "kvm" : "tcg";
        cpus_pause(m->vm);
        g_assert_true(t->hand_over(m->vm->accel, to, NULL));
        g_assert_cmpstr(accel_current(m->vm), ==, to);
        cpus_resume(m->vm);
        g_usleep(changes & 1 ? 500 : 5000);
    }
    vm_stop(m->vm, RUN_PAUSED);
    g_assert_cmphex(state(m).regs[3], ==, checksum(ROUNDS));
    g_assert_cmpuint(changes, >, 4);
    g_test_message("%u changes", changes);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/real-mode", test_real);
    g_test_add_func("/kvm/mmio", test_mmio);
    g_test_add_func("/kvm/long-mode", test_long);
    g_test_add_func("/kvm/dirty-bitmap", test_dirty_bitmap);
    g_test_add_func("/kvm/dirty-ring", test_dirty_ring);
    g_test_add_func("/kvm/gathered-stores", test_gathered);
    g_test_add_func("/kvm/doorbell", test_doorbell);
    g_test_add_func("/kvm/cpus", test_cpus);
    g_test_add_func("/kvm/hand-over", test_hand_over);
    return g_test_run();
}
