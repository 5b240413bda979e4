# kubectl-mesh. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Static binaries without paths of the machine that built them. The version is stamped below, so Go need not ask git,
# which refuses in a clone that somebody else owns.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath -buildvcs=%,$(GOFLAGS)) -trimpath -buildvcs=false)

PLUGINS := svc ca probe
MAINS := $(foreach p,$(PLUGINS),./plugins/kubectl-mesh-$(p)/cmd/kubectl-mesh_$(p))
# Every module with its own Go code, except the judges in test/conformance, whose Go code is compiled against versions of Cilium that are not built otherwise; make
# conformance compiles them. The other modules below tools/ only name the version of a tool.
MODULES := . lab tools/kubectl test/workflows

# v1.2.3 on a tag, v1.2.3-4-gabcdef0 after it, v0.0.0-dev-gabcdef0 before the first: always a semantic version, as krew requires.
ifndef VERSION
VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || git describe --always --dirty --match '' 2>/dev/null | sed 's/^/v0.0.0-dev-g/' | grep . || echo v0.0.0-dev)
endif
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
# The commit's date, not today's: equal sources make equal binaries.
DATE := $(shell git log -1 --format=%cI 2>/dev/null)
CLI := github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli
LDFLAGS := -s -w -X $(CLI).version=$(VERSION) -X $(CLI).commit=$(COMMIT) -X $(CLI).date=$(DATE)

HOST := $(shell go env GOOS)/$(shell go env GOARCH)
# A release, or a part of it. package VERSION,DIRECTORY,PLATFORMS; no platform means all of them.
package = go run ./test/cmd/packaging build -tag '$(1)' -to $(2) -platforms '$(3)' $(if $(DATE),-date '$(DATE)') -ldflags '$(subst version=$(VERSION),version=$(1),$(LDFLAGS))'
# The platforms that krew-check builds. The first build takes several minutes for each, so it is this machine's by default;
# release-check has all five. An upgrade starts from KREW_OLDER.
KREW_PLATFORMS ?= $(HOST)
KREW_OLDER := v0.0.0-0
krew-user = $(call package,$(KREW_OLDER),dist/krew/old,$(HOST)) && go run ./test/cmd/packaging check -tag '$(VERSION)' -archives $(1) -older-tag $(KREW_OLDER) -older dist/krew/old

KREW_TOOLS := $(addprefix bin/tools/,kubectl kubectl-krew validate-krew-manifest)
TOOL_BINARIES := bin/tools/golangci-lint $(KREW_TOOLS)

.PHONY: help
help:
	@echo 'kubectl plugins for Cilium Cluster Mesh. Usage: make TARGET'
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-22s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'CLUSTERS=a,b,c sets the clusters of a lab, MESHLAB_STATE=DIR its directory.'

##@ Build

.PHONY: build
build: ## Build the three plugins and their kubectl completion scripts into bin/
	@mkdir -p bin
	@go build -ldflags '$(LDFLAGS)' -o bin/ $(MAINS)
	@for p in $(PLUGINS); do \
		bin/kubectl-mesh_$$p completion kubectl > bin/kubectl_complete-mesh_$$p; \
		chmod +x bin/kubectl_complete-mesh_$$p; \
	done

.PHONY: meshlab
meshlab:
	@mkdir -p bin
	@go build -C lab -o $(CURDIR)/bin/meshlab ./cmd/meshlab

.PHONY: tools
tools: $(TOOL_BINARIES) ## Build the tools of this repository into bin/tools/: golangci-lint, kubectl, krew

##@ The lab and the demo

.PHONY: lab-up
lab-up: build meshlab bin/tools/kubectl ## Start a mesh of three clusters on this machine and leave it running
	@# Everything else is printed on stderr, so that eval "$$(make lab-up)" works.
	@bin/meshlab up $(if $(CLUSTERS),--clusters '$(CLUSTERS)')
	@echo 'export PATH=$(CURDIR)/bin:$(CURDIR)/bin/tools:$$PATH'

