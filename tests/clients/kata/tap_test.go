// SPDX-License-Identifier: Apache-2.0

package kata

import (
	"bytes"
	"os"
	"syscall"
	"unsafe"
)

// The queues of a tap interface of the host's choice, as Kata opens them: without packet information, with
// the virtio header. The name has to have a %d.
func openTap(name string, queues int) ([]*os.File, string, error) {
	const (
		tunSetIff  = 0x400454ca
		tap        = 0x0002
		noPi       = 0x1000
		vnetHdr    = 0x4000
		multiQueue = 0x0100
	)
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: tap | noPi | vnetHdr}
	if queues > 1 {
		request.flags |= multiQueue
	}
	copy(request.name[:], name)
	var files []*os.File
	for len(files) < queues {
		file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err != nil {
			return nil, "", err
		}
		files = append(files, file)
		_, _, number := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), tunSetIff,
			uintptr(unsafe.Pointer(&request)))
		if number != 0 {
			closeAll(files)
			return nil, "", number
		}
	}
	return files, string(bytes.TrimRight(request.name[:], "\x00")), nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}
