package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// TestStartFlags: a printed start has every flag of the plan.
func TestStartFlags(t *testing.T) {
	t.Parallel()
	long := lifetime(3650 * 24 * time.Hour)
	for want, got := range map[string][]string{
		"":            startFlags("", false, pki.ECDSA, lifetime(pki.DefaultCAValidity)),
		"--emergency": startFlags("", true, pki.ECDSA, lifetime(pki.DefaultCAValidity)),
		"--emergency --key-type=rsa --valid-for=3650d":     startFlags("", true, pki.RSA, long),
		"--method=bundle --key-type=rsa --valid-for=3650d": startFlags("bundle", false, pki.RSA, long),
	} {
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"60d": 60 * day, "2w": 14 * day, "36h": 36 * time.Hour, "1w3d": 10 * day, "90m": 90 * time.Minute, "0d": 0, "0": 0, "1.5h": 90 * time.Minute, "500ms": time.Second / 2, "3650d": 3650 * day, "87600h": 3650 * day, "5200w": 36400 * day} {
		var l lifetime
		if err := l.Set(text); err != nil || time.Duration(l) != want {
			t.Errorf("%s: %s, %v", text, time.Duration(l), err)
		}
		var again lifetime
		if err := again.Set(l.String()); err != nil || again != l {
			t.Errorf("%s prints as %s, %v", text, l.String(), err)
		}
	}
	if got := waitFlag(90*time.Minute, time.Hour); len(got) != 1 || got[0] != "--wait=1h30m" || waitFlag(time.Hour, time.Hour) != nil {
		t.Error(got)
	}
	for _, text := range []string{"", "60", "d", "-3d", "1.5d", "3x", "3d ", "99999w", "9999999d", "3d-1h", "-3h", "1d1.5h"} {
		var l lifetime
		if err := l.Set(text); err == nil {
			t.Errorf("%q is %s", text, time.Duration(l))
		}
	}
}
