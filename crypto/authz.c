/* SPDX-License-Identifier: Apache-2.0 */
/* Who may enter: authz-simple (one identity), authz-list (rules). */
#include <fnmatch.h>
#include <string.h>
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
