/* SPDX-License-Identifier: Apache-2.0 */
/* secret: a password or key, given as text or in a file. */
#include <string.h>
#include <nettle/aes.h>
#include <nettle/cbc.h>

#include "core/backend.h"
#include "core/vm.h"
#include "util/error.h"

typedef struct Secret {
    Object object;
    char *data, *file, *keyid, *iv;
    int format;
    char *bytes;
    gsize length;
} Secret;

static const char *const formats[] = {"raw", "base64", NULL};

static const Field fields[] = {
    PROP(Secret, data, "data", PROP_STRING, .desc = "The secret itself"),
    PROP(Secret, file, "file", PROP_STRING, .desc = "File that holds it"),
    PROP(Secret, format, "format", PROP_ENUM, .names = formats,
         .link_type = "QCryptoSecretFormat", .desc = "How it is written"),
    PROP(Secret, keyid, "keyid", PROP_STRING, .desc = "Secret that it is encrypted with"),
    PROP(Secret, iv, "iv", PROP_STRING, .desc = "Initialisation vector of that encryption"),
    HOST(Secret, bytes), HOST(Secret, length),
};

static bool decode_base64(Secret *s, GError **error)
{
    g_strchomp(s->bytes);
    size_t n = strlen(s->bytes);
    if (n % 4 || strspn(s->bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "+/=") != n) {
        return error_set(error, "secret '%s' is not valid base64", s->object.name);
    }
    gsize out = 0;
    guchar *plain = g_base64_decode(s->bytes, &out);
    g_free(s->bytes);
    s->bytes = g_realloc(plain, out + 1);
    s->bytes[out] = '\0';
    s->length = out;
    return true;
}

/* AES-256-CBC with PKCS #7 padding, by the 32 bytes of another secret; the vector is base64. */
static bool decrypt(Secret *s, GError **error)
{
    struct CBC_CTX(struct aes256_ctx, AES_BLOCK_SIZE) cipher;
    size_t key_length, iv_length = 0;
    g_autofree guchar *iv = g_base64_decode(s->iv, &iv_length);
    g_autofree char *key = secret_get(s->object.vm, s->keyid, &key_length, error);

    if (!key) {
        return false;
    }
    if (key_length != AES256_KEY_SIZE) {
        return error_set(error, "secret '%s' has %zu bytes, a key has %d", s->keyid, key_length,
                         AES256_KEY_SIZE);
    }
    if (iv_length != AES_BLOCK_SIZE) {
        return error_set(error, "secret '%s': 'iv' stands for %zu bytes instead of %d", s->object.name,
                         iv_length, AES_BLOCK_SIZE);
    }
    if (!s->length || s->length % AES_BLOCK_SIZE) {
        return error_set(error, "secret '%s': %zu encrypted bytes are no whole blocks", s->object.name,
                         s->length);
    }
    aes256_set_decrypt_key(&cipher.ctx, (const uint8_t *)key);
    CBC_SET_IV(&cipher, iv);
    CBC_DECRYPT(&cipher, aes256_decrypt, s->length, (uint8_t *)s->bytes, (uint8_t *)s->bytes);
    explicit_bzero(&cipher, sizeof(cipher));
    explicit_bzero(key, key_length);
    unsigned padding = (uint8_t)s->bytes[s->length - 1];
    if (padding == 0 || padding > AES_BLOCK_SIZE) {
        return error_set(error, "secret '%s' was not encrypted with '%s'", s->object.name, s->keyid);
    }
    s->length -= padding;
    s->bytes[s->length] = '\0';
    return true;
}

static bool complete(Object *o, GError **error)
{
    Secret *s = (Secret *)o;
    g_autoptr(GError) why = NULL;

    if (!s->data == !s->file) {
        return error_set(error, "secret '%s' takes one of 'data' and 'file'", o->name);
    }
    if (!s->keyid != !s->iv) {
        return error_set(error, "secret '%s': 'keyid' and 'iv' go together", o->name);
    }
    if (s->data) {
        s->bytes = g_strdup(s->data);
        s->length = strlen(s->bytes);
    } else if (!g_file_get_contents(s->file, &s->bytes, &s->length, &why)) {
        return error_set(error, "secret '%s': %s", o->name, why->message);
    }
    return (s->format == 0 || decode_base64(s, error)) && (!s->keyid || decrypt(s, error));
}

static void finish(Object *o)
{
    Secret *s = (Secret *)o;

    if (s->bytes) {
        explicit_bzero(s->bytes, s->length);
        g_free(s->bytes);
    }
}

static const ObjectType secret = {
    .name = "secret", .desc = "A password or key", .size = sizeof(Secret),
    .user_creatable = true, FIELDS(fields), .complete = complete, .finish = finish,
};
OBJECT_TYPE(secret);

char *secret_get(Vm *vm, const char *id, size_t *length, GError **error)
{
    Object *o = object_child(vm->objects, id);

    if (!o || !object_is_a(o, "secret")) {
        error_set(error, o ? "object '%s' is not a secret" : "No secret with id '%s'", id);
        return NULL;
    }
    Secret *s = (Secret *)o;
    char *copy = g_malloc(s->length + 1);
    memcpy(copy, s->bytes, s->length);
    copy[s->length] = '\0';
    if (length) {
        *length = s->length;
    }
    return copy;
}
