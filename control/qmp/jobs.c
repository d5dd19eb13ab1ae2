/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what takes longer than a command. So far making images, which ends at once. */
#include "block/block.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"
#include "util/error.h"

typedef struct Job {
    Object object;
    JobType type;
    JobStatus status;
    char *id, *error;
    BlockdevCreateOptions *create;
} Job;

static void job_finish(Object *o)
{
    Job *j = (Job *)o;

    vm_service_remove(o->vm, "job", j->id);
    g_free(j->id);
    g_free(j->error);
    blockdev_create_options_free(j->create);
}

static const ObjectType job_type = {
    .name = "block-job", .parent = "object", .size = sizeof(Job), .finish = job_finish,
};
OBJECT_TYPE(job_type);

static void set_status(Job *j, JobStatus status)
{
    j->status = status;
    qapi_event_job_status_change(j->object.vm, j->id, status);
}

static void run_create(void *data)
{
    Job *j = data;
    g_autoptr(GError) error = NULL;

    if (block_create(j->object.vm, j->create, &error)) {
        set_status(j, JOB_STATUS_WAITING);
        set_status(j, JOB_STATUS_PENDING);
    } else {
        j->error = g_strdup(error->message);
        set_status(j, JOB_STATUS_ABORTING);
    }
    set_status(j, JOB_STATUS_CONCLUDED);
    object_unref(&j->object);
}

bool qmp_blockdev_create(Vm *vm, const char *job_id, BlockdevCreateOptions *options, GError **error)
{
    if (vm_service_find(vm, "job", job_id)) {
        return error_set(error, "Job ID '%s' already in use", job_id);
    }
    if (!g_ascii_isalpha(*job_id)) {
        return error_set(error, "Invalid job ID '%s'", job_id);
    }
    Job *j = (Job *)object_new(vm, &job_type);
    j->id = g_strdup(job_id);
    j->type = JOB_TYPE_CREATE;
    j->create = blockdev_create_options_copy(options);
    vm_service_add(vm, "job", j->id, j);
    object_add_child(vm->backends, "job[*]", &j->object);
    set_status(j, JOB_STATUS_CREATED);
    set_status(j, JOB_STATUS_RUNNING);
    object_ref(&j->object);
    loop_post(vm->loop, run_create, j);
    return true;
}

JobInfoList *qmp_query_jobs(Vm *vm, GError **error)
{
    JobInfoList *list = job_info_list_new();
    g_auto(GStrv) ids = vm_service_ids(vm, "job");

    for (char **id = ids; id && *id; id++) {
        const Job *j = vm_service_find(vm, "job", *id);
        JobInfo *info = g_new0(JobInfo, 1);
        info->id = g_strdup(j->id);
        info->type = j->type;
        info->status = j->status;
        info->current_progress = j->status == JOB_STATUS_CONCLUDED && !j->error;
        info->total_progress = 1;
        info->error = g_strdup(j->error);
        job_info_list_add(list, info);
    }
    return list;
}

bool qmp_job_dismiss(Vm *vm, const char *id, GError **error)
{
    Job *j = vm_service_find(vm, "job", id);

    if (!j) {
        return error_set_class(error, MYNA_ERROR_DEVICE_NOT_ACTIVE, "Job not found");
    }
    if (j->status != JOB_STATUS_CONCLUDED) {
        return error_set(error, "Job '%s' in state '%s' cannot accept command verb 'dismiss'", id,
                         job_status_name(j->status));
    }
    set_status(j, JOB_STATUS_NULL);
    object_remove(&j->object);
    return true;
}
