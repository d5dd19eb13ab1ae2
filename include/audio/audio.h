/* SPDX-License-Identifier: Apache-2.0 */
/* Audio back ends (-audiodev), found by id as service "audiodev". Control thread. */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H

#include "core/vm.h"
#include "qapi/qapi-types-audio.h"

/* "driver,id=…" or JSON. The machine owns it. */
bool audiodev_add_option(Vm *vm, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* By id, NULL: none. Borrowed. */
const Audiodev *audiodev_find(Vm *vm, const char *id);

#endif
