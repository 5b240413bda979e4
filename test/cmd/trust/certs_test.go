package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func TestSign(t *testing.T) {
	t.Parallel()
	now := time.Now()
	all, err := newAuthorities(now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		leaf  leaf
		trust []string
		half  bool
		want  bool
	}{
		"the same CA":                  {leaf{ca: oldCA}, []string{oldCA}, false, true},
		"another CA":                   {leaf{ca: newCA}, []string{oldCA}, false, false},
		"one of two":                   {leaf{ca: newCA}, []string{oldCA, newCA}, false, true},
		"one of two that is cut short": {leaf{ca: newCA}, []string{oldCA, newCA}, true, false},
		"the one before that":          {leaf{ca: oldCA}, []string{oldCA, newCA}, true, true},
		"cross-signed":                 {leaf{ca: newCA, crossed: true}, []string{oldCA}, false, true},
		"expired":                      {leaf{ca: oldCA, expired: true}, []string{oldCA}, false, false},
	} {
		tc.leaf.name, tc.leaf.server = serverName, true
		cert, key, err := all.sign(tc.leaf, now)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		options := x509.VerifyOptions{DNSName: serverName, CurrentTime: now, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
		options.Roots.AppendCertsFromPEM(all.bundle(tc.trust, tc.half))
		for _, der := range pair.Certificate[1:] {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			options.Intermediates.AddCert(c)
		}
		if _, err := pair.Leaf.Verify(options); (err == nil) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if bytes.Equal(all.byName[newCA].pem, all.crossed) {
		t.Error("the cross-signed CA is the CA itself")
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	clusters := []string{"eu", "us"}
	draw := func(seed uint64) state { return draw(rand.New(rand.NewPCG(seed, 0)), clusters) }
	if !reflect.DeepEqual(draw(7), draw(7)) {
		t.Error("the same seed draws different states")
	}
	ordinary, crossed, wrong := 0, 0, 0
	for seed := range uint64(300) {
		for c, d := range draw(seed) {
			if d.Server.ca == oldCA && d.Client.ca == oldCA && d.Client.name == remoteUser(c) {
				ordinary++
			}
			if d.Client.crossed {
				crossed++
			}
			if d.Client.name == wrongUser {
				wrong++
			}
		}
	}
	if ordinary < 100 || crossed < 20 || wrong < 20 {
		t.Errorf("of 600 sides %d are ordinary, %d have a cross-signed client, %d a wrong user", ordinary, crossed, wrong)
	}
}
