package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// side is what the processes of one cluster show to the other's, and whom they trust.
type side struct {
	Server      leaf
	ServerTrust []string // what etcd trusts
	Client      leaf
	ClientTrust []string // what KVStoreMesh trusts
	// Half says which bundles end in half a certificate.
	HalfServer, HalfClient bool
}

// state is one state of the certificates of all clusters.
type state map[string]side

// The user of KVStoreMesh with authMode migration, and one that no etcd has.
const (
	serverName = "clustermesh-apiserver.cilium.io"
	wrongUser  = "remote-nobody"
)

func remoteUser(cluster string) string { return "remote-" + cluster }

// draw makes a random state. Half of all choices are the ordinary one, so that many directions work.
func draw(dice *rand.Rand, clusters []string) state {
	s := state{}
	for _, c := range clusters {
		var d side
		d.Server = drawLeaf(dice, serverName, true)
		d.Client = drawLeaf(dice, remoteUser(c), false)
		if dice.IntN(8) == 0 {
			d.Client.name = wrongUser
		}
		d.ServerTrust, d.HalfServer = drawTrust(dice)
		d.ClientTrust, d.HalfClient = drawTrust(dice)
		s[c] = d
	}
	return s
}

func drawLeaf(dice *rand.Rand, name string, server bool) leaf {
	l := leaf{ca: oldCA, name: name, server: server}
	switch dice.IntN(14) {
	case 0, 1:
		l.ca = newCA
	case 2, 3:
		l.ca, l.crossed = newCA, true
	case 4:
		l.ca = wrongCA
	case 5:
		// Nobody can use an etcd with an expired certificate, so that one direction cannot be judged: seldom.
		l.expired = !server || dice.IntN(2) == 0
	}
	return l
}

func drawTrust(dice *rand.Rand) (names []string, half bool) {
	switch dice.IntN(12) {
	case 0:
		return []string{newCA}, false
	case 1, 2, 3:
		return []string{oldCA, newCA}, false
	case 4:
		return []string{newCA, oldCA}, true // old is cut short
	case 5:
		return []string{oldCA, newCA}, true
	case 6:
		return []string{wrongCA}, false
	}
	return []string{oldCA}, false
}

func (l leaf) String() string {
	text := l.ca
	if l.crossed {
		text += "+X"
	}
	if l.expired {
		text += " expired"
	}
	if l.name == wrongUser {
		text += " wrong user"
	}
	return text
}

func (d side) String() string {
	trust := func(names []string, half bool) string {
		text := strings.Join(names, "+")
		if half {
			text += " (last one cut short)"
		}
		return text
	}
	return fmt.Sprintf("server %s, etcd trusts %s, client %s, client trusts %s",
		d.Server, trust(d.ServerTrust, d.HalfServer), d.Client, trust(d.ClientTrust, d.HalfClient))
}
