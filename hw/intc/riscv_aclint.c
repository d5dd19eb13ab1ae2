/* SPDX-License-Identifier: Apache-2.0 */
/* Timer and software interrupts of harts. Spec: RISC-V ACLINT 1.0; the same registers as a CLINT. */
#include <inttypes.h>
#include "core/vm.h"
#include "hw/riscv.h"

enum { MAX_HARTS = 512 };

/* ---- mtimer ---- */

typedef struct Mtimer {
    Device dev;
    uint32_t harts, hz;
    uint64_t mtime_at;
    Irq irq[MAX_HARTS];
    Timer timer;                /* for the nearest comparison of all harts */
    uint64_t cmp[MAX_HARTS];
    uint64_t offset;            /* mtime minus the virtual clock's ticks */
    void (*changed)(void *);
    void *changed_opaque;
} Mtimer;

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    return (unsigned __int128)a * b / c;
}

static uint64_t ticks(const Mtimer *s)
{
    return mul_div(clock_ns(s->dev.object.vm, CLOCK_K_VIRTUAL), s->hz, 1000000000);
}

uint64_t riscv_aclint_time(void *mtimer)
{
    const Mtimer *s = mtimer;
    return ticks(s) + __atomic_load_n(&s->offset, __ATOMIC_RELAXED);
}

static void update_hart(Mtimer *s, unsigned hart, uint64_t now, uint64_t *nearest)
{
    bool due = now >= s->cmp[hart];
    irq_set(&s->irq[hart], due);
    if (!due)
        *nearest = MIN(*nearest, s->cmp[hart]);
}

static void mtimer_update(Device *d)
{
    Mtimer *s = (Mtimer *)d;
    uint64_t now = riscv_aclint_time(s), nearest = UINT64_MAX;
    for (unsigned i = 0; i < s->harts; i++) {
        update_hart(s, i, now, &nearest);
    }
    timer_cancel(&s->timer);
    if (nearest == UINT64_MAX)
        return;
    unsigned __int128 ns = (unsigned __int128)(nearest - now) * 1000000000 / s->hz + 1;
    int64_t at = clock_ns(d->object.vm, CLOCK_K_VIRTUAL);
    if (ns < (uint64_t)(INT64_MAX - at))
        timer_arm(&s->timer, at + (int64_t)ns);
}

/* The register that lies under `at`, or NULL; *time for mtime. */
static uint64_t *mtimer_register(Mtimer *s, uint64_t at, bool *time)
{
    *time = (at & ~7ull) == s->mtime_at;
    return at / 8 < s->harts ? &s->cmp[at / 8] : NULL;
}

static uint64_t mtimer_read(Device *d, uint64_t at, unsigned size)
{
    Mtimer *s = (Mtimer *)d;
    bool time;
    uint64_t *reg = mtimer_register(s, at, &time);
    if (!reg && !time) {
        log_guest(d, "read of a register that is not there: 0x%" PRIx64, at);
        return 0;
    }
    uint64_t v = time ? riscv_aclint_time(s) : *reg;
    return at & 4 ? v >> 32 : v;
}

static uint64_t with_half(uint64_t old, uint64_t at, uint64_t value, unsigned size)
{
    if (size == 8)
        return value;
    return at & 4 ? (old & UINT32_MAX) | value << 32 : (old & ~(uint64_t)UINT32_MAX) | value;
}

static void mtimer_write(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    Mtimer *s = (Mtimer *)d;
    bool time;
    uint64_t *reg = mtimer_register(s, at, &time);
    if (time) {
        uint64_t now = ticks(s);
        s->offset = with_half(now + s->offset, at, value, size) - now;
    } else if (reg) {
        *reg = with_half(*reg, at, value, size);
    } else {
        log_guest(d, "write to a register that is not there: 0x%" PRIx64, at);
    }
    mtimer_update(d);
    if (time && s->changed)
        s->changed(s->changed_opaque);
}

static void mtimer_reset(Device *d)
{
    Mtimer *s = (Mtimer *)d;
    for (unsigned i = 0; i < MAX_HARTS; i++) {
        s->cmp[i] = UINT64_MAX;
    }
    s->offset = -ticks(s);
}

