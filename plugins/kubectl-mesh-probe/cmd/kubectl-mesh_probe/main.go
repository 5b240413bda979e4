// Command kubectl-mesh_probe is kubectl mesh-probe. The underscore in its name lets kubectl find it.
package main

import (
	"context"
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/cmd"
)

func main() {
	ctx, release := execplugin.WithHost(cli.SignalContext(context.Background()))
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := cli.Main(ctx, cmd.NewRoot(streams), streams)
	release()
	os.Exit(code)
}