.PHONY: lab-down
lab-down: meshlab ## Remove the lab: processes, mounts, namespaces and files
	@bin/meshlab down

.PHONY: demo
demo: build meshlab bin/tools/kubectl ## Replay both walk-throughs on a lab of its own
	@MESHLAB_STATE='$(CURDIR)/.lab-demo' demo/run.sh

##@ Check

.PHONY: test
test: test-unit build meshlab bin/tools/kubectl ## Run all tests: unit tests, then whole binaries against a lab of their own
	@# Of the pages only the README; docs-check runs all.
	@MESHLAB_STATE='$(CURDIR)/.lab-test' DOCS_PAGE='^README' test/with-lab.sh test/whole-binary.sh $(WHOLE)

# The packages with tests that need a lab.
WHOLE := ./plugins/kubectl-mesh-svc ./plugins/kubectl-mesh-ca ./plugins/kubectl-mesh-probe ./test/docs

.PHONY: test-field
test-field: build meshlab bin/tools/kubectl ## Run only the tests for reports from the field; make test runs them too
	env -u MESHLAB_KUBECONFIG go test -count=1 -run '^TestField|^TestEveryReportHasATest$$' ./...
	@MESHLAB_STATE='$(CURDIR)/.lab-field' test/with-lab.sh test/whole-binary.sh \
		-run '^TestField|^TestScripts$$/^(case|field)_' ./plugins/...

# Longer than the 10 minutes that go test gives a package: on a busy machine, the tests of mesh-probe's sender take as long.
.PHONY: test-unit
test-unit: ## Run the unit tests; they need no lab
	env -u MESHLAB_KUBECONFIG go test -timeout 40m ./...
	env -u MESHLAB_KUBECONFIG go test -C lab -timeout 40m ./...
	go test -C test/workflows ./...

comma := ,
KUBECTLS := bin/tools/kubectl $(patsubst tools/kubectl/%.mod,bin/tools/kubectl-versions/%/kubectl,$(wildcard tools/kubectl/v*.mod))

.PHONY: test-kubectl
test-kubectl: build meshlab $(KUBECTLS) ## Run the plugins through kubectl of several minor versions: discovery, streams, exit codes, completion, reads, writes
	@MESHLAB_STATE='$(CURDIR)/.lab-kubectl' test/with-lab.sh test/kubectl-versions.sh $(KUBECTLS)

# Two clusters of the older minor, so that a mesh of one minor and one of two are both there. Without admission: its script
# needs a version of MutatingAdmissionPolicy that 1.34 does not serve.
APISERVER_SCRIPTS := kubectl|globalize|clusters|drain|watch|conflict|permission|check|status|sync|reissue|rotate|backup|refused|identify|judgement|urls|records
.PHONY: test-apiservers
test-apiservers: build meshlab bin/tools/kubectl ## Run whole binaries against API servers of two minor versions in one mesh; the first run compiles the older Kubernetes (KUBERNETES=us=1.34.4,ap=1.34.4)
	@MESHLAB_STATE='$(CURDIR)/.lab-apiservers' test/with-lab.sh --kubernetes-version='$(or $(KUBERNETES),us=1.34.4$(comma)ap=1.34.4)' bash -c \
		'go test -C lab -count=1 -v -run "^TestLiveControlPlanes$$" ./internal/run/lab && test/whole-binary.sh -run "^TestScripts$$/^($(APISERVER_SCRIPTS))$$" ./plugins/kubectl-mesh-{svc,ca,probe}'

# The same packages with the build constraints of other platforms, tests included. It compiles; nothing is run.
VET_PLATFORMS ?= linux/amd64 darwin/arm64 windows/amd64
.PHONY: vet-platforms
vet-platforms: ## Run go vet for Linux, macOS and Windows (VET_PLATFORMS=windows/amd64)
	@for p in $(VET_PLATFORMS); do \
		echo "go vet for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} go vet ./... || exit 1; \
	done

