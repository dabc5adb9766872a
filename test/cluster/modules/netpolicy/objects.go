package main

import (
	"encoding/json"
	"slices"
)

// The parts of the API's objects that decide about packets.

type object struct {
	Metadata struct {
		Name      string
		Namespace string
		Labels    map[string]string
	}
}

type pod struct {
	object
	Spec struct {
		NodeName    string
		HostNetwork bool
		Containers  []struct {
			Ports []struct {
				Name          string
				ContainerPort int
				Protocol      string
			}
		}
	}
	Status struct {
		Phase string
		PodIP string
	}
}

type policy struct {
	object
	Spec struct {
		PodSelector selector
		PolicyTypes []string
		Ingress     []rule
		Egress      []rule
	}
}

// rule has its peers in From or To, by its direction; no peers means everybody, no ports every port.
type rule struct {
	From  []peer
	To    []peer
	Ports []port
}

type peer struct {
	PodSelector       *selector
	NamespaceSelector *selector
	IPBlock           *struct {
		CIDR   string
		Except []string
	}
}

type port struct {
	Protocol string
	Port     json.RawMessage // a number, a container port's name in quotes, or absent
	EndPort  int
}

type selector struct {
	MatchLabels      map[string]string
	MatchExpressions []struct {
		Key      string
		Operator string
		Values   []string
	}
}

func (s *selector) matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if found, has := labels[key]; !has || found != value {
			return false
		}
	}
	for _, expression := range s.MatchExpressions {
		value, has := labels[expression.Key]
		listed := has && slices.Contains(expression.Values, value)
		switch expression.Operator {
		case "In":
			if !listed {
				return false
			}
		case "NotIn":
			if listed {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}

// reachable pods have an address of their own and still use it.
func (p *pod) reachable() bool {
	return !p.Spec.HostNetwork && p.Status.PodIP != "" && p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed"
}
