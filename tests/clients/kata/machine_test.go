// SPDX-License-Identifier: Apache-2.0

// Package kata drives Myna as Kata Containers drives QEMU: by the command line and the QMP client of
// its govmm library, unmodified.
package kata

import (
	"context"
	"encoding/hex"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kata-containers/govmm/qemu"
)

// What the tests need, from the environment; run.py sets it.
func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set", name)
	}
	return value
}

// A sandbox as Kata has it: a folder of sockets, a process, a QMP connection.
type sandbox struct {
	t       *testing.T
	folder  string
	config  qemu.Config
	qmp     *qemu.QMP
	events  chan qemu.QMPEvent
	console *console
	stop    context.CancelFunc
	ended   chan struct{}
	errors  string
	gone    chan struct{}
}

// What the guest says on its console.
type console struct {
	sync.Mutex
	conn net.Conn
	text string
}

func (c *console) read() {
	buffer := make([]byte, 65536)
	for {
		n, err := c.conn.Read(buffer)
		c.Lock()
		c.text += string(buffer[:n])
		c.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *sandbox) path(name string) string { return filepath.Join(s.folder, name) }

// The order and the spelling of the devices are those of Kata's runtime (virtcontainers/qemu*.go).
func newSandbox(t *testing.T) *sandbox {
	program := setting(t, "MYNA_QEMU")
	s := &sandbox{t: t, folder: t.TempDir(), ended: make(chan struct{})}
	accel := os.Getenv("MYNA_ACCEL")
	if accel == "" {
		accel = "tcg"
	}
	cpu := "max,pmu=off"
	if accel == "kvm" {
		cpu = "host,pmu=off"
	}
	s.config = qemu.Config{
		Path: program, Name: "sandbox-1,debug-threads=on", UUID: "f0e1d2c3-0000-4000-8000-000000000001",
		Machine:  qemu.Machine{Type: "q35", Acceleration: accel},
		CPUModel: cpu, VGA: "none", GlobalParam: "kvm-pit.lost_tick_policy=discard",
		RTC:    qemu.RTC{Base: qemu.UTC, DriftFix: qemu.Slew, Clock: qemu.Host},
		Memory: qemu.Memory{Size: "512M", Slots: 10, MaxMem: "3072M", Path: "/dev/shm"},
		Knobs: qemu.Knobs{NoUserConfig: true, NoDefaults: true, NoGraphic: true, NoReboot: true,
			FileBackedMem: true, MemShared: true},
		SMP: qemu.SMP{CPUs: 1, Cores: 1, Threads: 1, Sockets: 2, MaxCPUs: 2},
		Kernel: qemu.Kernel{Path: setting(t, "MYNA_KERNEL"), InitrdPath: setting(t, "MYNA_INITRD"),
			Params: "tsc=reliable no_timer_check rcupdate.rcu_expedited=1 i8042.direct=1 " +
				"i8042.dumbkbd=1 i8042.nopnp=1 i8042.noaux=1 noreplace-smp reboot=k " +
				"cryptomgr.notests net.ifnames=0 pci=lastbus=0 console=hvc0 console=hvc1 " +
				"console=ttyS0 debug panic=1 nr_cpus=2 selinux=0"},
		PidFile: s.path("pid"),
	}
	s.device(
		qemu.BridgeDevice{Type: qemu.PCIBridge, Bus: "pcie.0", ID: "pci-bridge-0", Chassis: 1,
			Addr: "2", IOReserve: "4k", MemReserve: "1m", Pref64Reserve: "1m"},
		qemu.SerialDevice{Driver: qemu.VirtioSerial, ID: "serial0"},
		qemu.CharDevice{Driver: qemu.Console, Backend: qemu.Socket, DeviceID: "console0",
			ID: "charconsole0", Path: s.path("console.sock")},
		qemu.RngDevice{ID: "rng0", Filename: "/dev/urandom"},
	)
	return s
}

func (s *sandbox) device(devices ...qemu.Device) {
	s.config.Devices = append(s.config.Devices, devices...)
}

func (s *sandbox) scsi() {
	s.device(qemu.SCSIController{ID: "scsi0"})
}

// Kata's own way: it listens, connects, and passes the listening socket as descriptor 3.
func (s *sandbox) launch() {
	s.t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path("qmp.sock"), Net: "unix"})
	s.must(err)
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	s.must(err)
	listener.Close()
	params := s.arguments()
	s.connect(func() {
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		go func() {
			s.errors, _ = qemu.LaunchCustomQemu(ctx, s.config.Path, params, []*os.File{file}, nil, nil)
			close(s.ended)
		}()
	})
	s.t.Cleanup(s.kill)
	s.attachConsole()
}

