#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds a bare-metal program: build.sh 32|64 OUT.elf SOURCE...
set -e
width=$1 out=$2
shift 2
here=$(dirname "$0")
[ "$width" = 32 ] && arch='-mregparm=3 -mgeneral-regs-only' || arch='-mno-red-zone -mgeneral-regs-only'
exec ${X86_CC:-gcc} -m$width $arch -O2 -Wall -Wextra -Wno-unused-parameter -ffreestanding -fno-pic -no-pie \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -mno-sse -nostdlib -static \
    -Wa,--noexecstack -Wl,--no-warn-rwx-segments -I"$here" -T "$here/link.ld" -Wl,--build-id=none \
    -o "$out" "$here/start$width.S" "$here/guest.c" "$@"
