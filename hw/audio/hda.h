/* SPDX-License-Identifier: Apache-2.0 */
/* Between an HDA controller and its codecs. Spec: High Definition Audio 1.0a. In the machine's domain. */
#ifndef HW_AUDIO_HDA_H
#define HW_AUDIO_HDA_H

#include "audio/audio.h"
#include "core/vm.h"

enum { HDA_CODECS = 15, HDA_STREAMS = 8, HDA_TAGS = 16 };

typedef struct HdaCodec HdaCodec;
typedef struct HdaCodecClass {
    /* A command: node << 20 | verb and payload. False: no answer. */
    bool (*command)(HdaCodec *c, uint32_t verb, uint32_t *response);
    /* The controller begins or ends to move data of a stream. */
    void (*run)(HdaCodec *c, unsigned tag, bool output, bool on);
    /* Bytes of an output stream; room of an input stream to be filled. True: it is this codec's. */
    bool (*play)(HdaCodec *c, unsigned tag, const uint8_t *data, size_t n);
    bool (*record)(HdaCodec *c, unsigned tag, uint8_t *data, size_t n);
} HdaCodecClass;
/* Types descend from "hda-codec"; .ext is an HdaCodecClass. */
struct HdaCodec {
    Device dev;
    const HdaCodecClass *cls;
    uint32_t cad;               /* property: its address on the link */
    int64_t period;             /* ns between two looks at its streams; set by realize */
};

/* SDnFMT and converters: the form of a stream's frames. */
AudioPcm hda_format(uint16_t format);

/* (realize) Bus of type "HDA". */
Bus *hda_bus_new(Device *controller);
/* The codec at an address; NULL: none. */
HdaCodec *hda_codec_at(Bus *bus, unsigned cad);

#endif