# DOCS_PAGE is a regular expression: only pages whose path matches are run.
.PHONY: docs-check
docs-check: build meshlab bin/tools/kubectl ## Check links, anchors and the command reference, and run every command of README and docs against a lab (DOCS_PAGE)
	go test -count=1 -run '^TestReference$$' ./plugins/...
	@MESHLAB_STATE='$(CURDIR)/.lab-docs' DOCS_PAGE='$(DOCS_PAGE)' test/with-lab.sh go test -count=1 -timeout 40m -v ./test/docs

# The race detector needs cgo, which nothing else here does.
.PHONY: test-race
test-race: export CGO_ENABLED := 1
test-race: ## Run the unit tests with the race detector; requires gcc (PACKAGES=./pkg/...)
	@command -v gcc >/dev/null || { echo 'make test-race requires gcc' >&2; exit 1; }
	env -u MESHLAB_KUBECONFIG go test -race -timeout 60m $(or $(PACKAGES),./...)

.PHONY: faults
faults: build meshlab bin/tools/kubectl ## Run every command with every fault between it and the lab's API servers, and print the matrix; search what hostile answers put on the terminal (FAULTS=short, ONLY=drain)
	@rm -rf dist/faults && mkdir -p dist/faults
	@status=0; \
	MESHLAB_STATE='$(CURDIR)/.lab-faults' FAULTS='$(FAULTS)' ONLY='$(ONLY)' FAULTS_DIR='$(CURDIR)/dist/faults' test/with-lab.sh \
		go test -tags=faults -p 1 -count=1 -timeout 120m -run '^(TestFaultMatrix|TestHostile)$$' $(foreach p,$(PLUGINS),./plugins/kubectl-mesh-$(p)) >dist/faults/log || status=$$?; \
	for p in $(PLUGINS); do cat dist/faults/kubectl-mesh_$$p.txt || true; done; \
	if ((status == 0)); then grep '^ok' dist/faults/log; else cat dist/faults/log; fi; \
	exit $$status

.PHONY: conformance
conformance: ## Compare our rules with Cilium's own Go code, all versions; JUDGES=1.20 selects one
	@go run ./test/conformance $(JUDGES)

# One cluster. The test does not use the lab's imitation of Cilium.
.PHONY: conformance-exporter
conformance-exporter: meshlab bin/tools/clustermesh-apiserver ## Compare our export rules with what Cilium's clustermesh-apiserver writes
	@MESHLAB_STATE='$(CURDIR)/.lab-exporter' test/with-lab.sh --no-net --clusters=us go run ./test/conformance exporter

# SEED repeats a run.
.PHONY: openssl-ca
openssl-ca: ## Compare what mesh-ca says of certificates with OpenSSL and with TLS handshakes (CASES=2000, SEED)
	OPENSSL_CA_CASES='$(or $(CASES),2000)' OPENSSL_CA_SEED='$(SEED)' go test ./test/openssl -count=1 -v -timeout 30m

# A test fails if the files are not up to date, and if a released field has changed.
.PHONY: schema
schema: ## Write the JSON Schemas of the documents, from the Go types and their comments
	@go run ./test/cmd/schema

.PHONY: schema-release
schema-release: ## Record the fields of the documents as those of a release (docs/documents.md; REWORDED=1 accepts new descriptions)
	@go run ./test/cmd/schema -release $(if $(REWORDED),-reworded)

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 10s each)
	@grep -rl --include='*_test.go' '^func Fuzz' pkg plugins | xargs -n 1 dirname | sort -u | while read -r package; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z]*' "$$package"/*_test.go | cut -c 6-); do \
			echo "$$target of $$package"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' "./$$package"; \
		done; \
	done

.PHONY: lint
lint: bin/tools/golangci-lint ## Run the linters in every module, with the import rules, and check the language
	@go run ./test/cmd/language
	@failed=; \
	for m in $(MODULES); do \
		echo "golangci-lint in $$m"; \
		(cd $$m && $(CURDIR)/bin/tools/golangci-lint run ./...) || failed+=" $$m"; \
	done; \
	[[ -z $$failed ]] || { echo "lint failed in:$$failed" >&2; exit 1; }

