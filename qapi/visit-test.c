/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of generated types: reading, writing, errors. */
#include "qapi/keyval.h"
#include "qapi/qapi-types-block.h"
#include "qapi/qapi-types-chardev.h"
#include "qapi/qapi-types-net.h"

/* What goes through a C value comes back the same. */
static void round_trip(const QapiType *type, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = json_parse(text, &error);
    g_assert_no_error(error);
    void *value = qapi_from_json(type, json, QAPI_STRICT, &error);
    g_assert_no_error(error);
    void *copy = qapi_copy(type, value);
    qapi_free(type, value);
    g_autoptr(Json) back = qapi_to_json(type, copy);
    qapi_free(type, copy);
    g_assert_true(json_equal(json, back));
}

static void test_round_trip(void)
{
    round_trip(&netdev_options_type, "{'id':'n','type':'user','hostname':'h','ipv4':true,"
                                     "'hostfwd':[{'str':'tcp::1-:2'},{'str':'x'}]}");
    round_trip(&netdev_options_type,
               "{'id':'n','type':'dgram','local':{'type':'inet','host':'::','port':'1','to':9}}");
    round_trip(&netdev_options_type, "{'id':'n','type':'none'}");
    round_trip(&chardev_backend_type,
               "{'type':'socket','data':{'addr':{'type':'unix','data':{'path':'/x'}},"
               "'server':false,'reconnect-ms':5}}");
    round_trip(&blockdev_options_type,
               "{'driver':'raw','size':18446744073709551615,'node-name':'n',"
               "'file':{'driver':'file','filename':'f','cache':{'direct':true}}}");
    round_trip(&blockdev_options_type, "{'driver':'raw','file':'other'}");
    round_trip(&rx_filter_info_list_type, "[]");
}

static void check_error(const QapiType *type, const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = json_parse(text, NULL);
    g_assert_null(qapi_from_json(type, json, QAPI_STRICT, &error));
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_errors(void)
{
    check_error(&netdev_options_type, "{'type':'user'}", "Parameter 'id' is missing");
    check_error(&netdev_options_type, "{'type':'userr','id':'a'}",
                "Parameter 'type' does not accept value 'userr'; did you mean 'user'?");
    check_error(&netdev_options_type, "{'type':'user','id':'a','hostfw':1}",
                "Parameter 'hostfw' is unexpected; did you mean 'hostfwd'?");
    check_error(&netdev_options_type, "{'type':'user','id':'a','hostfwd':[{'str':'x'},{}]}",
                "Parameter 'hostfwd[1].str' is missing");
    check_error(&chardev_backend_type,
                "{'type':'socket','data':{'addr':{'type':'unix','data':{'path':5}}}}",
                "Invalid parameter type for 'data.addr.data.path', expected: string");
    check_error(&netdev_options_type, "{'type':'hubport','id':'a','hubid':2147483648}",
                "Parameter 'hubid' expects an integer from -2147483648 to 2147483647");
    check_error(&blockdev_options_type, "{'driver':'raw','file':7}",
                "Invalid parameter type for 'file', expected: object");
    check_error(&netdev_options_type, "[]",
                "Invalid parameter type for 'arguments', expected: object");
}

static void test_keyval(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) text = keyval_parse("user,id=n,hostfwd=a,hostfwd=b,restrict=on,ipv6-prefixlen=64",
                                        "type", KEYVAL_LEGACY, NULL);
    g_autoptr(NetdevOptions) net = netdev_options_from_keyval(text, &error);
    g_assert_no_error(error);
    g_assert_cmpint(net->type, ==, NET_CLIENT_DRIVER_USER);
    NetdevUserOptions *user = net->u.user;
    g_assert_cmpuint(user->hostfwd->count, ==, 2);
    g_assert_cmpstr(user->hostfwd->items[1]->str, ==, "b");
    g_assert_null(user->hostfwd->items[2]);
    g_assert_true(user->has_restrict_ && user->restrict_);
    g_assert_cmpint(user->ipv6_prefixlen, ==, 64);

    g_autoptr(Json) disk = keyval_parse(
        "driver=raw,size=1G,file.driver=null-co,file.read-zeroes=on,cache.direct=on", NULL,
        KEYVAL_PLAIN, NULL);
    g_autoptr(BlockdevOptions) block = blockdev_options_from_keyval(disk, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(block->u.raw->size, ==, 1 << 30);
    g_assert_cmpint(block->u.raw->file->kind, ==, BLOCKDEV_REF_DEFINITION);
    g_assert_true(block->u.raw->file->u.definition->u.null_co->read_zeroes);
}

static void keyval_error(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = keyval_parse(text, "type", KEYVAL_LEGACY, NULL);
    g_assert_null(netdev_options_from_keyval(json, &error));
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_keyval_errors(void)
{
    keyval_error("user,id=n,restrict=maybe", "Parameter 'restrict' expects 'on' or 'off'");
    keyval_error("tap,id=n,queues=many", "Parameter 'queues' expects an integer not below 0");
    keyval_error("tap,id=n,queues=4294967296",
                 "Parameter 'queues' expects an integer from 0 to 4294967295");
    keyval_error("tap,id=n,sndbuf=1x", "Parameter 'sndbuf' expects a size in bytes, or with one of "
                                       "the suffixes k, M, G, T, P, E");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/visit/round-trip", test_round_trip);
    g_test_add_func("/visit/errors", test_errors);
    g_test_add_func("/visit/keyval", test_keyval);
    g_test_add_func("/visit/keyval-errors", test_keyval_errors);
    return g_test_run();
}
