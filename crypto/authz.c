/* SPDX-License-Identifier: Apache-2.0 */
/* Who may enter: authz-simple (one identity), authz-list and authz-list-file (rules). */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include "core/device.h"
#include "crypto/tls.h"
#include "util/error.h"
#include "util/json.h"

typedef struct AuthzType {
    ObjectType;
    bool (*allows)(Object *o, const char *identity);
} AuthzType;

static const ObjectType base = {.name = "authz", .size = sizeof(Object), .abstract = true};
OBJECT_TYPE(base);

/* ---- authz-simple ---- */

typedef struct AuthzSimple {
    Object object;
    char *identity;
} AuthzSimple;

static bool simple_allows(Object *o, const char *identity)
{
    return strcmp(((AuthzSimple *)o)->identity, identity) == 0;
}

static const Field simple_fields[] = {
    PROP(AuthzSimple, identity, "identity", PROP_STRING, .required = true, .desc = "Who may enter"),
};
static const AuthzType simple = {
    .name = "authz-simple", .parent = "authz", .desc = "One identity may enter", .size = sizeof(AuthzSimple),
    .user_creatable = true, FIELDS(simple_fields), .allows = simple_allows,
};
OBJECT_TYPE(simple);

/* ---- rules, in order; the first that matches decides ---- */

/* [{"match": …, "policy": "allow"|"deny", "format": "exact"|"glob"}, …] and a policy for the others. */
static bool rules_allow(const Json *rules, bool others, const char *identity)
{
    for (size_t i = 0; rules && i < json_length(rules); i++) {
        const Json *r = json_at(rules, i);
        const char *match = json_get_text(r, "match"), *format = json_get_text(r, "format");
        bool glob = !g_strcmp0(format, "glob");
        if (match && (glob ? fnmatch(match, identity, 0) == 0 : strcmp(match, identity) == 0)) {
            return !g_strcmp0(json_get_text(r, "policy"), "allow");
        }
    }
    return others;
}

static bool check_rules(const Json *rules, GError **error)
{
    if (json_type(rules) != JSON_ARRAY) {
        return error_set(error, "'rules' is no list");
    }
    for (size_t i = 0; i < json_length(rules); i++) {
        const Json *r = json_at(rules, i);
        const char *policy = json_type(r) == JSON_OBJECT ? json_get_text(r, "policy") : NULL;
        if (!policy || !json_get_text(r, "match") || (strcmp(policy, "allow") && strcmp(policy, "deny"))) {
            return error_set(error, "a rule has 'match' and 'policy', which is allow or deny");
        }
    }
    return true;
}

/* ---- authz-list ---- */

typedef struct AuthzList {
    Object object;
    int policy;
    Json *rules;
} AuthzList;

static const char *const policies[] = {"deny", "allow", NULL};

static bool list_allows(Object *o, const char *identity)
{
    return rules_allow(((AuthzList *)o)->rules, ((AuthzList *)o)->policy, identity);
}

static bool get_rules(Object *o, Property *p, PropValue *out, GError **error)
{
    const Json *rules = ((AuthzList *)o)->rules;

    *out = (PropValue){.kind = VALUE_JSON, .s = rules ? json_print(rules, false) : g_strdup("[]")};
    return true;
}

static bool set_rules(Object *o, Property *p, const PropValue *in, GError **error)
{
    g_autoptr(Json) rules = in->s ? json_parse(in->s, error) : NULL;

    if (!rules || !check_rules(rules, error)) {
        return rules || (error && *error) ? false : error_set(error, "'rules' is no list");
    }
    json_unref(((AuthzList *)o)->rules);
    ((AuthzList *)o)->rules = g_steal_pointer(&rules);
    return true;
}

static void list_init(Object *o)
{
    object_add_property(o, &(Property){.name = "rules", .type_name = "QAuthZListRule",
                                       .desc = "Rules, the first that matches decides", .get = get_rules,
                                       .set = set_rules});
}

static void list_finish(Object *o)
{
    json_unref(((AuthzList *)o)->rules);
}

