/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of core/object. */
#ifndef CORE_OBJECT_INTERNAL_H
#define CORE_OBJECT_INTERNAL_H

#include "core/object.h"

/* For the Vm, whose root is not on the heap. */
void object_init(Object *o, Vm *vm, const ObjectType *type);
void object_finish(Object *o);
bool field_set(Object *o, const Field *f, const PropValue *v, GError **error);
bool field_get(Object *o, const Field *f, PropValue *out, GError **error);
void field_default(Object *o, const Field *f);
void field_free(Object *o, const Field *f);
char *field_default_text(const Field *f);
const char *const *field_names(const Field *f);

#endif
