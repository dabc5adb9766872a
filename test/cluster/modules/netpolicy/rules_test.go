package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestWithoutCutsHolesIntoABlock(t *testing.T) {
	got := without("10.0.0.0/30", []string{"10.0.0.1/32"})
	if want := []string{"10.0.0.0/32", "10.0.0.2/31"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := without("10.0.0.0/24", []string{"10.0.0.0/16"}); len(got) != 0 {
		t.Errorf("a block inside its own exception allows nothing, got %v", got)
	}
}

func TestAPodWithoutPoliciesIsLeftAlone(t *testing.T) {
	alone := pod{}
	alone.Spec.NodeName, alone.Status.PodIP = "n1", "10.244.1.2"
	rules, used := (&state{pods: []pod{alone}}).rules("n1", 2)
	if used != 0 || strings.Contains(rules, "DROP") || !strings.Contains(rules, ":ATOMSHARD-POLICY-1 -") {
		t.Errorf("wanted two empty chains and no drop, got\n%s", rules)
	}
}
