/* SPDX-License-Identifier: Apache-2.0 */
/* SiFive test finisher: ends or resets the machine. Spec: device tree binding sifive,test. */
#include <inttypes.h>
#include "core/vm.h"

enum { FAIL = 0x3333, PASS = 0x5555, RESET = 0x7777 };

typedef struct Finisher {
    Device dev;
} Finisher;

static void finish(Device *d, uint64_t value)
{
    Vm *vm = d->object.vm;
    switch (value & 0xffff) {
    case FAIL:
        vm_request_shutdown(vm, CAUSE_GUEST_PANIC, value >> 16 & 0xffff);
        break;
    case PASS:
        vm_request_shutdown(vm, CAUSE_GUEST_SHUTDOWN, 0);
        break;
    case RESET:
        vm_request_reset(vm, CAUSE_GUEST_RESET);
        break;
    default:
        log_guest(d, "unknown command 0x%" PRIx64, value);
    }
}

static const Reg regs[] = {
    REG(0, "FINISHER", WO, .wrote = finish),
};
static const DeviceType sifive_test = {
    .name = "riscv.sifive.test", .desc = "SiFive test finisher", .size = sizeof(Finisher),
    .window = 0x1000, .min_access = 2, .max_access = 4, REGS(regs),
    .dt = "sifive,test1\0sifive,test0\0syscon",
};
DEVICE_TYPE(sifive_test);
