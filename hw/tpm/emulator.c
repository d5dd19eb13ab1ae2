/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -tpmdev emulator: commands go to a swtpm process. Spec: swtpm_ioctls(3). Control commands go over the chardev's
 * socket, TPM commands over a pair of sockets of which swtpm gets one end.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/chardev.h"
#include "core/vm.h"
#include "hw/tpm.h"
#include "util/error.h"
#include "util/socket.h"

typedef enum Control {
    GET_CAPABILITY = 1, INIT, SHUTDOWN, GET_TPMESTABLISHED, SET_LOCALITY, CANCEL_TPM_CMD = 9,
    RESET_TPMESTABLISHED = 11, GET_STATEBLOB, SET_STATEBLOB, STOP, SET_DATAFD = 16, SET_BUFFERSIZE,
} Control;
enum {
    CAN_INIT = 1 << 0, CAN_SHUTDOWN = 1 << 1, CAN_GET_ESTABLISHED = 1 << 2, CAN_SET_LOCALITY = 1 << 3,
    CAN_CANCEL = 1 << 5, CAN_RESET_ESTABLISHED = 1 << 7, CAN_GET_STATE = 1 << 8, CAN_SET_STATE = 1 << 9,
    CAN_STOP = 1 << 10, CAN_SET_DATAFD = 1 << 12, CAN_SET_BUFFERSIZE = 1 << 13,
    NEEDED = CAN_INIT | CAN_SHUTDOWN | CAN_GET_ESTABLISHED | CAN_SET_LOCALITY | CAN_CANCEL | CAN_STOP |
             CAN_SET_DATAFD | CAN_SET_BUFFERSIZE,
    TIMEOUT_MS = 10000, RESULT = 4, BLOBS = 3, BLOB_MAX = 1 << 20, TAG_2_0 = 0x8001, NO_LOCALITY = 0xff,
};

static const struct { Control command; const char *name; } names[] = {
    {GET_CAPABILITY, "CMD_GET_CAPABILITY"}, {INIT, "CMD_INIT"}, {SHUTDOWN, "CMD_SHUTDOWN"},
    {GET_TPMESTABLISHED, "CMD_GET_TPMESTABLISHED"}, {SET_LOCALITY, "CMD_SET_LOCALITY"},
    {CANCEL_TPM_CMD, "CMD_CANCEL_TPM_CMD"}, {RESET_TPMESTABLISHED, "CMD_RESET_TPMESTABLISHED"},
    {GET_STATEBLOB, "CMD_GET_STATEBLOB"}, {SET_STATEBLOB, "CMD_SET_STATEBLOB"}, {STOP, "CMD_STOP"},
    {SET_DATAFD, "CMD_SET_DATAFD"}, {SET_BUFFERSIZE, "CMD_SET_BUFFERSIZE"},
};

typedef struct Emulator {
    TpmBackend tpm;
    Chardev *chr;
    CharFrontend fe;
    int control, data;          /* a copy of the chardev's socket; our end of the pair */
    uint32_t can;
    uint8_t locality;           /* that swtpm has been told */
} Emulator;

static const char *name_of(Control command)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].command == command)
            return names[i].name;
    return "?";
}

/* ---- bytes ---- */

/* swtpm takes a command with what belongs to it from one read: it is sent at once. */
static bool send_at_once(int sock, const void *data, size_t n, const int *fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {(void *)data, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t done;
    if (fd) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), fd, sizeof(int));
    }
    while ((done = sendmsg(sock, &msg, MSG_NOSIGNAL)) < 0 &&
           (errno == EAGAIN ? socket_wait(sock, POLLOUT, TIMEOUT_MS) : errno == EINTR))
        ;
    return done == (ssize_t)n;
}

static bool receive(int sock, void *to, size_t bytes) { return socket_recv_all(sock, to, bytes, TIMEOUT_MS); }

/* ---- control commands ---- */

