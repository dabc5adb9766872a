package main

import (
	"fmt"
	"os"
	"strings"
)

// writeIdentity writes "PID STARTTIME": a pid alone may be another process by tomorrow, the pair may not.
func writeIdentity(path string, pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	// The second field is the program's name in parentheses and may hold anything, so count from the last one.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, fmt.Appendf(nil, "%d %s\n", pid, fields[19]), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
