/* SPDX-License-Identifier: Apache-2.0 */
/* An accelerator: what runs the vCPUs. One vtable; nobody else asks which one it is. */
#ifndef CORE_ACCEL_H
#define CORE_ACCEL_H

#include "core/object.h"

typedef struct Cpu Cpu;
typedef struct Vm Vm;
struct GuestIsa;

/* Why run() returned to the vCPU thread. */
typedef enum CpuStop {
    CPU_STOP_NONE,              /* something was requested (cpu->req has CPU_REQ_WORK), or halted */
    CPU_STOP_HALT,
    CPU_STOP_DEBUG,             /* breakpoint, watchpoint (cpu->watch_hit) or step done */
} CpuStop;

/* What a board whose chips work with the accelerator's local APICs does for them. */
typedef struct AccelBoard {
    void (*eoi)(void *opaque, uint8_t vector);  /* a level-triggered interrupt ended; any thread */
    int (*pic_ack)(void *opaque);               /* the PIC's vector */
    void *opaque;
} AccelBoard;

struct Accel {
    Object object;              /* properties are the options of -accel NAME,… */
    Vm *vm;
    AccelBoard board;
};

/* Which of the board's interrupt chips the accelerator brings. */
typedef enum AccelIrqchip {
    ACCEL_IRQCHIP_NONE,         /* none: the board makes its own */
    ACCEL_IRQCHIP_SPLIT,        /* what is part of the CPUs (local APICs) */
    ACCEL_IRQCHIP_FULL,         /* all that it has */
} AccelIrqchip;

typedef struct AccelType {
    ObjectType;                 /* name "tcg-accel", desc */
    const char *accel;          /* "tcg" */
    /* NULL if usable here, else why not (caller frees). */
    char *(*unavailable)(void);
    bool (*start)(struct Accel *a, Vm *vm, GError **error);      /* before CPUs are made */
    bool (*cpu_init)(struct Accel *a, Cpu *cpu, GError **error);
    void (*cpu_finish)(struct Accel *a, Cpu *cpu);
    /* Runs until a request, halt or debug stop. On the vCPU's thread. */
    CpuStop (*run)(struct Accel *a, Cpu *cpu);
    /* Makes a running CPU notice cpu->req. Any thread. NULL: it polls. */
    void (*kick)(struct Accel *a, Cpu *cpu);
    /* Guest RAM was written behind the engine (DMA, loader, debugger); ram_offset page-wise. */
    void (*code_written)(struct Accel *a, uint64_t ram_offset, uint64_t len);
    /* A store by a vCPU hit a page with code (softmmu_protect_code). May drop units. */
    void (*code_store)(struct Accel *a, Cpu *cpu, uint64_t ram_offset, unsigned len);
    void (*debug_changed)(struct Accel *a, Cpu *cpu);   /* breakpoints, watchpoints, step */
    void (*info)(struct Accel *a, GString *out);        /* info jit / info kvm */
    /* What CPUs may have, as the guest architecture defines it (x86: const X86Caps *, see
     * target/x86-cpuid.h); NULL: all that the target's code can. */
    const void *(*cpu_caps)(struct Accel *a, const struct GuestIsa *isa);
    /* Goes on with the engine `to` ("tcg", or its own name). Control thread, CPUs standing. NULL: there is
     * no other. */
    bool (*hand_over)(struct Accel *a, const char *to, GError **error);
    const char *(*current)(struct Accel *a);            /* which of them runs; NULL: `accel` */
    /* NULL: ACCEL_IRQCHIP_NONE. Asked by boards only, between start() and the first CPU; a board that
     * does not ask gets none. */
    AccelIrqchip (*irqchip)(struct Accel *a);
    /* With local APICs of its own: an interrupt message; what entry n of the board's IOAPICs sends. */
    void (*msi)(struct Accel *a, uint64_t address, uint32_t data);
    /* Messages wholly, with eventfds (core/msi.h). */
    const struct MsiTarget *(*messages)(struct Accel *a);
    /* With ACCEL_IRQCHIP_FULL: the 8254 that it brings (core/x86-pit.h). */
    const struct AccelPit *pit;
    void (*route)(struct Accel *a, unsigned n, bool used, uint64_t address, uint32_t data);
    /* A client of dirty bitmaps comes or goes / wants the bitmaps to be complete now. Any thread.
     * NULL: the engine's stores set them. */
    void (*dirty_log)(struct Accel *a, bool on);
    void (*dirty_sync)(struct Accel *a);
} AccelType;

/* The machine's accelerator's type; NULL while there is none. */
const AccelType *accel_of(const Vm *vm);
/* "tcg", "kvm": which engine runs the machine now; NULL: none. */
const char *accel_current(const Vm *vm);
/* What the machine's accelerator brings. */
AccelIrqchip accel_irqchip(const Vm *vm);

/* "tcg" to its type; NULL with an error that names the nearest. */
const AccelType *accel_find(const char *name, GError **error);
/* Makes it vm->accel and starts it: `props` are pairs of name and text. */
bool accel_start(Vm *vm, const AccelType *type, const char *const *props, GError **error);

#endif
