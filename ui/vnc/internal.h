/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VNC server's parts (RFB 3.8: RFC 6143; encodings and extensions: the community's rfbproto).
 *
 * stream.c    bytes to and from a client, through TLS and WebSocket where asked for
 * handshake.c versions, security types, passwords, VeNCrypt
 * messages.c  what a client says
 * update.c    what has changed, and when a client is told
 * encode.c    pixels in a client's format, raw and hextile; zrle.c, tight.c: compressed
 * keysym.c    X keysyms to keys by a keyboard layout
 * server.c    listening, options; query.c: commands and events
 *
 * All on the control thread.
 */
#ifndef UI_VNC_INTERNAL_H
#define UI_VNC_INTERNAL_H

#include <zlib.h>

#include "crypto/wire.h"
#include "qapi/qapi-types-ui.h"
#include "qapi/qapi-types-vnc.h"
#include "ui/console.h"
#include "ui/input.h"
#include "ui/vnc.h"
#include "util/loop.h"

enum {
    VNC_TILE = 16,              /* pixels: the grain of what is known to have changed */
    VNC_INPUT_MAX = 1 << 20,    /* bytes of one message that a client may send */
    VNC_OUTPUT_PAUSE = 1 << 16, /* bytes not yet accepted at which updates wait */
};

typedef struct VncServer VncServer;
typedef struct VncClient VncClient;
typedef struct VncStream VncStream;
typedef struct Keysyms Keysyms;

/* ---- stream.c ---- */
typedef struct VncStreamOps {
    void (*received)(void *opaque);     /* more bytes in ->in */
    void (*drained)(void *opaque);      /* all of ->out is with the kernel */
    void (*secured)(void *opaque);      /* the handshakes of vnc_stream_shake() are done */
    void (*closed)(void *opaque);       /* the other side is gone, or broke the rules */
} VncStreamOps;
struct VncStream {
    Loop *loop;
    Wire *wire;
    LoopFd *watch;
    GByteArray *in, *out;       /* RFB's bytes */
    const VncStreamOps *ops;
    void *opaque;
    bool shaking;               /* TLS or WebSocket begin */
    bool blocked;               /* the wire holds bytes that were sent */
    bool closing;               /* after what is in out */
};
/* Takes over the wire. */
VncStream *vnc_stream_new(Loop *loop, Wire *wire, const VncStreamOps *ops, void *opaque);
void vnc_stream_free(VncStream *s);
/* The wire has begun TLS or WebSocket. */
void vnc_stream_shake(VncStream *s);
/* Sends what has been appended to ->out. */
void vnc_stream_flush(VncStream *s);
/* Ends after what was written; no callback follows but closed(). */
void vnc_stream_end(VncStream *s);
size_t vnc_stream_pending(const VncStream *s);

/* ---- pixel formats, encode.c ---- */
typedef struct VncFormat {
    uint8_t bits, depth;        /* bits a pixel: 8, 16, 32 */
    bool big_endian;
    bool mapped;                /* a colour map, which we fill as 3-3-2 */
    uint16_t max[3];            /* red, green, blue */
    uint8_t shift[3];
} VncFormat;
extern const VncFormat vnc_format_default;
/* n pixels; out has room for n * bits / 8 bytes. */
void vnc_pack(const VncFormat *f, const uint32_t *pixels, unsigned n, uint8_t *out);
/* Bytes of a "compact" pixel (ZRLE's CPIXEL), and packing one that way. */
unsigned vnc_compact_size(const VncFormat *f);
void vnc_pack_compact(const VncFormat *f, const uint32_t *pixels, unsigned n, uint8_t *out);

static inline void put8(GByteArray *out, uint8_t v) { g_byte_array_append(out, &v, 1); }
static inline void put16(GByteArray *out, uint16_t v)
{
    g_byte_array_append(out, (uint8_t[]){v >> 8, v}, 2);
}
static inline void put32(GByteArray *out, uint32_t v)
{
    g_byte_array_append(out, (uint8_t[]){v >> 24, v >> 16, v >> 8, v}, 4);
}
static inline unsigned get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

/* A part of the picture, gathered into one block of pixels, line after line. */
typedef struct VncRect {
    unsigned x, y, width, height;
    const uint32_t *pixels;
} VncRect;
/* The colours of a block in order of appearance, at most `most`; 0 when there are more. */
unsigned vnc_palette(const uint32_t *pixels, size_t n, uint32_t *colours, unsigned most);
/* The place of a colour that is in the palette. */
unsigned vnc_palette_index(const uint32_t *colours, uint32_t colour);

