module github.com/kubectl-mesh/kubectl-mesh/tools/goreleaser

go 1.26.0