.PHONY: fmt
fmt: bin/tools/golangci-lint ## Format the Go code of every module
	@for m in $(MODULES); do (cd $$m && $(CURDIR)/bin/tools/golangci-lint fmt ./...); done

.PHONY: krew-check
krew-check: $(KREW_TOOLS) ## Pack, add an index to krew, install, run through kubectl, upgrade, uninstall
	@$(call package,$(VERSION),dist/krew/new,$(KREW_PLATFORMS))
	@$(call krew-user,dist/krew/new)

.PHONY: probe-torture
probe-torture: ## Compare mesh-probe's tally with the log of a server that misbehaves, and cut its stream (TORTURE_REQUESTS=100000, CUTS=200)
	TORTURE_REQUESTS='$(or $(TORTURE_REQUESTS),100000)' CUTS='$(or $(CUTS),200)' \
		go test ./plugins/kubectl-mesh-probe/internal/sender -count=1 -timeout 60m -run '^Test(Torture|Cuts|OpenLoop)' -v | grep -E '^(---|    ---|ok|FAIL|panic)'

.PHONY: bench-probe
bench-probe: build meshlab bin/tools/kubectl bin/tools/hey ## Compare mesh-probe with hey, the bare tools and a shell loop (ROUNDS, REQUESTS, TOOLS)
	@go build -o bin/bench-probe ./test/cmd/bench-probe
	@MESHLAB_STATE='$(CURDIR)/.lab-bench' test/with-lab.sh --clusters=us bin/bench-probe

# The lab's pods share two cores with everything else, so the number of runs counts, not their time.
.PHONY: gates
gates: build meshlab bin/tools/kubectl ## Run each check of mesh-probe 60 times, on Services whose shares and errors are known: true checks must pass, false ones must not (RUNS, GATES=half,sixty)
	@go build -o bin/gates ./test/cmd/gates
	@MESHLAB_STATE='$(CURDIR)/.lab-gates' test/with-lab.sh --clusters=us,eu bin/gates

.PHONY: pictures
pictures: build meshlab bin/tools/kubectl ## Make the pictures of terminals in docs/pictures, light and dark, from runs against a lab of their own
	@MESHLAB_STATE='$(CURDIR)/.lab-docs' test/with-lab.sh go run ./test/cmd/pictures docs/pictures

.PHONY: probe-report-pictures
probe-report-pictures: ## Make the pictures of mesh-probe's HTML report in docs/pictures (requires Debian's chromium)
	@go test -tags=browser ./plugins/kubectl-mesh-probe/internal/view/page -run TestPictures -count=1 -v -pictures='$(CURDIR)/docs/pictures'

.PHONY: test-browser
test-browser: ## Open mesh-probe's HTML report in a real browser (requires Debian's chromium)
	@go test -tags=browser ./plugins/kubectl-mesh-probe/internal/view/page -count=1

.PHONY: bench-svc
bench-svc: build meshlab bin/tools/kubectl ## Compare mesh-svc with kubectl over 3 x 10,000 Services, and over 255 remote clusters
	@go build -o bin/bench-svc ./test/cmd/bench-svc
	@MESHLAB_STATE='$(CURDIR)/.lab-bench' test/with-lab.sh --no-net bin/bench-svc

.PHONY: bench-ca
bench-ca: build meshlab bin/tools/kubectl ## Measure mesh-ca status over 255 remote clusters
	@go build -o bin/bench-svc ./test/cmd/bench-svc
	@MESHLAB_STATE='$(CURDIR)/.lab-bench' test/with-lab.sh --no-net bin/bench-svc ca

.PHONY: bench-scale
bench-scale: build meshlab bin/tools/kubectl ## Measure mesh-svc over 3, 30, 255 and 511 remote clusters, and over 50,000 Services in one cluster
	@go build -o bin/bench-svc ./test/cmd/bench-svc
	@MESHLAB_STATE='$(CURDIR)/.lab-bench' MESH_CLUSTERS=511 SERVICES=50000 RUNS=3 test/with-lab.sh --no-net bin/bench-svc scale