static const Field mtimer_fields[] = {
    PROP(Mtimer, harts, "num-harts", PROP_U32, .init = 1, .desc = "Harts served"),
    PROP(Mtimer, hz, "timebase-freq", PROP_U32, .init = 10000000, .desc = "Ticks per second"),
    PROP(Mtimer, mtime_at, "time-base", PROP_U64, .init = 0x7ff8, .desc = "Offset of mtime"),
    IRQ(Mtimer, irq),
    TIMER(Mtimer, timer, mtimer_update),
    SAVED(Mtimer, cmp), SAVED(Mtimer, offset),
    HOST(Mtimer, changed), HOST(Mtimer, changed_opaque),
};
static const DeviceType riscv_aclint_mtimer = {
    .name = "riscv.aclint.mtimer", .desc = "RISC-V machine timer", .size = sizeof(Mtimer),
    .window = 0x8000, .min_access = 4, .max_access = 8, FIELDS(mtimer_fields),
    .read = mtimer_read, .write = mtimer_write, .reset = mtimer_reset, .restored = mtimer_update,
    .dt = "riscv,aclint-mtimer",
};
DEVICE_TYPE(riscv_aclint_mtimer);

Device *riscv_aclint_mtimer_new(Vm *vm, uint64_t base, uint64_t mtime_at, unsigned harts,
                                uint32_t hz)
{
    Mtimer *s = (Mtimer *)device_make(vm, "riscv.aclint.mtimer");
    s->harts = MIN(harts, MAX_HARTS);
    s->hz = hz;
    s->mtime_at = mtime_at;
    mtimer_reset(&s->dev);
    device_place(&s->dev, base);
    return &s->dev;
}

void riscv_aclint_mtimer_connect(Device *mtimer, unsigned hart, Pin to)
{
    irq_connect(&((Mtimer *)mtimer)->irq[hart], to);
}

void riscv_aclint_on_time_change(Device *mtimer, void (*fn)(void *), void *opaque)
{
    ((Mtimer *)mtimer)->changed = fn;
    ((Mtimer *)mtimer)->changed_opaque = opaque;
}

/* ---- mswi, sswi ---- */

typedef struct Swi {
    Device dev;
    uint32_t harts;
    bool supervisor;
    Irq irq[MAX_HARTS];
} Swi;

static uint64_t swi_read(Device *d, uint64_t at, unsigned size)
{
    Swi *s = (Swi *)d;
    return at / 4 < s->harts && !s->supervisor ? s->irq[at / 4].level : 0;
}

static void swi_write(Device *d, uint64_t at, uint64_t value, unsigned size)
{
    Swi *s = (Swi *)d;
    if (at / 4 >= s->harts) {
        log_guest(d, "write for a hart that is not there: 0x%" PRIx64, at);
        return;
    }
    Irq *irq = &s->irq[at / 4];
    if (!s->supervisor)
        irq_set(irq, value & 1);
    else if (value & 1)
        irq_pulse(irq);
}

static const Field swi_fields[] = {
    PROP(Swi, harts, "num-harts", PROP_U32, .init = 1, .desc = "Harts served"),
    PROP(Swi, supervisor, "sswi", PROP_BOOL, .desc = "Supervisor software interrupts"),
    IRQ(Swi, irq),
};
static const DeviceType riscv_aclint_swi = {
    .name = "riscv.aclint.swi", .desc = "RISC-V software interrupts", .size = sizeof(Swi),
    .window = 0x4000, .min_access = 4, .max_access = 4, FIELDS(swi_fields),
    .read = swi_read, .write = swi_write,
};
DEVICE_TYPE(riscv_aclint_swi);

Device *riscv_aclint_swi_new(Vm *vm, uint64_t base, unsigned harts, bool supervisor)
{
    Swi *s = (Swi *)device_make(vm, "riscv.aclint.swi");
    s->harts = MIN(harts, MAX_HARTS);
    s->supervisor = supervisor;
    device_place(&s->dev, base);
    return &s->dev;
}

void riscv_aclint_swi_connect(Device *swi, unsigned hart, Pin to)
{
    irq_connect(&((Swi *)swi)->irq[hart], to);
}
