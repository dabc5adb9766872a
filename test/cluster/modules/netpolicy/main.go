// netpolicy enforces NetworkPolicies for the pods of one node of the bare cluster, whose bridge plug-in does not: it reads
// policies, namespaces and pods twice a second and writes one iptables chain per isolated pod and direction.
//
// It is a fixture for tests: IPv4 only, and as slow to react as its pause.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

const pause = 500 * time.Millisecond

type api struct {
	base   string
	client *http.Client
}

func main() {
	base := flag.String("api", "", "URL of the API server")
	authority := flag.String("ca", "", "file of the API server's certificate authority")
	certificate := flag.String("cert", "", "file of the client certificate")
	key := flag.String("key", "", "file of its key")
	node := flag.String("node", "", "the node whose pods are guarded")
	flag.Parse()
	server, err := connect(*base, *authority, *certificate, *key)
	if err != nil {
		fmt.Fprintln(os.Stderr, "netpolicy:", err)
		os.Exit(1)
	}
	written := ""
	chains := 0 // chains once made are kept, empty, so that nothing has to be deleted
	for ; ; time.Sleep(pause) {
		state, err := server.read()
		if err != nil {
			fmt.Fprintln(os.Stderr, "netpolicy: keeping the rules as they are:", err)
			continue
		}
		rules, used := state.rules(*node, chains)
		if rules == written {
			continue
		}
		if err := write(rules); err != nil {
			fmt.Fprintln(os.Stderr, "netpolicy:", err)
			continue
		}
		written, chains = rules, max(chains, used)
	}
}

func connect(base, authority, certificate, key string) (*api, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	return &api{base, &http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

func (a *api) read() (*state, error) {
	var policies struct{ Items []policy }
	var namespaces struct{ Items []object }
	var pods struct{ Items []pod }
	for path, into := range map[string]any{
		"/apis/networking.k8s.io/v1/networkpolicies": &policies,
		"/api/v1/namespaces":                         &namespaces,
		"/api/v1/pods":                               &pods,
	} {
		if err := a.get(path, into); err != nil {
			return nil, err
		}
	}
	labels := map[string]map[string]string{}
	for _, namespace := range namespaces.Items {
		labels[namespace.Metadata.Name] = namespace.Metadata.Labels
	}
	return &state{policies.Items, labels, pods.Items}, nil
}

// get asks the API server's own cache (resourceVersion 0), which costs etcd nothing.
func (a *api) get(path string, into any) error {
	answer, err := a.client.Get(a.base + path + "?resourceVersion=0")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

func write(rules string) error {
	restore := exec.Command("iptables-restore", "--noflush", "--wait")
	restore.Stdin = bytes.NewBufferString(rules)
	if output, err := restore.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables-restore: %w: %s\n%s", err, output, rules)
	}
	// First in FORWARD: kube-proxy's own rules let established and marked packets through.
	if exec.Command("iptables", "--wait", "-C", "FORWARD", "-j", entryChain).Run() == nil {
		return nil
	}
	return exec.Command("iptables", "--wait", "-I", "FORWARD", "1", "-j", entryChain).Run()
}