static const Field list_fields[] = {
    HOST(AuthzList, rules),
    PROP(AuthzList, policy, "policy", PROP_ENUM, .names = policies, .link_type = "QAuthZListPolicy",
         .desc = "What becomes of others"),
};
static const AuthzType list = {
    .name = "authz-list", .parent = "authz", .desc = "Rules about who may enter", .size = sizeof(AuthzList),
    .user_creatable = true, FIELDS(list_fields), .init = list_init, .finish = list_finish,
    .allows = list_allows,
};
OBJECT_TYPE(list);

/* ---- authz-list-file: the same rules, in a file that may change while it runs ---- */

typedef struct AuthzFile {
    Object object;
    char *filename;
    bool refresh;
    Json *content;              /* {"policy": …, "rules": […]} */
    int64_t changed;            /* the file's time, in us; with its size */
    int64_t size;
} AuthzFile;

static bool file_times(AuthzFile *a, int64_t *changed, int64_t *size)
{
    struct stat st;

    if (stat(a->filename, &st) < 0) {
        return false;
    }
    *changed = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    *size = st.st_size;
    return true;
}

static bool file_read(AuthzFile *a, GError **error)
{
    g_autofree char *text = NULL;
    const char *policy;

    if (!file_times(a, &a->changed, &a->size)) {
        return error_set_errno(error, errno, "authz-list-file: '%s'", a->filename);
    }
    g_autoptr(Json) content = g_file_get_contents(a->filename, &text, NULL, error) ? json_parse(text, error) : NULL;
    if (!content || json_type(content) != JSON_OBJECT) {
        return content ? error_set(error, "'%s' holds no JSON object with 'policy' and 'rules'", a->filename) : false;
    }
    policy = json_get_text(content, "policy");
    if ((policy && strcmp(policy, "allow") && strcmp(policy, "deny")) ||
        (json_get(content, "policy") && !policy)) {
        return error_set(error, "'%s': 'policy' is allow or deny", a->filename);
    }
    if (json_get(content, "rules") && !check_rules(json_get(content, "rules"), error)) {
        g_prefix_error(error, "'%s': ", a->filename);
        return false;
    }
    json_unref(a->content);
    a->content = g_steal_pointer(&content);
    return true;
}

/* A file that has become unreadable lets nobody in. */
static bool file_allows(Object *o, const char *identity)
{
    AuthzFile *a = (AuthzFile *)o;
    int64_t changed, size;

    if (a->refresh && (!file_times(a, &changed, &size) ||
                       ((changed != a->changed || size != a->size) && !file_read(a, NULL)))) {
        a->changed = 0;         /* look again next time */
        return false;
    }
    return rules_allow(json_get(a->content, "rules"), !g_strcmp0(json_get_text(a->content, "policy"), "allow"),
                       identity);
}

static bool file_complete(Object *o, GError **error)
{
    return file_read((AuthzFile *)o, error);
}

static void file_finish(Object *o)
{
    json_unref(((AuthzFile *)o)->content);
}

static const Field file_fields[] = {
    HOST(AuthzFile, content), HOST(AuthzFile, changed), HOST(AuthzFile, size),
    PROP(AuthzFile, filename, "filename", PROP_STRING, .required = true, .desc = "File with policy and rules"),
    PROP(AuthzFile, refresh, "refresh", PROP_BOOL, .init = 1, .desc = "Read it again when it has changed"),
};
static const AuthzType file = {
    .name = "authz-list-file", .parent = "authz", .desc = "Rules in a file about who may enter",
    .size = sizeof(AuthzFile), .user_creatable = true, FIELDS(file_fields), .complete = file_complete,
    .finish = file_finish, .allows = file_allows,
};
OBJECT_TYPE(file);

/* ---- entry ---- */

bool authz_allows(Vm *vm, const char *id, const char *identity, GError **error)
{
    Object *o = object_child(vm->objects, id);

    if (!o || !object_is_a(o, "authz")) {
        return error_set(error, o ? "object '%s' says nothing about who may enter"
                                  : "there is no authorization object '%s'", id);
    }
    return ((const AuthzType *)o->type)->allows(o, identity) ||
           error_set(error, "TLS x509 authz check for %s is denied", identity);
}
