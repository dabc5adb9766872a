package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// prepare makes the node's own view of the machine. Nothing it mounts is seen outside, because the node's mount
// namespace is made private first; it is shared again below itself, since kubelet hands mounts on to containers.
func prepare(spec *Spec) error {
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return err
	}
	for _, flags := range []uintptr{syscall.MS_REC | syscall.MS_PRIVATE, syscall.MS_REC | syscall.MS_SHARED} {
		if err := syscall.Mount("", "/", "", flags, ""); err != nil {
			return fmt.Errorf("propagation of /: %w", err)
		}
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for _, mount := range spec.Mounts {
		if err := mount.do(); err != nil {
			return fmt.Errorf("%s: %w", mount.Target, err)
		}
	}
	for name, value := range spec.Fakes {
		if err := fake(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, value := range spec.Sysctls {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (m Mount) do() error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	if m.Source == "" {
		return syscall.Mount("tmpfs", m.Target, "tmpfs", 0, "mode=755")
	}
	if err := os.MkdirAll(m.Source, 0o755); err != nil {
		return err
	}
	return syscall.Mount(m.Source, m.Target, "", syscall.MS_BIND|syscall.MS_REC, "")
}

// fake puts a file over one of /proc/sys: kubelet insists on writing values that belong to the whole machine, and finds
// them written already.
func fake(name, value string) error {
	file := filepath.Join("/run/fake-sysctl", strings.ReplaceAll(name, "/", "."))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		return err
	}
	return syscall.Mount(file, "/proc/sys/"+name, "", syscall.MS_BIND, "")
}
