// SPDX-License-Identifier: Apache-2.0

package kata

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kata-containers/govmm/qemu"
)

var warning = regexp.MustCompile("^[^:]+: warning: ")

// Start, negotiate, look, reconnect, pause, resume, be killed.
func TestLife(t *testing.T) {
	s := newSandbox(t)
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	ctx, cancel := s.within(60)
	defer cancel()
	status, err := s.qmp.ExecuteQueryStatus(ctx)
	s.must(err)
	if status.Status != "running" || !status.Running {
		t.Fatal(status)
	}
	pid, err := os.ReadFile(s.config.PidFile)
	s.must(err)
	number := strings.TrimSpace(string(pid))
	cpus, err := s.qmp.ExecQueryCpusFast(ctx)
	s.must(err)
	if len(cpus) != 1 {
		t.Fatal(cpus)
	}
	for _, cpu := range cpus {
		if _, err := os.Stat("/proc/" + number + "/task/" + strconv.Itoa(cpu.ThreadID)); err != nil {
			t.Error("a vCPU's thread is none of the process:", err)
		}
	}
	slots, err := s.qmp.ExecuteQueryHotpluggableCPUs(ctx)
	s.must(err)
	present := 0
	for _, c := range slots {
		if c.QOMPath != "" {
			present++
		}
	}
	if len(slots) != 2 || present != 1 || slots[0].Type == "" {
		t.Error(slots)
	}
	if _, err := s.qmp.ExecQueryMemoryDevices(ctx); err != nil {
		t.Error(err)
	}
	schema, err := s.qmp.ExecQueryQmpSchema(ctx)
	if err != nil || len(schema) < 100 {
		/* govmm reads lines up to the limit that its user sets; a schema is longer than Kata's. */
		t.Log("schema:", len(schema), err)
	}
	s.ready()
	for i := 0; i < 3; i++ {
		s.disconnect()
		s.connect(nil)
	}
	s.must(s.qmp.ExecuteStop(ctx))
	s.must(s.qmp.ExecuteCont(ctx))
	s.shell("echo alive", "alive")
	s.kill()
	for _, line := range strings.Split(strings.TrimSpace(s.errors), "\n") {
		if line != "" && !warning.MatchString(line) {
			t.Errorf("each line on stderr but warnings is an error in Kata's log: %s", line)
		}
	}
}

// A guest that ends itself ends the process: reboot=k and --no-reboot.
func TestGuestReset(t *testing.T) {
	s := newSandbox(t)
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	s.ready()
	s.console.conn.Write([]byte("reboot -f\n"))
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("still there after the guest's reset")
	}
}

// What the host cannot do is refused in words that say so.
func TestRefusals(t *testing.T) {
	s := newSandbox(t)
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	ctx, cancel := s.within(30)
	defer cancel()
	s.refused(s.qmp.ExecutePCIVFIODeviceAdd(ctx, "vfio0", "0000:00:1f.7", "03", "pci-bridge-0", ""), "vfio")
	s.refused(s.qmp.ExecuteVFIODeviceAdd(ctx, "vfio0", "0000:00:1f.7", "pci-bridge-0", ""), "vfio")
	if _, err := os.Stat("/dev/vhost-vsock"); err != nil {
		nothing, err := os.Open(os.DevNull)
		s.must(err)
		defer nothing.Close()
		s.must(s.qmp.ExecuteGetFD(ctx, "vhostfd", nothing))
		s.refused(s.qmp.ExecutePCIVSockAdd(ctx, "vsock-3", "3", "vhostfd", "03", "pci-bridge-0", "", false),
			"vhost")
	}
	s.must(s.qmp.ExecuteStop(ctx))
	status, err := s.qmp.ExecuteQueryStatus(ctx)
	s.must(err)
	if status.Status != "paused" {
		t.Error(status)
	}
}

// A disk below the bridge: blockdev-add and device_add, seen by the guest, and gone again.
func TestBlock(t *testing.T) {
	s := newSandbox(t)
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	s.ready()
	image(t, s.path("a.img"), 8)
	ctx, cancel := s.within(60)
	defer cancel()
	for i := 0; i < 2; i++ {
		s.must(s.qmp.ExecuteBlockdevAddWithDriverCache(ctx, "file", s.path("a.img"), "drive-1", false,
			false, false))
		s.must(s.qmp.ExecutePCIDeviceAdd(ctx, "drive-1", "virtio-drive-1", "virtio-blk-pci", "03",
			"pci-bridge-0", "", 1, true, false))
		s.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] || sleep 1; done; head -c 13 /dev/vda",
			"kata was here")
		s.must(s.qmp.ExecuteDeviceDel(ctx, "virtio-drive-1"))
		s.must(s.qmp.ExecuteBlockdevDel(ctx, "drive-1"))
		s.shell("ls /sys/block", "")
	}
}

func TestScsi(t *testing.T) {
	s := newSandbox(t)
	s.scsi()
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	s.ready()
	image(t, s.path("a.img"), 8)
	ctx, cancel := s.within(60)
	defer cancel()
	s.must(s.qmp.ExecuteBlockdevAddWithDriverCache(ctx, "file", s.path("a.img"), "drive-1", false, false,
		false))
	s.must(s.qmp.ExecuteSCSIDeviceAdd(ctx, "drive-1", "virtio-drive-1", "scsi-hd", "scsi0.0", "", 0, 1,
		true, false))
	s.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/sda ] || sleep 1; done; head -c 13 /dev/sda",
		"kata was here")
	s.must(s.qmp.ExecuteDeviceDel(ctx, "virtio-drive-1"))
	s.must(s.qmp.ExecuteBlockdevDel(ctx, "drive-1"))
}