// LaunchQemu's command line. It is private there, so a launch of a program that fails shows it.
func (s *sandbox) arguments() []string {
	catcher := &argumentsLog{}
	config := s.config
	config.Path = "/nonexistent"
	config.QMPSockets = nil
	qemu.LaunchQemu(config, catcher)
	return append([]string{"-qmp", "unix:fd=3,server=on,wait=off"}, catcher.params...)
}

type argumentsLog struct{ params []string }

func (l *argumentsLog) V(int32) bool                    { return false }
func (l *argumentsLog) Warningf(string, ...interface{}) {}
func (l *argumentsLog) Errorf(string, ...interface{})   {}
func (l *argumentsLog) Infof(text string, v ...interface{}) {
	if strings.HasPrefix(text, "launching") {
		l.params = v[1].([]string)
	}
}

func (s *sandbox) connect(start func()) {
	s.t.Helper()
	s.events = make(chan qemu.QMPEvent, 1000)
	s.gone = make(chan struct{})
	type answer struct {
		q   *qemu.QMP
		err error
	}
	answers := make(chan answer, 1)
	ctx, cancel := s.within(30)
	defer cancel()
	go func() {
		q, version, err := qemu.QMPStart(ctx, s.path("qmp.sock"),
			qemu.QMPConfig{EventCh: s.events, MaxCapacity: 64 * 1024}, s.gone)
		if err == nil && version.Major < 5 {
			s.t.Error("version", version)
		}
		answers <- answer{q, err}
	}()
	if start != nil {
		time.Sleep(50 * time.Millisecond) /* so that the client is in the backlog */
		start()
	}
	select {
	case a := <-answers:
		s.must(a.err)
		s.qmp = a.q
	case <-s.ended:
		s.t.Fatalf("ended: %s", s.errors)
	}
	s.must(s.qmp.ExecuteQMPCapabilities(ctx))
}

func (s *sandbox) disconnect() {
	s.qmp.Shutdown()
	<-s.gone
}

func (s *sandbox) within(seconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
}

func (s *sandbox) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v; the emulator says: %s", err, s.said())
	}
}

// A refusal whose text says why.
func (s *sandbox) refused(err error, pattern string) {
	s.t.Helper()
	if err == nil || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		s.t.Fatalf("expected an error like %q, not %v", pattern, err)
	}
}

func (s *sandbox) said() string {
	select {
	case <-s.ended:
		return s.errors
	default:
		return "(it runs)"
	}
}

func (s *sandbox) attachConsole() {
	conn, err := net.Dial("unix", s.path("console.sock"))
	s.must(err)
	s.console = &console{conn: conn}
	go s.console.read()
}

// Waits for a text on the console and takes it, and all before it, away.
func (s *sandbox) expect(pattern string, seconds int) string {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		s.console.Lock()
		if at := expression.FindStringIndex(s.console.text); at != nil {
			found := s.console.text[at[0]:at[1]]
			s.console.text = s.console.text[at[1]:]
			s.console.Unlock()
			return found
		}
		s.console.Unlock()
		select {
		case <-s.ended:
			s.t.Fatalf("waiting for %q: ended: %s", pattern, s.errors)
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.console.Lock()
	defer s.console.Unlock()
	tail := s.console.text
	if len(tail) > 2000 {
		tail = tail[len(tail)-2000:]
	}
	s.t.Fatalf("nothing like %q in %d s; last words:\n%s", pattern, seconds, tail)
	return ""
}

// The guest's shell is there: what is typed before its prompt may be lost.
func (s *sandbox) ready() {
	s.t.Helper()
	s.expect("(?s)MYNA-KATA ready.*# ", 60)
}

// Runs a line in the guest's shell until it prints what is wanted.
func (s *sandbox) shell(line, pattern string) string {
	s.t.Helper()
	mark := make([]byte, 6)
	rand.Read(mark)
	word := hex.EncodeToString(mark)
	_, err := s.console.conn.Write([]byte(line + "; echo " + word[:6] + "''" + word[6:] + "\n"))
	s.must(err)
	text := s.expect("(?s).*?"+word+"\r?\n", 30)
	if !regexp.MustCompile(pattern).MatchString(text) {
		s.t.Fatalf("%s: no %q in %q", line, pattern, text)
	}
	return text
}

// SIGKILL, as Kata stops a sandbox; the next must be able to start at once.
func (s *sandbox) kill() {
	s.stop()
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		s.t.Error("does not end")
	}
}

func (s *sandbox) event(name, device string, seconds int) {
	s.t.Helper()
	for {
		select {
		case e := <-s.events:
			if e.Name == name && (device == "" || e.Data["device"] == device) {
				return
			}
		case <-time.After(time.Duration(seconds) * time.Second):
			s.t.Fatalf("no event %s of %s", name, device)
		}
	}
}

func image(t *testing.T, path string, mib int64) {
	file, err := os.Create(path)
	if err == nil {
		_, err = file.WriteAt([]byte("kata was here"), 0)
	}
	if err == nil {
		err = file.Truncate(mib << 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}
