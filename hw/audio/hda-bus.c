/* SPDX-License-Identifier: Apache-2.0 */
/* The HDA link: codecs and their addresses. Spec: High Definition Audio 1.0a, 3.7 and 4.3.2. */
#include "hw/audio/hda.h"
#include "util/error.h"

enum { ANY = UINT32_MAX };

HdaCodec *hda_codec_at(Bus *bus, unsigned cad)
{
    for (unsigned i = 0; i < bus->devices->len; i++) {
        HdaCodec *c = bus->devices->pdata[i];
        if (c->cad == cad)
            return c;
    }
    return NULL;
}

static bool plug(Bus *b, Device *d, GError **error)
{
    HdaCodec *c = (HdaCodec *)d;
    uint32_t wanted = c->cad;
    c->cad = ANY;               /* the search is for the others */
    if (wanted == ANY)
        for (wanted = 0; wanted < HDA_CODECS && hda_codec_at(b, wanted); wanted++)
            ;
    if (wanted >= HDA_CODECS)
        return error_set(error, "cad=%u: HDA addresses are 0 to %u", wanted, HDA_CODECS - 1);
    if (hda_codec_at(b, wanted))
        return error_set(error, "HDA address %u of bus %s is taken", wanted, b->object.name);
    c->cad = wanted;
    return true;
}

static const BusType hda_bus = {.name = "HDA", .parent = "bus", .size = sizeof(Bus), .plug = plug};
OBJECT_TYPE(hda_bus);

Bus *hda_bus_new(Device *controller) { return bus_new(controller, &hda_bus, NULL); }

AudioPcm hda_format(uint16_t format)
{
    static const AudioFormat samples[8] = {
        AUDIO_FORMAT_U8, AUDIO_FORMAT_S16, AUDIO_FORMAT_S32, AUDIO_FORMAT_S32, AUDIO_FORMAT_S32, AUDIO_FORMAT_S32,
        AUDIO_FORMAT_S32, AUDIO_FORMAT_S32,
    };
    uint32_t rate = (format & 0x4000 ? 44100 : 48000) * ((format >> 11 & 7) + 1) / ((format >> 8 & 7) + 1);
    return (AudioPcm){MIN(rate, AUDIO_MAX_RATE), (format & 15) + 1, samples[format >> 4 & 7]};
}

static const HdaCodecClass *class_of(const ObjectType *t)
{
    return ((const DeviceType *)t)->ext;
}

static void init(Object *o) { ((HdaCodec *)o)->cls = class_of(o->type); }

static const Field fields[] = {
    HOST(HdaCodec, cls), HOST(HdaCodec, period),
    PROP(HdaCodec, cad, "cad", PROP_U32, .init = ANY, .desc = "Address on the link; the next free one"),
};
static const DeviceType hda_codec = {
    .name = "hda-codec", .desc = "Any HDA codec", .size = sizeof(HdaCodec), .abstract = true, .bus = "HDA",
    .category = DEVICE_SOUND, FIELDS(fields), .init = init,
};
DEVICE_TYPE(hda_codec);
