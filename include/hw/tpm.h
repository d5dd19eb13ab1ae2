/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trusted platform modules: the back end that executes commands (-tpmdev), and the front ends that show it to
 * the guest. Commands run on the back end's own thread, so a slow one holds up nobody; answers come to the front
 * end on the control thread, under its device's lock.
 */
#ifndef HW_TPM_H
#define HW_TPM_H

#include "core/device.h"
#include "hw/acpi.h"

typedef enum TpmVersion { TPM_1_2 = 1, TPM_2_0 } TpmVersion;
enum {
    TPM_LOCALITIES = 5, TPM_HEADER = 10, TPM_BUFFER_MAX = 4096,
    TPM_BASE = 0xfed40000, TPM_LOCALITY_SIZE = 0x1000, TPM_LOG_SIZE = 64 << 10,
};

typedef struct TpmBackend {
    Object object;
    TpmVersion version;
    uint32_t buffer_size;       /* of commands and answers, at most TPM_BUFFER_MAX */
    int wake;                   /* readable: the command that runs is not wanted any more */
    struct TpmWorker *worker;
} TpmBackend;
#define TPM_BACKEND_FIELDS(T)                                                                       \
    HOST(T, tpm.object), HOST(T, tpm.version), HOST(T, tpm.buffer_size), HOST(T, tpm.wake), HOST(T, tpm.worker)

/* What a kind of back end does; on the worker's thread unless noted, one call at a time. */
typedef struct TpmBackendType {
    ObjectType;
    const char *kind;           /* "emulator", as -tpmdev says */
    /* Power on: with buffers of so many bytes; *established: what was measured by locality 4 is kept. */
    bool (*startup)(TpmBackend *b, uint32_t buffer_size, bool *established, GError **error);
    /* The answer goes to TPM_BUFFER_MAX bytes; returns its length, 0 with an error. */
    uint32_t (*execute)(TpmBackend *b, uint8_t locality, const void *command, uint32_t n, void *answer,
                        GError **error);
    bool (*reset_established)(TpmBackend *b, uint8_t locality, bool *established, GError **error);
    /* All that it remembers; control thread, while the worker has nothing to do. */
    GBytes *(*save)(TpmBackend *b, GError **error);
    bool (*load)(TpmBackend *b, GBytes *state, uint32_t buffer_size, bool *established, GError **error);
} TpmBackendType;

/* For the kinds, in complete and finish: starts and ends the worker. */
void tpm_backend_start(TpmBackend *b);
void tpm_backend_stop(TpmBackend *b);
bool tpm_backend_stopping(TpmBackend *b);           /* any thread */

/* ---- for front ends: within the device's lock ---- */
/* One front end uses a back end, and one TPM is in a machine. */
bool tpm_attach(Object *backend, Device *user, void (*answered)(Device *user, const void *answer, uint32_t n),
                GError **error);
void tpm_detach(Object *backend);
/* Power on; commands before it are dropped with their answers. */
void tpm_startup(Object *backend, uint32_t buffer_size);
/* One command at a time. An answer comes always, that of a TPM in failure mode if need be. */
void tpm_submit(Object *backend, uint8_t locality, const void *command, uint32_t n);
void tpm_cancel(Object *backend);
void tpm_reset_established(Object *backend, uint8_t locality);
bool tpm_established(Object *backend);
/* Waits for the command that runs and delivers its answer; then the state, NULL if it cannot be had. */
GBytes *tpm_save(Object *backend);
void tpm_load(Object *backend, GBytes *state, uint32_t buffer_size);
TpmVersion tpm_version(Object *backend);

/* ---- the physical presence interface (ppi=on) ---- */
typedef struct TpmPpi {
    bool on;
    MemRegion *memory;          /* outlives resets */
} TpmPpi;
/* Rows of a type T whose member m is a TpmPpi; beside HOST(T, m). */
#define TPM_PPI_PROPS(T, m)                                                                         \
    PROP(T, m.on, "ppi", PROP_BOOL, .init = true, .desc = "Physical presence interface")
bool tpm_ppi_place(TpmPpi *p, Device *d, Object *backend, GError **error);
/* Overwrites the machine's memory if the guest has asked for that. */
void tpm_ppi_reset(TpmPpi *p, Device *d);
/* Its methods in the TPM's node. */
void tpm_ppi_aml(Aml *tpm);

/* ---- for the board ---- */
/* The machine's front end, or NULL. */
Device *tpm_of(Vm *vm);
/* Its node in the namespace, and the table by which drivers find it (TPM2 or TCPA); nothing without one. */
void tpm_aml(Aml *sb, Vm *vm);
void tpm_table(AcpiTables *t, Vm *vm);

#endif
