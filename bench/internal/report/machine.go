package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes where figures come from. What can't be learnt is left out.
func Machine(ctx context.Context) [][2]string {
	var all [][2]string
	add := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			all = append(all, [2]string{name, value})
		}
	}
	add("commit", commit(ctx))
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	add("processor", fmt.Sprintf("%s, %d cores for everything, load included", field(string(cpu), "model name"), runtime.NumCPU()))
	memory, _ := os.ReadFile("/proc/meminfo")
	add("memory", field(string(memory), "MemTotal"))
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	add("kernel", string(kernel))
	add("Go", runtime.Version())
	return all
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(out))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(changed) > 0 {
		name += ", with changes"
	}
	return name
}

// field is the value of the first line "name : value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Load is the average of the machine's last minute.
func Load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64) // zero where there is none
	return load
}