.PHONY: bench-start
bench-start: build bin/tools/kubectl ## Compare how the plugins start with kubectl: time, size, kubeconfigs with many credential plugins (RUNS)
	@go run ./test/cmd/bench-start bin bin/tools/kubectl

.PHONY: bench
bench: ## Run every benchmark, and write docs/performance.md (about an hour on two cores)
	@test/bench.sh

.PHONY: bench-go
bench-go: ## Run the Go benchmarks, one second each
	go test -run '^$$' -bench . -benchmem ./pkg/common/routing ./plugins/kubectl-mesh-svc/internal/check ./plugins/kubectl-mesh-svc/internal/report

# Two minor versions, and patch versions with and without Cilium's fixes. Pods are not needed.
CHAOS_LAB := --no-net --clusters=a,b,c,d,e --cilium-version=a=1.19.5,b=1.19.7,c=1.19.2,d=1.20.2,e=1.20.2

.PHONY: chaos
chaos: build meshlab bin/tools/kubectl ## Seed faults into 300 Services of five clusters; check must find exactly these (SEEDS="1 clock")
	@go build -o bin/chaos ./test/cmd/chaos
	@MESHLAB_STATE='$(CURDIR)/.lab-chaos' SEEDS='$(SEEDS)' test/with-lab.sh $(CHAOS_LAB) bin/chaos $(CHAOS_FLAGS)

# SEED, STATES, REQUESTS and ONLY (the index of a single state) set the flags of test/cmd/states.
.PHONY: states
states: build meshlab bin/tools/kubectl ## Compare predictions with traffic in random states; Cilium's own code chooses the backends
	@MESHLAB_STATE='$(CURDIR)/.lab-states' test/with-lab.sh --chooser=cilium go run ./test/cmd/states \
		$(foreach f,SEED STATES REQUESTS ONLY,$(if $($f),-$(shell echo $f | tr A-Z a-z)=$($f)))

##@ Real Cilium

# Root, clang 18 or later, iptables, ipset and iproute2; docs/real-cilium.md.
CILIUM_LAB := --datapath=cilium --one-ca

.PHONY: demo-cilium
demo-cilium: build meshlab bin/tools/kubectl ## Replay both walk-throughs on Cilium itself: agents with eBPF, clustermesh-apiserver, etcd
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh --datapath=cilium go run ./demo -cilium

.PHONY: short-cilium
short-cilium: build meshlab bin/tools/kubectl ## A short form of demo-cilium and states-cilium: two clusters, one walk-through, five states
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh --datapath=cilium --clusters=us,eu bash -c \
		'go run ./demo -cilium -short && go run ./test/cmd/states -settle=5s -silent=30 -states=5 -seed=28'

.PHONY: certgen-cilium
certgen-cilium: build meshlab bin/tools/kubectl ## Replay the first walk-through in two clusters whose certificates certgen's Jobs sign
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh --datapath=cilium --clusters=us,eu --install=certgen \
		go run ./demo -cilium -short

.PHONY: states-cilium
states-cilium: build meshlab bin/tools/kubectl ## Compare predictions with traffic through Cilium's eBPF in random states (SEED, STATES, REQUESTS, ONLY); WITNESS=1 also compares the agents' backend tables
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh $(CILIUM_LAB) go run ./test/cmd/states -settle=5s -silent=30 \
		-states=$(or $(STATES),60) $(if $(WITNESS),-witness) $(foreach f,SEED REQUESTS ONLY,$(if $($f),-$(shell echo $f | tr A-Z a-z)=$($f)))

.PHONY: failover-cilium
failover-cilium: build meshlab bin/tools/kubectl ## Compare mesh-probe with an independent observer while backends fail
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh $(CILIUM_LAB) --clusters=us,eu go run ./test/cmd/failover

