/* SPDX-License-Identifier: Apache-2.0 */
/* AML of hotplug's register blocks: see hotplug-aml.h. */
#include "hw/acpi/hotplug-aml.h"

static char *path_of(const HotplugAml *h, const char *name)
{
    return g_strdup_printf("%s.%s.%s", h->bridge, h->regs, name);
}

Aml *hotplug_aml_regs(const HotplugAml *h, const char *region, uint16_t port, unsigned window)
{
    Aml *d = aml_device(h->regs), *r = aml_resources();
    aml_append(d, aml_name("_HID", aml_eisaid(h->hid)));
    aml_append(d, aml_name("_UID", aml_string(h->uid)));
    aml_append(d, aml_name("_STA", aml_int(11)));
    aml_append(d, aml_mutex(h->mutex, 0));
    aml_res_io(r, port, window);
    aml_append(d, aml_name_resources("_CRS", r));
    aml_append(d, aml_region(region, 1, port, window));
    return d;
}

void hotplug_aml_add_regs(const HotplugAml *h, Aml *dsdt, Aml *regs)
{
    Aml *bridge = aml_scope(h->bridge);
    aml_append(bridge, regs);
    aml_append(dsdt, bridge);
}

Aml *hotplug_aml_reg(const HotplugAml *h, const char *field)
{
    g_autofree char *path = path_of(h, field);
    return aml_path(path);
}

void hotplug_aml_set(const HotplugAml *h, Aml *method, const char *field, Aml *value)
{
    aml_append(method, aml_store(value, hotplug_aml_reg(h, field)));
}

Aml *hotplug_aml_method(const HotplugAml *h, const char *name, unsigned args)
{
    g_autofree char *mutex = path_of(h, h->mutex);
    Aml *m = aml_method(name, args, true);
    aml_append(m, aml_acquire(mutex));
    return m;
}

void hotplug_aml_end(const HotplugAml *h, Aml *to, Aml *method, Aml *result)
{
    g_autofree char *mutex = path_of(h, h->mutex);
    aml_append(method, aml_release(mutex));
    if (result)
        aml_append(method, aml_return(result));
    aml_append(to, method);
}

char *hotplug_aml_child(const HotplugAml *h, unsigned n)
{
    return g_strdup_printf("%s%0*X", h->child, h->digits, n);
}

void hotplug_aml_add_notify(const HotplugAml *h, Aml *to, unsigned n)
{
    Aml *m = aml_method(h->notify, 2, false);
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = hotplug_aml_child(h, i);
        Aml *this = aml_if(aml_equal(aml_arg(0), aml_int(i)));
        aml_append(this, aml_notify_object(aml_path(name), aml_arg(1)));
        aml_append(m, this);
    }
    aml_append(to, m);
}

Aml *hotplug_aml_pass_on(const HotplugAml *h, const char *flag, Aml *number, unsigned what)
{
    Aml *args[] = {number, aml_int(what)};
    Aml *hit = aml_if(aml_equal(hotplug_aml_reg(h, flag), aml_int(1)));
    aml_append(hit, aml_call(h->notify, args, 2));
    hotplug_aml_set(h, hit, flag, aml_int(1));
    return hit;
}

void hotplug_aml_add_event(Aml *dsdt, const char *event, const char *method)
{
    Aml *gpe = aml_scope("\\_GPE"), *m = aml_method(event, 0, false);
    aml_append(m, aml_call(method, NULL, 0));
    aml_append(gpe, m);
    aml_append(dsdt, gpe);
}
