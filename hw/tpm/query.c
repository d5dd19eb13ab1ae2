/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors are told of TPMs. */
#include <string.h>
#include "core/vm.h"
#include "hw/tpm.h"
#include "qapi/qapi-commands.h"

static char *text_of(Object *o, const char *property)
{
    PropValue v = {0};
    char *text = object_get(o, property, &v, NULL) && v.kind == VALUE_STRING ? g_strdup(v.s) : NULL;
    prop_value_clear(&v);
    return text;
}

TPMInfoList *qmp_query_tpm(Vm *vm, GError **error)
{
    TPMInfoList *list = tpm_info_list_new();
    Device *d = tpm_of(vm);
    g_autofree char *path = d ? text_of(&d->object, "tpmdev") : NULL;
    Object *backend = path ? object_resolve(vm, path, "tpm-emulator", NULL) : NULL;
    g_autofree char *chardev = backend ? text_of(backend, "chardev") : NULL;
    if (!chardev)
        return list;
    TPMEmulatorOptions *options = tpm_emulator_options_new(chardev);
    TpmTypeOptions *how = g_new0(TpmTypeOptions, 1);
    how->type = TPM_TYPE_EMULATOR;
    how->u.emulator = tpm_emulator_options_wrapper_new(options);
    tpm_info_list_add(list, tpm_info_new(backend->name, object_is_a(&d->object, "tpm-crb") ? TPM_MODEL_TPM_CRB
                                                                                           : TPM_MODEL_TPM_TIS, how));
    return list;
}

TpmModelList *qmp_query_tpm_models(Vm *vm, GError **error)
{
    TpmModelList *list = tpm_model_list_new();
    tpm_model_list_add(list, TPM_MODEL_TPM_CRB);
    tpm_model_list_add(list, TPM_MODEL_TPM_TIS);
    return list;
}

TpmTypeList *qmp_query_tpm_types(Vm *vm, GError **error)
{
    TpmTypeList *list = tpm_type_list_new();
    tpm_type_list_add(list, TPM_TYPE_EMULATOR);
    return list;
}
