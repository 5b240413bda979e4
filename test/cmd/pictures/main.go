// Command pictures runs commands in a terminal, against the lab, and draws what the terminal showed: docs/pictures/NAME-light.svg and NAME-dark.svg.
//
//	test/with-lab.sh go run ./test/cmd/pictures docs/pictures
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubectl-mesh/kubectl-mesh/test/docs"
)

// screen is a picture: commands that prepare it, and the one that is shown.
type screen struct {
	name    string
	prepare []string
	command string
	code    int // of the command
}

// screens are drawn in this order; each begins with what the previous ones left.
var screens = []screen{
	{name: "check", prepare: []string{"kubectl --context kind-us annotate service nginx service.cilium.io/global=true", "kubectl --context kind-eu annotate service nginx service.cilium.io/global=yes"},
		command: "kubectl mesh-svc check nginx --ignore SVC035,SVC037", code: 1},
	{name: "describe", prepare: []string{"kubectl mesh-svc globalize nginx --yes"}, command: "kubectl mesh-svc describe nginx"},
	{name: "probe", command: "kubectl mesh-probe http://nginx --from deploy/client --from-clusters all --expect-prediction --settle 5s"},
	{name: "drill", command: "kubectl mesh-probe drill nginx --in us --from deploy/client --yes"},
	{name: "ca-status", command: "kubectl mesh-ca status", code: 1},
}

// setup is what the walk-through has at its beginning: two pods in us, one in eu and ap, and a client in each.
var setup = []string{
	"kubectl config use-context kind-us",
	"for c in us eu ap; do kubectl --context kind-$c apply -f demo/manifests/first.yaml; done",
	"kubectl --context kind-us scale deployment rebel-base --replicas 2",
	"for c in us eu ap; do kubectl --context kind-$c rollout status deployment/rebel-base deployment/client --timeout=120s; done",
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	lab := os.Getenv("MESHLAB_KUBECONFIG")
	if len(args) != 1 || lab == "" {
		return errors.New("usage: test/with-lab.sh go run ./test/cmd/pictures DIRECTORY")
	}
	home, err := os.MkdirTemp("", "pictures")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	// The state of earlier runs is not theirs. With the kubeconfig at its usual place, the commands that are printed do not name it.
	raw, err := os.ReadFile(lab) //nolint:gosec // the lab's own
	if err != nil {
		return err
	}
	kube := filepath.Join(home, ".kube")
	if err := errors.Join(os.Mkdir(kube, 0o700), os.WriteFile(filepath.Join(kube, "config"), raw, 0o600)); err != nil { //nolint:gosec // below the temporary directory
		return err
	}
	s := &docs.Session{Dir: ".", Env: append(os.Environ(), "KUBECONFIG=", "HOME="+home, "XDG_STATE_HOME="+home, "TERM=xterm")}
	for _, command := range setup {
		if err := prepare(ctx, s, command); err != nil {
			return err
		}
	}
	for _, picture := range screens {
		if err := picture.draw(ctx, s, args[0]); err != nil {
			return fmt.Errorf("%s: %w", picture.name, err)
		}
	}
	graph, code, err := s.Run(ctx, "kubectl mesh-svc graph nginx -o svg > "+filepath.Join(args[0], "graph.svg"))
	if err == nil && code != 0 {
		err = fmt.Errorf("graph: exit code %d: %s", code, graph)
	}
	return err
}

// prepare runs a command that must succeed.
func prepare(ctx context.Context, s *docs.Session, command string) error {
	shown, code, err := s.Run(ctx, command)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit code %d: %s", command, code, shown)
	}
	return err
}

// draw prepares one picture, runs its command, and writes it for each theme.
func (p screen) draw(ctx context.Context, s *docs.Session, dir string) error {
	for _, command := range p.prepare {
		if err := prepare(ctx, s, command); err != nil {
			return err
		}
	}
	shown, code, err := s.Run(ctx, p.command)
	if err != nil {
		return err
	}
	if code != p.code {
		return fmt.Errorf("%s: exit code %d, want %d: %s", p.command, code, p.code, shown)
	}
	lines, err := parse("$ " + p.command + "\n" + shown)
	if err != nil {
		return err
	}
	for _, th := range themes {
		svg, err := render(lines, p.command, th)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, p.name+"-"+th.name+".svg")
		if err := os.WriteFile(file, []byte(svg), 0o600); err != nil { //nolint:gosec // the directory is the caller's
			return err
		}
		_, _ = fmt.Fprintln(os.Stderr, "wrote", file)
	}
	return nil
}
