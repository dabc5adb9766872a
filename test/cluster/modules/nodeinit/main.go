// nodeinit is process 1 of one node of the bare cluster: it gives the node namespaces of its own, makes every path that
// Kubernetes writes to private to the node, and keeps the node's programs running. When it dies the kernel kills
// everything below it, which is what a power failure looks like to the rest of the cluster.
//
//	nodeinit start SPEC.json     (on the host)   start the node; its pid and start time go to SPEC's pidFile
//	nodeinit run SPEC.json       (in the node)   be process 1
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Spec says everything about a node; the harness writes it, and the order of Steps is the order of starting.
type Spec struct {
	Hostname string            `json:"hostname"`
	PidFile  string            `json:"pidFile"`
	LogFile  string            `json:"logFile"`
	Cgroups  []string          `json:"cgroups"` // cgroup.procs files that process 1 joins
	Mounts   []Mount           `json:"mounts"`
	Fakes    map[string]string `json:"fakes"`   // files of /proc/sys that shall only look as if written
	Sysctls  map[string]string `json:"sysctls"` // of this network namespace only
	Path     string            `json:"path"`
	Steps    []Step            `json:"steps"`
}

// Mount is a tmpfs when Source is empty, else a bind mount.
type Mount struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// Step is one of five things; exactly one field group is set.
type Step struct {
	Keep        string   `json:"keep"` // name of a program to keep running
	Once        string   `json:"once"` // name of a program to run to its end
	Argv        []string `json:"argv"`
	Log         string   `json:"log"`
	WaitAddress string   `json:"waitAddress"` // of this node, which the harness gives it from outside
	WaitSocket  string   `json:"waitSocket"`  // path of a unix socket that must answer
	WaitHTTPS   string   `json:"waitHttps"`   // URL that must answer 200 (certificate not checked: it is this node's own)
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: nodeinit start|run SPEC.json"))
	}
	spec, err := readSpec(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "start":
		err = start(spec, os.Args[2])
	case "run":
		err = run(spec)
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "nodeinit:", err)
	os.Exit(1)
}

func readSpec(path string) (*Spec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	spec := &Spec{}
	return spec, json.Unmarshal(text, spec)
}

// start clones process 1 into new namespaces. The child waits on a pipe until its pid is on disk: were the parent killed
// in between, the pipe would close without a byte and the child would leave, so no node can live that `down` cannot find.
func start(spec *Spec, specPath string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	child := exec.Command(self, "run", specPath)
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{gate} // descriptor 3 of the child
	child.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	// A crash here: the child reads end-of-file at the gate and exits.
	if err := writeIdentity(spec.PidFile, child.Process.Pid); err != nil {
		return err
	}
	for _, cgroup := range spec.Cgroups {
		if err := os.WriteFile(cgroup, fmt.Appendf(nil, "%d", child.Process.Pid), 0o644); err != nil {
			return err
		}
	}
	_, err = opener.Write([]byte{1})
	return err
}

// waitAtGate returns only when the parent has written this process down.
func waitAtGate() {
	gate := os.NewFile(3, "gate")
	one := make([]byte, 1)
	if n, _ := gate.Read(one); n != 1 {
		fail(fmt.Errorf("whoever started this node is gone"))
	}
	gate.Close()
}
