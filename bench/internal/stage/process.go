package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Build makes release builds of all that is measured, as `make build` does.
func Build(ctx context.Context, dir string) error {
	for folder, what := range map[string]string{".": "sluice/cmd/...", "bench": "sluice/bench/baseline/..."} {
		if err := build(ctx, filepath.Join(dir, folder), what); err != nil {
			return err
		}
	}
	return build(ctx, filepath.Join(dir, "bench"), "sluice/bench/ticker")
}

func build(ctx context.Context, dir, what string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("build %s: %w", what, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir+"/", what) //nolint:gosec // no argument comes from outside
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// Process is one program that runs, in a process group of its own.
type Process struct {
	name  string
	cmd   *exec.Cmd
	log   string // where what it says goes
	ended chan struct{}
}

// start runs a program of the stage's folder.
func (s *Stage) start(name string, environ []string, out io.Writer, args ...string) (*Process, error) {
	path := filepath.Join(s.dir, fmt.Sprintf("%02d-%s.log", len(s.started), filepath.Base(name)))
	said, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer func() { _ = said.Close() }() // the child has its own
	if out == nil {
		out = said
	}
	p, err := launch(filepath.Join(s.bin, name), environ, out, said, args...)
	if err != nil {
		return nil, err
	}
	p.log = path
	s.started = append(s.started, p)
	return p, nil
}

// Ticker starts bench/ticker, which belongs to no stage. Kill it.
func Ticker(bin string, out io.Writer) (*Process, error) {
	return launch(filepath.Join(bin, "bench", "ticker"), nil, out, nil)
}

// nameOf tells the baselines from the programs that are called alike.
func nameOf(program string) string {
	name := filepath.Base(program)
	if filepath.Base(filepath.Dir(program)) == "bench" {
		return "bare " + name
	}
	return name
}

func launch(program string, environ []string, out, log io.Writer, args ...string) (*Process, error) {
	p := &Process{name: nameOf(program), ended: make(chan struct{})}
	// It ends when it is told to, not with a context.
	p.cmd = exec.CommandContext(context.Background(), program, args...) //nolint:gosec // our own programs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SLUICE_") {
			p.cmd.Env = append(p.cmd.Env, entry)
		}
	}
	p.cmd.Env = append(p.cmd.Env, environ...)
	p.cmd.Stdout, p.cmd.Stderr = out, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its state says how
	}()
	return p, nil
}

// Name is the program's; of a baseline, "bare" and that.
func (p *Process) Name() string { return p.name }

// Kill ends the process at once.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// stopPatience is what a program may take to finish what it has begun.
const stopPatience = 40 * time.Second

// Stop has the process finish what it has begun. That it doesn't end in time,
// or not well, is an error.
func (p *Process) Stop() error {
	if p.over() {
		return nil
	}
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s didn't end within %v", p.name, stopPatience)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %v", p.name, p.cmd.ProcessState)
	}
	return nil
}

// Wait returns when the process has ended by itself.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !p.cmd.ProcessState.Success() {
		said, _ := os.ReadFile(p.log) // what it said, if anything
		return fmt.Errorf("%s ended with %v: %s", p.name, p.cmd.ProcessState, said)
	}
	return nil
}

func (p *Process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *Process) end(s syscall.Signal) {
	if !p.over() {
		p.signal(s)
	}
	<-p.ended
}

// signal signals the whole group. Until Wait has returned its id is nobody
// else's.
func (p *Process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// Memory is what a process has resident.
type Memory struct{ Now, Most int64 } // bytes

// Memory reads how much memory the process has resident.
func (p *Process) Memory() (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of %s: %w", p.name, err)
	}
	return parseMemory(string(status)), nil
}

func parseMemory(status string) (m Memory) {
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) != 2 {
			continue
		}
		kilobytes, _ := strconv.ParseInt(fields[0], 10, 64) // the kernel writes numbers
		switch name {
		case "VmRSS":
			m.Now = kilobytes << 10
		case "VmHWM":
			m.Most = kilobytes << 10
		}
	}
	return m
}

// CPU is how long the process has computed.
func (p *Process) CPU() time.Duration { return cpuOf(p.cmd.Process.Pid) }

// OwnCPU is how long this process has computed.
func OwnCPU() time.Duration { return cpuOf(os.Getpid()) }

// cpuOf reads it from the kernel, in its ticks of 10 ms.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel writes numbers
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
