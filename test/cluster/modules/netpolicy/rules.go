package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const entryChain = "ATOMSHARD-POLICY"

type state struct {
	policies   []policy
	namespaces map[string]map[string]string
	pods       []pod
}

// direction is one of two; everything that differs between them is here.
type direction struct {
	policyType string
	ownFlag    string // the isolated pod's side of a packet
	peerFlag   string
	rules      func(*policy) []rule
	peers      func(*rule) []peer
}

var directions = []direction{
	{"Ingress", "-d", "-s", func(p *policy) []rule { return p.Spec.Ingress }, func(r *rule) []peer { return r.From }},
	{"Egress", "-s", "-d", func(p *policy) []rule { return p.Spec.Egress }, func(r *rule) []peer { return r.To }},
}

// rules returns input for iptables-restore and the number of chains it fills; at least `chains` are declared, so that
// those of pods that are gone become empty.
//
//	FORWARD → entry chain ── reply ───────────→ back (allowed)
//	                     ├── isolated pod, in  → chain 0: RETURN if a rule allows, else DROP
//	                     └── isolated pod, out → chain 1: …
func (s *state) rules(node string, chains int) (string, int) {
	entry := []string{"-A " + entryChain + " -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"}
	var inner []string
	used := 0
	for i := range s.pods {
		guarded := &s.pods[i]
		if guarded.Spec.NodeName != node || !guarded.reachable() {
			continue
		}
		for _, way := range directions {
			allowed, isolated := s.allowances(guarded, way)
			if !isolated {
				continue
			}
			chain := fmt.Sprintf("%s-%d", entryChain, used)
			used++
			entry = append(entry, fmt.Sprintf("-A %s %s %s/32 -j %s", entryChain, way.ownFlag, guarded.Status.PodIP, chain))
			for _, match := range allowed {
				inner = append(inner, strings.TrimRight("-A "+chain+" "+match, " ")+" -j RETURN")
			}
			inner = append(inner, "-A "+chain+" -j DROP")
		}
	}
	text := []string{"*filter", ":" + entryChain + " - [0:0]"}
	for i := range max(chains, used) {
		text = append(text, fmt.Sprintf(":%s-%d - [0:0]", entryChain, i))
	}
	text = append(append(append(text, entry...), inner...), "COMMIT", "")
	return strings.Join(text, "\n"), used
}

// allowances returns the matches of packets that some policy allows, and whether any policy isolates the pod at all.
func (s *state) allowances(guarded *pod, way direction) (matches []string, isolated bool) {
	for i := range s.policies {
		each := &s.policies[i]
		if each.Metadata.Namespace != guarded.Metadata.Namespace ||
			!slices.Contains(each.Spec.PolicyTypes, way.policyType) ||
			!each.Spec.PodSelector.matches(guarded.Metadata.Labels) {
			continue
		}
		isolated = true
		for _, allowed := range way.rules(each) {
			matches = append(matches, s.ruleMatches(each, &allowed, guarded, way)...)
		}
	}
	return matches, isolated
}

func (s *state) ruleMatches(of *policy, allowed *rule, guarded *pod, way direction) []string {
	peers := way.peers(allowed)
	if len(peers) == 0 {
		return portMatches("", allowed.Ports, guarded)
	}
	var matches []string
	for _, each := range peers {
		if each.IPBlock != nil {
			for _, block := range without(each.IPBlock.CIDR, each.IPBlock.Except) {
				matches = append(matches, portMatches(way.peerFlag+" "+block, allowed.Ports, nil)...)
			}
			continue
		}
		for i := range s.pods {
			other := &s.pods[i]
			if !other.reachable() || !s.isPeer(of, &each, other) {
				continue
			}
			// A named port is one of whoever receives.
			receiver := guarded
			if way.policyType == "Egress" {
				receiver = other
			}
			matches = append(matches, portMatches(way.peerFlag+" "+other.Status.PodIP+"/32", allowed.Ports, receiver)...)
		}
	}
	return matches
}

func (s *state) isPeer(of *policy, wanted *peer, other *pod) bool {
	if wanted.NamespaceSelector == nil {
		if other.Metadata.Namespace != of.Metadata.Namespace {
			return false
		}
	} else if !wanted.NamespaceSelector.matches(s.namespaces[other.Metadata.Namespace]) {
		return false
	}
	return wanted.PodSelector == nil || wanted.PodSelector.matches(other.Metadata.Labels)
}

func portMatches(address string, ports []port, receiver *pod) []string {
	if len(ports) == 0 {
		return []string{address}
	}
	var matches []string
	for _, each := range ports {
		protocol := strings.ToLower(each.Protocol)
		if protocol == "" {
			protocol = "tcp"
		}
		match := strings.TrimSpace(address + " -p " + protocol)
		if len(each.Port) == 0 || string(each.Port) == "null" {
			matches = append(matches, match)
			continue
		}
		for _, number := range numbers(each.Port, receiver) {
			last := max(number, each.EndPort)
			matches = append(matches, fmt.Sprintf("%s --dport %d:%d", match, number, last))
		}
	}
	return matches
}

// numbers resolves a port that may be a name; several containers may have one of that name.
func numbers(written json.RawMessage, receiver *pod) []int {
	var number int
	if json.Unmarshal(written, &number) == nil {
		return []int{number}
	}
	var name string
	if json.Unmarshal(written, &name) != nil || receiver == nil {
		return nil
	}
	var found []int
	for _, container := range receiver.Spec.Containers {
		for _, each := range container.Ports {
			if each.Name == name {
				found = append(found, each.ContainerPort)
			}
		}
	}
	return found
}

// without returns blocks that together are cidr less the excepted ones: a block that holds one is halved until it does not.
func without(cidr string, except []string) []string {
	block, err := netip.ParsePrefix(cidr)
	if err != nil || !block.Addr().Is4() {
		return nil
	}
	block = block.Masked()
	for _, each := range except {
		hole, err := netip.ParsePrefix(each)
		if err != nil || !block.Overlaps(hole) {
			continue
		}
		if hole.Bits() <= block.Bits() {
			return nil
		}
		low := netip.PrefixFrom(block.Addr(), block.Bits()+1)
		bytes := block.Addr().As4()
		bytes[block.Bits()/8] |= 0x80 >> (block.Bits() % 8)
		high := netip.PrefixFrom(netip.AddrFrom4(bytes), block.Bits()+1)
		return append(without(low.String(), except), without(high.String(), except)...)
	}
	return []string{block.String()}
}
