/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all TPM back ends have: a thread that executes commands one after the other, and the way of their
 * answers to the front end. Answers in failure mode: TPM 2.0 Part 1, 12.4; TPM 1.2 Part 2, 16.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "hw/fw_cfg.h"
#include "hw/tpm.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/log.h"

enum {
    TAG_2_0 = 0x8001, FAILURE_2_0 = 0x101, TAG_1_2 = 0xc4, FAILURE_1_2 = 9, LENGTH_AT = 2,
};

typedef enum JobKind { JOB_STARTUP, JOB_COMMAND, JOB_RESET_ESTABLISHED } JobKind;
typedef struct Job {
    JobKind kind;
    uint8_t locality;
    unsigned epoch;             /* the power-on that it belongs to */
    uint32_t n;                 /* bytes; of a startup, the size of buffers */
    uint8_t data[TPM_BUFFER_MAX];
} Job;

typedef struct TpmWorker {
    GThread *thread;
    GMutex lock;                /* of all below */
    GCond changed;
    GQueue jobs;
    Job *running, *answer;      /* the answer has not been delivered yet */
    unsigned epoch;
    bool stopping, established;
    Device *user;
    void (*answered)(Device *user, const void *answer, uint32_t n);
} TpmWorker;

static const TpmBackendType *type_of(const TpmBackend *b) { return (const TpmBackendType *)b->object.type; }

/* ---- the worker's thread ---- */

static void failure(const TpmBackend *b, Job *j)
{
    bool new = b->version == TPM_2_0;
    uint32_t code = GUINT32_TO_BE(new ? FAILURE_2_0 : FAILURE_1_2), n = GUINT32_TO_BE(TPM_HEADER);
    uint16_t tag = GUINT16_TO_BE(new ? TAG_2_0 : TAG_1_2);
    memcpy(j->data, &tag, 2);
    memcpy(j->data + LENGTH_AT, &n, 4);
    memcpy(j->data + LENGTH_AT + 4, &code, 4);
    j->n = TPM_HEADER;
}

static bool complete_command(const Job *j)
{
    uint32_t n = 0;
    if (j->n >= TPM_HEADER)
        memcpy(&n, j->data + LENGTH_AT, 4);
    return j->n >= TPM_HEADER && GUINT32_FROM_BE(n) == j->n;
}

/* Leaves the answer in the job. */
static void execute(TpmBackend *b, Job *j)
{
    g_autoptr(GError) error = NULL;
    uint8_t command[TPM_BUFFER_MAX];
    uint32_t n = j->n;
    memcpy(command, j->data, n);
    j->n = complete_command(j) ? type_of(b)->execute(b, j->locality, command, n, j->data, &error) : 0;
    if (error)
        log_write("%s: %s\n", b->object.name, error->message);
    if (!j->n || j->n > TPM_BUFFER_MAX)
        failure(b, j);
}

static void deliver(Device *d, void *data)
{
    TpmBackend *b = data;
    TpmWorker *w = b->worker;
    device_lock(d);
    g_mutex_lock(&w->lock);
    g_autofree Job *j = w->user == d ? g_steal_pointer(&w->answer) : NULL;
    g_mutex_unlock(&w->lock);
    if (j)
        w->answered(d, j->data, j->n);
    device_unlock(d);
}

/* Under the lock. */
static bool keep_answer(TpmBackend *b, Job *j)
{
    TpmWorker *w = b->worker;
    if (j->kind != JOB_COMMAND || j->epoch != w->epoch || !w->user)
        return false;
    g_free(w->answer);
    w->answer = j;
    object_ref(&b->object);
    device_post(w->user, deliver, b, (GDestroyNotify)object_unref);
    return true;
}

static void power_on(TpmBackend *b, Job *j)
{
    g_autoptr(GError) error = NULL;
    bool established = false;
    bool ok = j->kind == JOB_STARTUP ? type_of(b)->startup(b, j->n, &established, &error)
                                     : type_of(b)->reset_established(b, j->locality, &established, &error);
    if (!ok)
        log_write("%s: %s\n", b->object.name, error->message);
    g_mutex_lock(&b->worker->lock);
    b->worker->established = established;
    g_mutex_unlock(&b->worker->lock);
}

static void *work(void *data)
{
    TpmBackend *b = data;
    TpmWorker *w = b->worker;
    uint64_t count;
    g_mutex_lock(&w->lock);
    while (!w->stopping) {
        Job *j = g_queue_pop_head(&w->jobs);
        if (!j) {
            g_cond_wait(&w->changed, &w->lock);
            continue;
        }
        w->running = j;
        while (read(b->wake, &count, sizeof(count)) > 0)
            ;
        g_mutex_unlock(&w->lock);
        if (j->kind == JOB_COMMAND)
            execute(b, j);
        else
            power_on(b, j);
        g_mutex_lock(&w->lock);
        w->running = NULL;
        if (!keep_answer(b, j))
            g_free(j);
        g_cond_broadcast(&w->changed);
    }
    g_mutex_unlock(&w->lock);
    return NULL;
}

void tpm_backend_start(TpmBackend *b)
{
    TpmWorker *w = b->worker = g_new0(TpmWorker, 1);
    b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&w->lock);
    g_cond_init(&w->changed);
    g_queue_init(&w->jobs);
    w->thread = g_thread_new("tpm", work, b);
}

/* Under the lock. */
static void wake(TpmBackend *b)
{
    uint64_t one = 1;
    if (b->worker->running && write(b->wake, &one, sizeof(one)) < 0)
        log_write("%s: a command cannot be cancelled\n", b->object.name);
}