typedef struct Ask {
    Control command;
    const void *in;
    uint32_t n_in;
    void *out;                  /* what follows the result */
    uint32_t n_out;
    const int *fd;              /* goes along */
} Ask;

/* The answer begins with a result, and ends there unless it is 0. */
static bool ask(Emulator *e, Ask a, GError **error)
{
    g_autofree uint8_t *message = g_malloc(4 + a.n_in);
    uint32_t code = GUINT32_TO_BE(a.command), result;
    memcpy(message, &code, 4);
    if (a.n_in)
        memcpy(message + 4, a.in, a.n_in);
    if (!send_at_once(e->control, message, 4 + a.n_in, a.fd) || !receive(e->control, &result, RESULT))
        return error_set(error, "swtpm does not answer %s", name_of(a.command));
    if (result)
        return error_set(error, "swtpm refuses %s with 0x%x", name_of(a.command), GUINT32_FROM_BE(result));
    return receive(e->control, a.out, a.n_out) ||
           error_set(error, "swtpm's answer to %s ends early", name_of(a.command));
}

static bool order(Emulator *e, Control command, GError **error) { return ask(e, (Ask){.command = command}, error); }

static bool ask_established(Emulator *e, bool *established, GError **error)
{
    uint8_t answer[4];
    if (!ask(e, (Ask){.command = GET_TPMESTABLISHED, .out = answer, .n_out = sizeof(answer)}, error))
        return false;
    *established = answer[0];
    return true;
}

/* 0 asks for the size that is in use. */
static bool set_buffer_size(Emulator *e, uint32_t size, uint32_t *now, GError **error)
{
    uint32_t wanted = GUINT32_TO_BE(size), answer[3];
    if (!ask(e, (Ask){SET_BUFFERSIZE, &wanted, 4, answer, sizeof(answer)}, error))
        return false;
    *now = GUINT32_FROM_BE(answer[0]);
    return true;
}

static bool set_locality(Emulator *e, uint8_t locality, GError **error)
{
    uint8_t in[4] = {locality};
    if (e->locality == locality)
        return true;
    e->locality = NO_LOCALITY;
    if (!ask(e, (Ask){.command = SET_LOCALITY, .in = in, .n_in = sizeof(in)}, error))
        return false;
    e->locality = locality;
    return true;
}

static bool init(Emulator *e, bool *established, GError **error)
{
    uint32_t flags = 0;
    e->locality = NO_LOCALITY;
    return ask(e, (Ask){.command = INIT, .in = &flags, .n_in = 4}, error) && ask_established(e, established, error);
}

/* ---- what the worker does ---- */

static Emulator *emulator(TpmBackend *b) { return (Emulator *)b; }

static bool startup(TpmBackend *b, uint32_t buffer_size, bool *established, GError **error)
{
    Emulator *e = emulator(b);
    uint32_t now;
    return order(e, STOP, error) && set_buffer_size(e, buffer_size, &now, error) && init(e, established, error);
}

/* Cancels when the front end wants that; gives up when everything ends. */
static bool wait_for_answer(Emulator *e)
{
    struct pollfd p[] = {{.fd = e->data, .events = POLLIN}, {.fd = e->tpm.wake, .events = POLLIN}};
    while (!p[0].revents) {
        if (poll(p, G_N_ELEMENTS(p), -1) < 0) {
            p[0].revents = 0;
            continue;
        }
        if (!p[1].revents)
            continue;
        p[1].fd = -1;                   /* once is enough */
        p[1].revents = 0;
        if (tpm_backend_stopping(&e->tpm))
            return false;
        order(e, CANCEL_TPM_CMD, NULL); /* which may find it done */
    }
    return true;
}