.PHONY: drill-cilium
drill-cilium: build meshlab bin/tools/kubectl ## Run a drill of each kind beside an independent observer, and witnesses, on Cilium
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh $(CILIUM_LAB) --clusters=us,eu go run ./test/cmd/failover -drills

.PHONY: trust-cilium
trust-cilium: build meshlab bin/tools/kubectl ## Compare mesh-ca status with what etcd and KVStoreMesh do in random states of certificates (SEED, STATES)
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh $(CILIUM_LAB) --clusters=us,eu go run ./test/cmd/trust \
		$(foreach f,SEED STATES,$(if $($f),-$(shell echo $f | tr A-Z a-z)=$($f)))

.PHONY: rotate-model
rotate-model: ## Interrupt sync, reissue and rotations at random, in a model of etcd, clients and kubelets (SEQUENCES, SEED)
	@MESH_CA_SEQUENCES=$(or $(SEQUENCES),500) MESH_CA_SEED=$(or $(SEED),1) bash -o pipefail -c \
		'go test -count=1 -timeout=15m -run "^TestSequences$$" -v ./plugins/kubectl-mesh-ca/internal/rotate | grep -v "^ *command.go\|^=== \|^ *--- PASS"'

# As many sequences at once as there are: they mostly wait.
.PHONY: rotate-kill
rotate-kill: build meshlab bin/tools/kubectl ## Kill kubectl-mesh_ca at random requests to real API servers, with the model of rotate-model behind them (SEQUENCES, SEED)
	@MESHLAB_STATE='$(CURDIR)/.lab-kill' MESH_CA_KILLS=$(or $(SEQUENCES),20) MESH_CA_SEED=$(or $(SEED),1) \
		test/with-lab.sh --no-net --audit --clusters=us,eu,ap go test -tags=kill -count=1 -timeout=60m -v ./plugins/kubectl-mesh-ca/internal/killtest

# Two clusters for each chart: ClusterRoles have the same names in every release.
.PHONY: helm-charts
helm-charts: build meshlab bin/tools/kubectl bin/tools/helm ## Rotate and federate under real Helm with Cilium's charts 1.18, 1.19 and 1.20, and upgrade afterwards
	@MESHLAB_STATE='$(CURDIR)/.lab-charts' test/with-lab.sh --no-net --audit --clusters=us18,eu18,us19,eu19,us20,eu20 \
		go test -tags=charts -count=1 -timeout=30m -v -run '^TestHelmCharts$$' ./plugins/kubectl-mesh-ca/internal/killtest

# INSTALL=certgen: Jobs of certgen sign the leaf certificates, instead of Helm. It also applies to federate-cilium.
.PHONY: rotate-cilium
rotate-cilium: build meshlab bin/tools/kubectl ## Rotate the CA of three clusters of Cilium under traffic, with each method, and back from each stage (SHORT=1: two clusters, once; INSTALL)
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh $(CILIUM_LAB) $(if $(SHORT),--clusters=us$(comma)eu) $(if $(INSTALL),--install=$(INSTALL)) \
		go run ./test/cmd/rotation $(if $(SHORT),-short)

.PHONY: federate-cilium
federate-cilium: build meshlab bin/tools/kubectl ## Connect clusters of Cilium with different CAs under traffic: federate, separate, copy the CA, repair (INSTALL)
	@MESHLAB_STATE='$(CURDIR)/.lab-cilium' test/machine-unchanged.sh test/with-lab.sh --datapath=cilium --clusters=us,eu $(if $(INSTALL),--install=$(INSTALL)) \
		go run ./test/cmd/rotation -apart

##@ Release

# A subset makes a quick check possible: the archives of the other platforms then have text files instead of a plugin.
RELEASE_PLATFORMS ?=

.PHONY: release-snapshot
release-snapshot: bin/tools/cyclonedx-gomod ## Build a release into dist/release: archives, SBOMs, checksums; and a krew index. Nothing is signed or uploaded
	@$(call package,$(VERSION),dist/release,$(RELEASE_PLATFORMS)) -sbom bin/tools/cyclonedx-gomod
	@rm -rf dist/krew-index && go run ./test/cmd/packaging index -tag '$(VERSION)' -archives dist/release -to dist/krew-index

