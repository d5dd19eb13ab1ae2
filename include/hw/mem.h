/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is plugged: DIMMs, NVDIMMs, virtio-mem, virtio-pmem. A board with -m maxmem= has an area
 * above its RAM where they stand; who lets them come and go is the board's (ACPI). Control thread.
 */
#ifndef HW_MEM_H
#define HW_MEM_H

#include "core/vm.h"

typedef struct MemoryArea MemoryArea;

typedef enum MemoryKind { MEMORY_DIMM, MEMORY_NVDIMM, MEMORY_VIRTIO_MEM, MEMORY_VIRTIO_PMEM } MemoryKind;

/* One device's part of the area; embedded in it. */
typedef struct MemoryDevice {
    Device *dev;
    MemoryKind kind;
    uint64_t addr, size;        /* addr 0: the area finds a place */
    uint64_t align;             /* of addr; 0: a page */
    Object *memdev;             /* property: the back end */
    MemRegion *region;          /* the back end's or a part of it, from memory_device_take() on */
    int32_t slot;               /* of those with slots (DIMMs); -1: the first free one */
    uint32_t node;
    uint64_t in_use;            /* virtio-mem: what the guest has of it */
} MemoryDevice;

/* Who tells the guest: after the device has been realized while the machine runs, and on device_del. */
typedef struct MemoryHotplug {
    void (*plugged)(void *opaque, MemoryDevice *m, bool hot);
    bool (*unplug_request)(void *opaque, MemoryDevice *m, GError **error);
    void (*gone)(void *opaque, MemoryDevice *m);
    bool nvdimm;                /* NVDIMMs are announced */
    void *opaque;
} MemoryHotplug;

/* [base, base + size) of the machine's memory for devices of `most` bytes together, `slots` of them DIMMs. */
MemoryArea *memory_area_new(Vm *vm, uint64_t base, uint64_t size, uint64_t most, unsigned slots);
void memory_area_set_hotplug(MemoryArea *a, const MemoryHotplug *ops);
/* NULL: this machine has none. */
MemoryArea *memory_area_of(Vm *vm);
uint64_t memory_area_base(const MemoryArea *a);
uint64_t memory_area_end(const MemoryArea *a);
unsigned memory_area_slots(const MemoryArea *a);
/* (realize) Takes the back end for a device: region and size. memory_device_remove() gives it back. */
bool memory_device_take(MemoryDevice *m, Device *dev, MemoryKind kind, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Finds slot and place and maps the region; an error says what does not fit. */
bool memory_device_place(MemoryDevice *m, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Out of its place, if it has one, and the back end given back, if it was taken. */
void memory_device_remove(MemoryDevice *m);
/* The device with a slot number; NULL: the slot is empty. */
MemoryDevice *memory_device_in_slot(MemoryArea *a, unsigned slot);
void memory_device_foreach(Vm *vm, void (*fn)(MemoryDevice *m, void *data), void *data);
/* Bytes of memory plugged into slots and by virtio-mem. */
uint64_t memory_area_plugged(Vm *vm);
/* Whether device_del may take it away: the guest has given back what virtio-mem lent it. */
bool memory_device_may_go(Device *d, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A NVDIMM that the guest must not write. */
bool nvdimm_is_unarmed(const MemoryDevice *m);
/* Its labels, in which the guest keeps namespaces: bytes of the back end behind those that are mapped. 0: none. */
uint32_t nvdimm_label_size(const MemoryDevice *m);
uint8_t *nvdimm_labels(const MemoryDevice *m);
bool nvdimm_labels_readonly(const MemoryDevice *m);

#endif
