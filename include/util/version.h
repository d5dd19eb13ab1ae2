/* SPDX-License-Identifier: Apache-2.0 */
/* Versions: Myna's own, and the release of QEMU whose interfaces it speaks. */
#ifndef UTIL_VERSION_H
#define UTIL_VERSION_H

#define QEMU_VERSION_MAJOR 11
#define QEMU_VERSION_MINOR 0
#define QEMU_VERSION_MICRO 0
#define QEMU_VERSION "11.0.0"
/* Stands where distributions put their package's version. */
#define MYNA_PACKAGE "Myna " MYNA_VERSION

#endif