.PHONY: release-check
release-check: bin/tools/cyclonedx-gomod $(KREW_TOOLS) ## Build a release twice, in different directories, compare the bytes, and install it with krew (RELEASE_PLATFORMS=linux/amd64: quick)
	@test/release-twice.sh '$(VERSION)'
	@$(call krew-user,dist/release)

# docs/releasing.md. cosign signs with the identity of the workflow; on another machine, it asks for a login in a browser.
.PHONY: release-sign
release-sign: bin/tools/cosign
	@bin/tools/cosign sign-blob --yes --bundle dist/release/checksums.txt.sigstore.json dist/release/checksums.txt

.PHONY: clean
clean: ## Remove build results; a running lab is not affected
	rm -rf bin dist

# A tool is rebuilt when its module changes. go build does not write an unchanged file, hence touch.
tool = go build -C tools/$(1) -ldflags '-s -w' -o $(CURDIR)/$@ $(2) && touch $@

bin/tools/golangci-lint: tools/golangci-lint/go.mod tools/golangci-lint/go.sum
	@echo 'building golangci-lint; the first time takes about four minutes' >&2
	@$(call tool,golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

# kubectl MODFILE: its version is that of the module, as a release build stamps it.
kubectl = v=$$(go list -C tools/kubectl -modfile=$(1) -m -f '{{.Version}}' k8s.io/kubectl) && \
	go build -C tools/kubectl -modfile=$(1) -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1$${v\#v0}" -o $(CURDIR)/$@ . && touch $@

bin/tools/kubectl: tools/kubectl/main.go tools/kubectl/go.mod tools/kubectl/go.sum
	@echo 'building kubectl' >&2
	@$(call kubectl,go.mod)

# Other minors, from the same source: tools/kubectl/v1.36.mod.
bin/tools/kubectl-versions/%/kubectl: tools/kubectl/main.go tools/kubectl/%.mod tools/kubectl/%.sum
	@echo 'building kubectl $*' >&2
	@$(call kubectl,$*.mod)

bin/tools/helm: tools/helm/go.mod tools/helm/go.sum
	@echo 'building helm' >&2
	@$(call tool,helm,helm.sh/helm/v3/cmd/helm)

bin/tools/kubectl-krew: tools/krew/go.mod tools/krew/go.sum
	@echo 'building krew' >&2
	@$(call tool,krew,sigs.k8s.io/krew/cmd/krew)

bin/tools/validate-krew-manifest: tools/krew/go.mod tools/krew/go.sum
	@echo 'building validate-krew-manifest' >&2
	@$(call tool,krew,sigs.k8s.io/krew/cmd/validate-krew-manifest)

exporter := test/conformance/exporter
bin/tools/clustermesh-apiserver: $(exporter)/go.mod $(exporter)/go.sum
	@echo "building Cilium's clustermesh-apiserver; the first time takes about ten minutes" >&2
	@go build -C $(exporter) -ldflags '-s -w' -o $(CURDIR)/$@ github.com/cilium/cilium/clustermesh-apiserver && touch $@

# Only bench-probe uses it, to compare.
bin/tools/hey: tools/hey/go.mod tools/hey/go.sum
	@echo 'building hey' >&2
	@$(call tool,hey,github.com/rakyll/hey)

bin/tools/cyclonedx-gomod: tools/cyclonedx-gomod/go.mod tools/cyclonedx-gomod/go.sum
	@echo 'building cyclonedx-gomod' >&2
	@$(call tool,cyclonedx-gomod,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)

bin/tools/cosign: tools/cosign/go.mod tools/cosign/go.sum
	@echo 'building cosign; the first time takes several minutes' >&2
	@$(call tool,cosign,github.com/sigstore/cosign/v3/cmd/cosign)