/* Append a rectangle's data; its header is there. */
void vnc_raw(VncClient *c, const VncRect *r);
void vnc_hextile(VncClient *c, const VncRect *r);
void vnc_zrle(VncClient *c, const VncRect *r);
void vnc_tight(VncClient *c, const VncRect *r);
/* Compresses with a stream that lasts as long as the client. */
void vnc_deflate(z_stream **z, int level, const uint8_t *data, size_t n, GByteArray *out);
void vnc_deflate_end(z_stream **z);

/* ---- the client ---- */
enum {
    FEATURE_RESIZE = 1, FEATURE_RESIZE_EXT = 2, FEATURE_CURSOR = 4, FEATURE_POINTER_TYPE = 8,
    FEATURE_EXT_KEY = 16,
};
struct VncClient {
    VncServer *server;
    VncStream *stream;
    /* Handles the next message: returns the bytes it took, 0: more are needed. */
    size_t (*next)(VncClient *c, const uint8_t *data, size_t n);
    void (*secured)(VncClient *c);      /* what follows when TLS or WebSocket stand */
    bool websocket, shared, initialized, gone;
    VncClientInfo *info;
    VncServerInfo *server_info;
    unsigned minor;             /* RFB 3.minor */
    uint8_t challenge[16];
    VncFormat format;
    int encoding;               /* chosen for pixels */
    unsigned features;
    int compression;            /* zlib level */
    z_stream *zrle, *tight[4];
    unsigned width, height;     /* of the picture as the client knows it */
    bool wants_update, incremental, resize, cursor_changed, tell_pointer, tell_keys;
    bool absolute, pointed;     /* pointer: mode told, last place known */
    unsigned pointer_x, pointer_y, buttons;
    int resize_reason, resize_status;
    uint64_t *dirty;            /* a bit for each tile, line after line */
    QKeyCode pressed[256];      /* what is down, to be released at the end */
    unsigned n_pressed;
};
void vnc_client_new(VncServer *s, int fd, bool websocket);
/* Ends it soon: with a reason in the log. */
void vnc_client_end(VncClient *c, const char *why);
void vnc_handshake_start(VncClient *c);
size_t vnc_message(VncClient *c, const uint8_t *data, size_t n);        /* messages.c */
size_t vnc_client_init(VncClient *c, const uint8_t *data, size_t n);
void vnc_client_release_keys(VncClient *c);

/* ---- update.c ---- */
void vnc_update(VncClient *c);          /* sends what is wanted, if the stream has room */
void vnc_dirty_all(VncClient *c);
void vnc_server_resized(VncServer *s);
/* Compares the marked tiles with what was sent last, tells clients. */
void vnc_server_compare(VncServer *s);
void vnc_dirty_mark(VncServer *s, unsigned x, unsigned y, unsigned width, unsigned height);

struct VncServer {
    ConsoleListener listener;
    Vm *vm;
    char *id;
    char *device;               /* display=: the console's device, or NULL: the first console */
    unsigned head;
    unsigned chosen;            /* by Ctrl-Alt and a digit: a console's index above 0; 0: none */
    bool looking;               /* listener is in use: there are clients */
    GPtrArray *listening;       /* Listening */
    GPtrArray *clients;
    char *password;             /* NULL: none may enter */
    bool password_on;
    Object *tls_creds;          /* NULL: no TLS; a reference */
    char *tls_authz;            /* who may enter, or NULL */
    int64_t expires;            /* seconds since 1970, 0: never; -1: now */
    VncShare share;
    unsigned most_clients;
    Keysyms *keysyms;
    /* Tiles of the console that may have changed; the picture as compared last. */
    unsigned tiles_x, tiles_y;
    uint64_t *marked;
    Surface *shadow;
    unsigned timer;
};
const char *vnc_console_id(VncServer *s);       /* for input: the device's id, or NULL */
Console *vnc_console(VncServer *s);             /* NULL: the machine shows nothing */
void vnc_switch(VncServer *s, unsigned index);  /* shows another console, if there is one */
void vnc_server_look(VncServer *s);             /* clients came or went */
GPtrArray *vnc_servers(Vm *vm);
unsigned vnc_server_sockets(const VncServer *s, int *fds, bool *websockets, unsigned most);

/* ---- keysym.c ---- */
/* NULL: en-us, read when the first key comes. */
Keysyms *keysyms_new(const char *layout, GError **error);
void keysyms_free(Keysyms *k);
QKeyCode keysyms_find(Keysyms *k, uint32_t keysym);

/* ---- query.c ---- */
void vnc_tell_connected(VncClient *c);
void vnc_tell_initialized(VncClient *c);
void vnc_tell_disconnected(VncClient *c);
bool vnc_name_peer(int fd, bool peer, char **host, char **service, NetworkAddressFamily *family);
const char *vnc_auth_name(const VncServer *s);

#endif