static uint32_t execute(TpmBackend *b, uint8_t locality, const void *command, uint32_t n, void *answer, GError **error)
{
    Emulator *e = emulator(b);
    uint32_t length;
    if (!set_locality(e, locality, error))
        return 0;
    if (!send_at_once(e->data, command, n, NULL)) {
        error_set(error, "swtpm takes no commands");
        return 0;
    }
    if (!wait_for_answer(e))
        return 0;
    if (!receive(e->data, answer, TPM_HEADER)) {
        error_set(error, "swtpm is gone");
        return 0;
    }
    memcpy(&length, (uint8_t *)answer + 2, 4);
    length = GUINT32_FROM_BE(length);
    if (length < TPM_HEADER || length > TPM_BUFFER_MAX ||
        !receive(e->data, (uint8_t *)answer + TPM_HEADER, length - TPM_HEADER)) {
        error_set(error, "swtpm gives an answer of %u bytes", length);
        return 0;
    }
    return length;
}

static bool reset_established(TpmBackend *b, uint8_t locality, bool *established, GError **error)
{
    Emulator *e = emulator(b);
    uint8_t in[4] = {locality};
    return (!(e->can & CAN_RESET_ESTABLISHED) ||
            ask(e, (Ask){.command = RESET_TPMESTABLISHED, .in = in, .n_in = sizeof(in)}, error)) &&
           ask_established(e, established, error);
}

/* ---- state: for each of three blobs flags, length (little-endian) and bytes ---- */

static bool save_blob(Emulator *e, uint32_t type, GByteArray *out, GError **error)
{
    unsigned head = out->len;
    uint32_t flags = 0, total = 0;
    g_byte_array_set_size(out, head + 8);
    do {
        uint32_t in[3] = {0, GUINT32_TO_BE(type), GUINT32_TO_BE(out->len - head - 8)}, answer[3];
        if (!ask(e, (Ask){GET_STATEBLOB, in, sizeof(in), answer, sizeof(answer)}, error))
            return false;
        uint32_t at = out->len, n = GUINT32_FROM_BE(answer[2]);
        flags = GUINT32_FROM_BE(answer[0]);
        total = GUINT32_FROM_BE(answer[1]);
        if (total > BLOB_MAX || n > total - (at - head - 8) || (!n && total > at - head - 8))
            return error_set(error, "swtpm's state makes no sense");
        g_byte_array_set_size(out, at + n);
        if (!receive(e->control, out->data + at, n))
            return error_set(error, "swtpm's state ends early");
    } while (out->len - head - 8 < total);
    flags = GUINT32_TO_LE(flags);
    total = GUINT32_TO_LE(total);
    memcpy(out->data + head, &flags, 4);
    memcpy(out->data + head + 4, &total, 4);
    return true;
}

