#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds a bare-metal program: build.sh 64|32 OUT.elf SOURCE... [-- CFLAGS]
set -e
width=$1 out=$2
shift 2
sources= flags=
for a; do
    case $a in
    *.c | *.S) sources="$sources $a" ;;
    --) ;;
    *) flags="$flags $a" ;;
    esac
done
case $width in
64) arch='-march=rv64gc -mabi=lp64d -Wl,-melf64lriscv' ;;
32) arch='-march=rv32gc -mabi=ilp32d -Wl,-melf32lriscv' ;;
esac
here=$(dirname "$0")
exec ${RISCV_CC:-riscv64-linux-gnu-gcc} $arch -mcmodel=medany -mno-relax -O2 -Wall -ffreestanding \
    -fno-pic -nostdlib -static -I"$here" $flags -T "$here/link.ld" -Wl,--build-id=none \
    -o "$out" "$here/start.S" $sources
