package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	restartPause = time.Second // as a service manager does, so that `kill -9` of any part is a test
	pollPause    = 50 * time.Millisecond
)

// family knows who waits for which child. Process 1 inherits every orphan of the node and must collect them all, so only
// one loop calls wait4, and it hands the status on to whoever started the child.
type family struct {
	mutex    sync.Mutex
	watchers map[int]chan syscall.WaitStatus
}

func run(spec *Spec) error {
	waitAtGate()
	if err := prepare(spec); err != nil {
		return err
	}
	if err := os.Setenv("PATH", spec.Path); err != nil {
		return err
	}
	all := &family{watchers: map[int]chan syscall.WaitStatus{}}
	go all.collect()
	for _, step := range spec.Steps {
		switch {
		case step.Keep != "":
			go all.keep(step)
		case step.Once != "":
			if status := all.runOnce(step); status != 0 {
				note("%s ended with status %d", step.Once, status)
			}
		case step.WaitAddress != "":
			waitUntil(func() bool { return hasAddress(step.WaitAddress) })
		case step.WaitSocket != "":
			waitUntil(func() bool { return socketAnswers(step.WaitSocket) })
		case step.WaitHTTPS != "":
			waitUntil(func() bool { return httpsAnswers(step.WaitHTTPS) })
		}
	}
	note("all steps done")
	select {}
}

func (f *family) collect() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil { // no child at the moment
			time.Sleep(pollPause)
			continue
		}
		f.mutex.Lock()
		if watcher, known := f.watchers[pid]; known {
			delete(f.watchers, pid)
			watcher <- status
		}
		f.mutex.Unlock()
	}
}

// spawn starts a program without os/exec's own Wait, which would race with collect. The mutex is held from before the
// start until the pid is known, so collect cannot come first.
func (f *family) spawn(step Step) (chan syscall.WaitStatus, error) {
	program, err := exec.LookPath(step.Argv[0])
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(step.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer nothing.Close()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	process, err := os.StartProcess(program, step.Argv, &os.ProcAttr{Files: []*os.File{nothing, log, log}, Env: os.Environ()})
	if err != nil {
		return nil, err
	}
	watcher := make(chan syscall.WaitStatus, 1)
	f.watchers[process.Pid] = watcher
	return watcher, process.Release()
}

func (f *family) keep(step Step) {
	for {
		watcher, err := f.spawn(step)
		if err != nil {
			note("%s cannot start: %v", step.Keep, err)
		} else {
			status := <-watcher
			note("%s ended: exit %d signal %d", step.Keep, status.ExitStatus(), status.Signal())
		}
		time.Sleep(restartPause)
	}
}

func (f *family) runOnce(step Step) int {
	watcher, err := f.spawn(step)
	if err != nil {
		note("%s cannot start: %v", step.Once, err)
		return -1
	}
	status := <-watcher
	return status.ExitStatus()
}

func note(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.RFC3339)}, values...)...)
}

func waitUntil(ready func() bool) {
	for !ready() {
		time.Sleep(pollPause)
	}
}

func hasAddress(wanted string) bool {
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if found, ok := address.(*net.IPNet); ok && found.IP.String() == wanted {
			return true
		}
	}
	return false
}

func socketAnswers(path string) bool {
	connection, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

var client = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

func httpsAnswers(url string) bool {
	answer, err := client.Get(url)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
