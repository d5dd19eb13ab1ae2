// SPDX-License-Identifier: Apache-2.0

package kata

import (
	"os"
	"syscall"
	"unsafe"
)

// A tap interface of the host's choice, as Kata opens it: without packet information, with the
// virtio header.
func openTap(name string) (*os.File, error) {
	const (
		tunSetIff = 0x400454ca
		tap       = 0x0002
		noPi      = 0x1000
		vnetHdr   = 0x4000
	)
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: tap | noPi | vnetHdr}
	copy(request.name[:], name)
	_, _, number := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), tunSetIff,
		uintptr(unsafe.Pointer(&request)))
	if number != 0 {
		file.Close()
		return nil, number
	}
	return file, nil
}
