/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target over whole boards, wired as users get them: every machine type with what is on board
 * and some cards; each I/O region is read and written, memory too, while time goes on. The CPUs stand.
 * The first byte names the machine.
 */
#include "control/cli/config.h"
#include "core/clock.h"
#include "core/memory-internal.h"
#include "core/vm.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_OPS = 96, MAX_REGIONS = 256 };

typedef struct Board {
    const char *arch, *machine;
} Board;

static GArray *boards;

static void see_machine(const ObjectType *t, void *unused)
{
    if (t->abstract || !object_type_is_a(t, "machine")) {
        return;
    }
    const MachineType *m = (const MachineType *)t;
    for (unsigned i = 0; m->machine && m->archs && m->archs[i] && strcmp(m->machine, "none") != 0; i++) {
        Board b = {m->archs[i], m->machine};
        g_array_append_val(boards, b);
    }
}

/* Cards on the board's own virtio slots, or as PCI functions. */
static Vm *build_with(const Board *b, const char *transport, GError **error)
{
    g_autofree char *net = g_strdup_printf("virtio-net-%s,netdev=n", transport);
    g_autofree char *blk = g_strdup_printf("virtio-blk-%s,drive=d", transport);
    g_autofree char *rng = g_strdup_printf("virtio-rng-%s", transport);
    g_autofree char *board = g_strdup(b->machine);
    char *argv[] = {"fuzz", "-nodefaults", "-display", "none", "-S", "-m", "64", "-smp", "2", "-M", board,
                    "-netdev", "hubport,id=n,hubid=0", "-device", net, "-blockdev",
                    "driver=null-co,node-name=d,size=1M", "-device", blk, "-device", rng, "-bios", "none"};
    Config c = {.argv0 = "fuzz", .arch = b->arch};
    int argc = G_N_ELEMENTS(argv) - (g_str_has_prefix(b->arch, "riscv") ? 0 : 2);
    Vm *vm = config_parse(&c, argc, argv, error) == PARSE_OK ? config_build(&c, error) : NULL;

    config_clear(&c);
    return vm;
}

static Vm *build(const Board *b)
{
    g_autoptr(GError) error = NULL, other = NULL;
    Vm *vm = build_with(b, "device", &error);

    vm = vm ? vm : build_with(b, "pci", &other);
    if (!vm) {
        g_error("%s: %s; %s", b->machine, error->message, other->message);
    }
    vm->argv0 = "fuzz";
    return vm;
}

typedef struct Regions {
    unsigned n;
    MemRegion *r[MAX_REGIONS];
} Regions;

static bool see_region(Object *o, void *data)
{
    Regions *all = data;
    MemRegion *r = (MemRegion *)o;

    if (object_is_a(o, "memory-region") && r->ops && all->n < MAX_REGIONS) {
        all->r[all->n++] = r;
    }
    return false;
}

static void touch(Vm *vm, FuzzInput *in, unsigned op)
{
    Regions all = {0};

    object_walk(&vm->root, see_region, &all);
    if (all.n == 0) {
        return;
    }
    MemRegion *r = all.r[fuzz_int(in, 1) % all.n];
    unsigned size = 1u << (op >> 4 & 3);
    uint64_t at = fuzz_int(in, 2) * (op & 0x40 ? size : 1);
    if (at >= r->size || size > r->size - at) {
        at %= r->size;
        size = 1;
    }
    if (op & 8) {
        mem_io_read(r, at, size);
    } else {
        mem_io_write(r, at, fuzz_int(in, size), size);
    }
}

static void settle(Vm *vm)
{
    vm_handle_requests(vm);
    for (unsigned i = 0; i < 32 && loop_step(vm->loop, false); i++) {
    }
}

static void step(Vm *vm, FuzzInput *in)
{
    unsigned op = (unsigned)fuzz_int(in, 1);

    switch (op & 7) {
    case 0: {
        uint8_t bytes[32];
        unsigned n = (unsigned)fuzz_bytes(in, bytes, 1 + (op >> 3));
        as_write(vm->memory, fuzz_int(in, 2), bytes, n);
        break;
    }
    case 1: clock_step(vm, (int64_t)fuzz_int(in, 4) + 1); break;
    case 2:
        if (op >> 3 == 0) {
            vm_reset(vm, CAUSE_HOST_QMP_RESET);
        } else if (op >> 3 == 1) {
            vm_request_powerdown(vm);
        } else {
            as_store(op & 8 ? vm->io : vm->memory, fuzz_int(in, 2), 1u << (op >> 4 & 3), fuzz_int(in, 4));
        }
        break;
    default: touch(vm, in, op); break;
    }
    settle(vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = {data, size};

    if (!boards) {
        boards = g_array_new(FALSE, FALSE, sizeof(Board));
        object_type_foreach(see_machine, NULL);
    }
    Vm *vm = build(&g_array_index(boards, Board, fuzz_int(&in, 1) % boards->len));
    clock_own(vm);
    for (unsigned n = 0; in.left && n < MAX_OPS; n++) {
        step(vm, &in);
    }
    vm_stop(vm, RUN_PAUSED);
    config_destroy(vm);
    return 0;
}

const char *const fuzz_words[] = { NULL };