// A tap whose descriptors come by getfd, as a network card below the bridge; packets reach the host.
func TestNetwork(t *testing.T) {
	for _, queues := range []int{1, 2} {
		t.Run(strconv.Itoa(queues), func(t *testing.T) { network(t, queues) })
	}
}

func network(t *testing.T, queues int) {
	s := newSandbox(t)
	taps, name, err := openTap("mynakata%d", queues)
	if err != nil {
		t.Skip("no tap interface here: ", err)
	}
	defer closeAll(taps)
	s.config.Kernel.Params += " myna.test=kata"
	s.config.SMP.CPUs = uint32(queues)
	s.launch()
	s.ready()
	ctx, cancel := s.within(60)
	defer cancel()
	var names []string
	for i, tap := range taps {
		names = append(names, "fd"+strconv.Itoa(i))
		s.must(s.qmp.ExecuteGetFD(ctx, names[i], tap))
	}
	s.must(s.qmp.ExecuteNetdevAddByFds(ctx, "tap", "network-0", names, nil))
	s.must(s.qmp.ExecuteNetPCIDeviceAdd(ctx, "network-0", "virtio-tap0", "02:00:ca:fe:00:48", "04",
		"pci-bridge-0", "", queues, false))
	s.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -d /sys/class/net/eth0 ] || sleep 1; done; "+
		"cat /sys/class/net/eth0/address", "02:00:ca:fe:00:48")
	s.shell("ls /sys/class/net/eth0/queues | wc -l", "\n?"+strconv.Itoa(2*queues)+"\r?\n")
	if exec.Command("ip", "addr", "add", "10.98.76.1/30", "dev", name).Run() == nil &&
		exec.Command("ip", "link", "set", name, "up").Run() == nil {
		s.shell("ip addr add 10.98.76.2/30 dev eth0; ip link set eth0 up; ping -c 3 -W 5 10.98.76.1",
			"3 packets received")
	}
	s.must(s.qmp.ExecuteDeviceDel(ctx, "virtio-tap0"))
	s.must(s.qmp.ExecuteNetdevDel(ctx, "network-0"))
}

// Debian's C virtiofsd shares a folder.
func TestVirtioFs(t *testing.T) {
	daemon := "/usr/lib/qemu/virtiofsd"
	if _, err := os.Stat(daemon); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and " + daemon)
	}
	s := newSandbox(t)
	s.must(os.MkdirAll(s.path("shared"), 0o755))
	s.must(os.WriteFile(s.path("shared/hello"), []byte("from the host"), 0o644))
	fs := exec.Command(daemon, "--socket-path="+s.path("fs.sock"), "-o", "source="+s.path("shared"),
		"-o", "sandbox=chroot", "--thread-pool-size=1")
	s.must(fs.Start())
	defer fs.Process.Kill()
	for i := 0; i < 50; i++ {
		if _, err := os.Stat(s.path("fs.sock")); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.device(qemu.VhostUserDevice{SocketPath: s.path("fs.sock"), CharDevID: "char-fs", TypeDevID: "",
		Tag: "kataShared", VhostUserType: qemu.VhostUserFS})
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	s.ready()
	s.shell("mount -t virtiofs kataShared /mnt; cat /mnt/hello; echo from the guest > /mnt/answer; sync",
		"from the host")
	answer, err := os.ReadFile(s.path("shared/answer"))
	if err != nil || string(answer) != "from the guest\n" {
		t.Error(string(answer), err)
	}
}

// A second vCPU and a DIMM, as Kata adds them when a container asks for more.
func TestHotplug(t *testing.T) {
	s := newSandbox(t)
	s.config.Kernel.Params += " myna.test=kata"
	s.launch()
	s.ready()
	ctx, cancel := s.within(60)
	defer cancel()
	slots, err := s.qmp.ExecuteQueryHotpluggableCPUs(ctx)
	s.must(err)
	for i, c := range slots {
		if c.QOMPath != "" {
			continue
		}
		s.must(s.qmp.ExecuteCPUDeviceAdd(ctx, c.Type, "cpu-"+strconv.Itoa(i), strconv.Itoa(c.Properties.Socket),
			"0", strconv.Itoa(c.Properties.Core), strconv.Itoa(c.Properties.Thread), ""))
	}
	s.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -d /sys/devices/system/cpu/cpu1 ] || sleep 1; done; "+
		"cat /sys/devices/system/cpu/present", "0-1")
	cpus, err := s.qmp.ExecQueryCpusFast(ctx)
	s.must(err)
	if len(cpus) != 2 {
		t.Error(cpus)
	}
	before := s.shell("ls -d /sys/devices/system/memory/memory* | wc -l", "")
	s.must(s.qmp.ExecHotplugMemory(ctx, "memory-backend-ram", "mem0", "", 256, false))
	s.shell("for i in 1 2 3 4 5 6 7 8 9; do [ -d /sys/devices/system/memory/memory33 ] || sleep 1; done", "")
	after := s.shell("ls -d /sys/devices/system/memory/memory* | wc -l", "")
	if strings.TrimSpace(before) == strings.TrimSpace(after) {
		t.Error("the guest sees no more memory: ", before, after)
	}
	devices, err := s.qmp.ExecQueryMemoryDevices(ctx)
	s.must(err)
	if len(devices) != 1 || devices[0].Data.Size != 256<<20 {
		t.Error(devices)
	}
}
