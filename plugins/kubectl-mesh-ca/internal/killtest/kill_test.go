//go:build unix && (kill || charts)

package killtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

// env is a number out of the environment.
func env(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// shortForm is how many sequences run together with the other tests of whole binaries.
const shortForm = 3

// lab is what all tests of this package share: API servers without nodes, and the keys that nobody may print.
type lab struct {
	sites []*site
	keys  *keyring
	state string
}

var shared struct {
	once sync.Once
	lab  *lab
	err  error
}

// TestMain takes down the lab that the tests have started.
func TestMain(m *testing.M) {
	// All meshes share the connections to the API servers, and one that is given up because a ping took long fails them all.
	if err := os.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "300"); err != nil {
		panic(err)
	}
	code := m.Run()
	if shared.lab != nil && shared.lab.state != os.Getenv("MESHLAB_STATE") {
		if err := meshlab(context.Background(), shared.lab.state, "down"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func meshlab(ctx context.Context, state string, args ...string) error {
	cmd := exec.CommandContext(ctx, "meshlab", args...)
	cmd.Env = append(os.Environ(), "MESHLAB_STATE="+state)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("meshlab %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// openLab uses the lab of the environment if it leaves its nodes to this package, and starts one beside it otherwise.
func openLab(t *testing.T) *lab {
	t.Helper()
	state := os.Getenv("MESHLAB_STATE")
	if os.Getenv("MESHLAB_KUBECONFIG") == "" || state == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make rotate-kill")
	}
	shared.once.Do(func() {
		ctx := context.Background()
		clusters, err := readLab(state)
		if err != nil {
			state += "-kill"
			if err = meshlab(ctx, state, "up", "--no-net", "--audit", "--clusters", "us,eu,ap"); err == nil {
				clusters, err = readLab(state)
			}
		}
		shared.lab = &lab{keys: newKeyring(), state: state}
		for _, c := range clusters {
			s, failure := openSite(ctx, c)
			err = errors.Join(err, failure)
			shared.lab.sites = append(shared.lab.sites, s)
		}
		shared.err = err
	})
	must(t, shared.err)
	return shared.lab
}

// TestKilled: kubectl-mesh_ca, killed at random requests, never ends the trust between two clusters and loses neither a key nor a former CA; a fresh one
// goes on, or back. MESH_CA_KILLS says how many sequences, MESH_CA_SEED the first seed.
func TestKilled(t *testing.T) {
	t.Parallel()
	l := openLab(t)
	sequences, first, begun := env(t, "MESH_CA_KILLS", shortForm), env(t, "MESH_CA_SEED", 1), time.Now()
	var mu, installing sync.Mutex
	kinds := map[string]int{}
	var group sync.WaitGroup // not t.Parallel, which runs as many as there are processors: a sequence mostly waits
	for n := range sequences {
		seed := uint64(first + n)
		group.Go(func() {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				install := func() *mesh { // one after the other: all at once are too much for slow API servers
					installing.Lock()
					defer installing.Unlock()
					return l.mesh(t, seed)
				}
				s := &sequence{mesh: install()}
				defer s.explain()
				s.play(seed)
				mu.Lock()
				defer mu.Unlock()
				for _, k := range s.kills {
					kinds[k.kind()]++
				}
				t.Logf("%s", strings.Join(s.log, "\n"))
			})
		})
	}
	group.Wait()
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("killed at a %s: %d", kind, kinds[kind])
		total += kinds[kind]
	}
	if total < sequences && !t.Failed() {
		t.Errorf("%d commands were killed in %d sequences", total, sequences)
	}
	t.Logf("%d sequences from seed %d, %d commands killed, in %s", sequences, first, total, time.Since(begun).Round(time.Second))
	l.searchAudit(t)
}

// sequence is a mesh and what happens to it.
type sequence struct {
	*mesh

	kills []killAt
	log   []string
}

// explain prints what led to a failure.
func (s *sequence) explain() {
	if !s.t.Failed() {
		return
	}
	s.t.Log(strings.Join(s.log, "\n"))
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.t.Log("writes:\n" + strings.Join(s.gate.log, "\n"))
}

// do runs a command, kills it or not, and checks what it left.
func (s *sequence) do(at killAt, args ...string) result {
	s.t.Helper()
	what := strings.Join(args, " ")
	if s.draw(2) == 0 { // what is logged is searched for keys
		args = append(args, "-v=10")
	}
	r := s.again(at, args...)
	s.log = append(s.log, fmt.Sprintf("%s: %s, exit code %d after %s", what, at, r.code, r.took.Round(time.Second)))
	if r.code < 0 {
		s.kills = append(s.kills, at)
	}
	if failure := s.failed(); failure != "" {
		s.t.Fatalf("%s: %s", what, failure)
	}
	if lost := s.lost(); len(lost) > 0 {
		s.t.Fatalf("%s: %s", what, strings.Join(lost, "; "))
	}
	return r
}

// slow is what a command says whose request took too long. That says something of the machine and nothing of the command, which goes on when it is run again.
var slow = regexp.MustCompile(`context deadline exceeded|request did not complete within|Client.Timeout exceeded|no answer within|client connection lost|stream error`)

// succeed runs a command that must end well.
func (s *sequence) succeed(args ...string) result {
	s.t.Helper()
	const times = 5
	r := s.do(killAt{}, args...)
	for n := 1; n < times && r.code > 0 && slow.MatchString(r.text()); n++ {
		s.log = append(s.log, "it was too slow; again")
		r = s.do(killAt{}, args...)
	}
	if r.code != 0 {
		s.t.Fatalf("%s: exit code %d\n%s\n%s", strings.Join(args, " "), r.code, r.stdout, tail(r.stderr))
	}
	return r
}

// killed runs a command that is killed, if it sends so many requests.
func (s *sequence) killed(writes int, args ...string) {
	s.t.Helper()
	const reads = 300
	s.do(s.kill(writes, reads), args...)
}

// position is what rotate status prints.
type position struct {
	UnderWay bool   `json:"underWay"`
	Phase    string `json:"phase"`
	Next     []struct {
		Command string `json:"command"`
	} `json:"nextSteps"`
}

func (s *sequence) position() position {
	s.t.Helper()
	var p position
	r := s.succeed("rotate", "status", "-o", "json")
	documents.Check(s.t, r.stdout)
	must(s.t, json.Unmarshal([]byte(r.stdout), &p))
	return p
}

// audit logs of all API servers.
func (l *lab) searchAudit(t *testing.T) {
	t.Helper()
	for _, s := range l.sites {
		logs, err := filepath.Glob(filepath.Join(l.state, s.Name, "audit*.log"))
		must(t, err)
		var size int64
		for _, name := range logs {
			f, err := os.Open(name)
			must(t, err)
			size += l.keys.searchAll(t, "the audit log of "+s.Name, f)
			must(t, f.Close())
		}
		if size == 0 {
			t.Errorf("%s has no audit log: nothing was searched; start the lab with --audit", s.Name)
		}
	}
	t.Logf("%s: no private key", l.keys.all)
}