void tpm_backend_stop(TpmBackend *b)
{
    TpmWorker *w = b->worker;
    if (!w)
        return;
    g_mutex_lock(&w->lock);
    w->stopping = true;
    wake(b);
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
    g_thread_join(w->thread);
    close(b->wake);
    g_queue_clear_full(&w->jobs, g_free);
    g_free(w->answer);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->changed);
    g_clear_pointer(&b->worker, g_free);
}

bool tpm_backend_stopping(TpmBackend *b)
{
    g_mutex_lock(&b->worker->lock);
    bool stopping = b->worker->stopping;
    g_mutex_unlock(&b->worker->lock);
    return stopping;
}

/* ---- front ends' calls ---- */

static TpmBackend *backend(Object *o) { return (TpmBackend *)o; }

static bool is_tpm(Object *o, void *unused)
{
    return (object_is_a(o, "tpm-tis") || object_is_a(o, "tpm-crb")) && ((Device *)o)->realized;
}
Device *tpm_of(Vm *vm) { return (Device *)object_walk(&vm->root, is_tpm, NULL); }

/* Where the firmware writes down what it has measured. */
static void offer_log(Device *user)
{
    g_autofree uint8_t *log = g_malloc0(TPM_LOG_SIZE);
    FwCfg *fw_cfg = user->object.vm->machine ? user->object.vm->machine->fw_cfg : NULL;
    if (fw_cfg && !fw_cfg_has_file(fw_cfg, "etc/tpm/log"))
        fw_cfg_add_file(fw_cfg, "etc/tpm/log", log, TPM_LOG_SIZE);
}

bool tpm_attach(Object *o, Device *user, void (*answered)(Device *user, const void *answer, uint32_t n),
                GError **error)
{
    const char *name = user->object.type->name;
    if (!o)
        return error_set(error, "%s: 'tpmdev' property is required", name);
    if (tpm_of(user->object.vm))
        return error_set(error, "at most one TPM device is permitted");
    TpmWorker *w = backend(o)->worker;
    if (w->user)
        return error_set(error, "%s: '%s' is used by another device", name, o->name);
    w->answered = answered;
    w->user = user;
    offer_log(user);
    return true;
}

void tpm_detach(Object *o)
{
    TpmWorker *w = o ? backend(o)->worker : NULL;
    if (!w)
        return;
    g_mutex_lock(&w->lock);
    w->user = NULL;
    w->epoch++;
    wake(backend(o));
    g_mutex_unlock(&w->lock);
}

static void submit(TpmBackend *b, JobKind kind, uint8_t locality, const void *data, uint32_t n)
{
    TpmWorker *w = b->worker;
    Job *j = g_new(Job, 1);
    j->kind = kind;
    j->locality = locality;
    j->n = n;
    if (data)
        memcpy(j->data, data, n);
    g_mutex_lock(&w->lock);
    if (kind == JOB_STARTUP) {
        w->epoch++;
        g_clear_pointer(&w->answer, g_free);
        g_queue_clear_full(&w->jobs, g_free);
        wake(b);
    }
    j->epoch = w->epoch;
    g_queue_push_tail(&w->jobs, j);
    g_cond_broadcast(&w->changed);
    g_mutex_unlock(&w->lock);
}

void tpm_startup(Object *o, uint32_t buffer_size) { submit(backend(o), JOB_STARTUP, 0, NULL, buffer_size); }

void tpm_submit(Object *o, uint8_t locality, const void *command, uint32_t n)
{
    submit(backend(o), JOB_COMMAND, locality, command, MIN(n, TPM_BUFFER_MAX));
}

void tpm_reset_established(Object *o, uint8_t locality)
{
    submit(backend(o), JOB_RESET_ESTABLISHED, locality, NULL, 0);
}

void tpm_cancel(Object *o)
{
    TpmWorker *w = backend(o)->worker;
    g_mutex_lock(&w->lock);
    wake(backend(o));
    g_mutex_unlock(&w->lock);
}

bool tpm_established(Object *o)
{
    TpmWorker *w = backend(o)->worker;
    g_mutex_lock(&w->lock);
    bool established = w->established;
    g_mutex_unlock(&w->lock);
    return established;
}

TpmVersion tpm_version(Object *o) { return backend(o)->version; }

/* ---- its state ---- */

/* Until the worker has nothing to do; an answer is delivered. */
static void settle(TpmBackend *b)
{
    TpmWorker *w = b->worker;
    g_mutex_lock(&w->lock);
    while (w->running || !g_queue_is_empty(&w->jobs))
        g_cond_wait(&w->changed, &w->lock);
    g_autofree Job *j = g_steal_pointer(&w->answer);
    g_mutex_unlock(&w->lock);
    if (j && w->user)
        w->answered(w->user, j->data, j->n);
}

GBytes *tpm_save(Object *o)
{
    TpmBackend *b = backend(o);
    g_autoptr(GError) error = NULL;
    settle(b);
    GBytes *state = type_of(b)->save(b, &error);
    if (!state)
        log_write("%s: %s\n", o->name, error->message);
    return state;
}

void tpm_load(Object *o, GBytes *state, uint32_t buffer_size)
{
    TpmBackend *b = backend(o);
    g_autoptr(GError) error = NULL;
    bool established = false;
    if (!state) {
        tpm_startup(o, buffer_size);
        return;
    }
    settle(b);
    if (!type_of(b)->load(b, state, buffer_size, &established, &error))
        log_write("%s: %s\n", o->name, error->message);
    b->worker->established = established;
}

static const ObjectType tpm_backend = {
    .name = "tpm-backend", .desc = "What executes a TPM's commands", .size = sizeof(TpmBackend), .abstract = true,
};
OBJECT_TYPE(tpm_backend);