static GBytes *save(TpmBackend *b, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Emulator *e = emulator(b);
    if (!(e->can & CAN_GET_STATE)) {
        error_set(error, "this swtpm does not tell its state");
        return NULL;
    }
    for (uint32_t type = 1; type <= BLOBS; type++)
        if (!save_blob(e, type, out, error))
            return NULL;
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static bool load_blob(Emulator *e, uint32_t type, const uint8_t **p, gsize *left, GError **error)
{
    uint32_t flags, n;
    if (*left < 8)
        return error_set(error, "the TPM's state ends early");
    memcpy(&flags, *p, 4);
    memcpy(&n, *p + 4, 4);
    flags = GUINT32_FROM_LE(flags);
    n = GUINT32_FROM_LE(n);
    if (n > *left - 8 || n > BLOB_MAX)
        return error_set(error, "the TPM's state ends early");
    g_autofree uint8_t *in = g_malloc(12 + n);
    uint32_t head[3] = {GUINT32_TO_BE(flags), GUINT32_TO_BE(type), GUINT32_TO_BE(n)};
    memcpy(in, head, sizeof(head));
    memcpy(in + 12, *p + 8, n);
    *p += 8 + n;
    *left -= 8 + n;
    return ask(e, (Ask){.command = SET_STATEBLOB, .in = in, .n_in = 12 + n}, error);
}

static bool load(TpmBackend *b, GBytes *state, uint32_t buffer_size, bool *established, GError **error)
{
    Emulator *e = emulator(b);
    gsize left = 0;
    uint32_t now;
    const uint8_t *p = state ? g_bytes_get_data(state, &left) : NULL;
    if (!(e->can & CAN_SET_STATE))
        return error_set(error, "this swtpm takes no state");
    if (!order(e, STOP, error) || !set_buffer_size(e, buffer_size, &now, error))
        return false;
    for (uint32_t type = 1; type <= BLOBS; type++)
        if (!load_blob(e, type, &p, &left, error))
            return false;
    return init(e, established, error);
}

/* ---- the object ---- */

static bool connect_data(Emulator *e, GError **error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(error, errno, "socketpair");
    e->data = pair[0];
    bool ok = ask(e, (Ask){.command = SET_DATAFD, .fd = &pair[1]}, error);
    close(pair[1]);
    return ok;
}

/* A TPM that is off answers any command with a failure of its version. */
static bool find_version(Emulator *e, GError **error)
{
    static const uint8_t get_random[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 1};
    uint8_t answer[TPM_HEADER];
    if (!send_at_once(e->data, get_random, sizeof(get_random), NULL) || !receive(e->data, answer, sizeof(answer)))
        return error_set(error, "swtpm does not answer commands");
    e->tpm.version = (answer[0] << 8 | answer[1]) == TAG_2_0 ? TPM_2_0 : TPM_1_2;
    return true;
}

static bool connect_swtpm(Emulator *e, GError **error)
{
    uint32_t can, size;
    int sock = char_socket(&e->fe);
    e->control = sock < 0 ? -1 : dup(sock);
    if (e->control < 0)
        return error_set(error, "the chardev must be a socket that is connected to swtpm's control channel");
    if (!ask(e, (Ask){.command = GET_CAPABILITY, .out = &can, .n_out = 4}, error))
        return false;
    e->can = GUINT32_FROM_BE(can);
    if ((e->can & NEEDED) != NEEDED)
        return error_set(error, "this swtpm lacks commands that are needed (it has 0x%x)", e->can);
    if (!connect_data(e, error) || !order(e, STOP, error) || !find_version(e, error) ||
        !set_buffer_size(e, 0, &size, error))
        return false;
    e->tpm.buffer_size = CLAMP(size, TPM_HEADER, TPM_BUFFER_MAX);
    return true;
}

static bool complete(Object *o, GError **error)
{
    Emulator *e = (Emulator *)o;
    if (!e->chr)
        return error_set(error, "tpm-emulator: parameter 'chardev' is missing");
    if (!char_attach(&e->fe, e->chr, error))
        return false;
    if (!connect_swtpm(e, error)) {
        g_prefix_error(error, "tpm-emulator '%s': ", o->name);
        return false;
    }
    tpm_backend_start(&e->tpm);
    return true;
}

static void begin(Object *o) { ((Emulator *)o)->control = ((Emulator *)o)->data = -1; }

static void finish(Object *o)
{
    Emulator *e = (Emulator *)o;
    bool used = e->tpm.worker;
    tpm_backend_stop(&e->tpm);
    if (used)
        order(e, SHUTDOWN, NULL);
    if (e->control >= 0)
        close(e->control);
    if (e->data >= 0)
        close(e->data);
    char_detach(&e->fe);
}

static const Field fields[] = {
    TPM_BACKEND_FIELDS(Emulator), PROP(Emulator, chr, "chardev", PROP_CHARDEV, .desc = "swtpm's control channel"),
    HOST(Emulator, fe), HOST(Emulator, control), HOST(Emulator, data), HOST(Emulator, can), HOST(Emulator, locality),
};
static const TpmBackendType tpm_emulator = {
    .name = "tpm-emulator", .parent = "tpm-backend", .desc = "TPM emulator backend driver", .size = sizeof(Emulator),
    .user_creatable = true, FIELDS(fields), .init = begin, .complete = complete, .finish = finish, .kind = "emulator",
    .startup = startup, .execute = execute, .reset_established = reset_established, .save = save, .load = load,
};
OBJECT_TYPE(tpm_emulator);
