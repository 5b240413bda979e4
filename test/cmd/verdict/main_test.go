package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in, want, wantErr string
	}{
		"what passes says nothing but its package's line": {
			in: `{"Action":"start","Package":"x/p"}
{"Action":"run","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"x/p","Test":"TestA","Output":"a long log\n"}
{"Action":"pass","Package":"x/p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"x/p","Output":"PASS\n"}
{"Action":"output","Package":"x/p","Output":"ok  \tx/p\t0.1s\n"}
{"Action":"pass","Package":"x/p"}
{"Action":"output","Package":"x/q","Output":"?   \tx/q\t[no test files]\n"}
{"Action":"skip","Package":"x/q"}
`,
			want: "ok  \tx/p\t0.1s\n1 passed, 0 failed, 0 skipped\n",
		},
		"what fails is shown, and only that": {
			in: `{"Action":"output","Package":"x/p","Test":"TestA/sub","Output":"    === RUN   TestA/sub\n"}
{"Action":"output","Package":"x/p","Test":"TestA/sub","Output":"    p_test.go:7: broken\n"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"fine\n"}
{"Action":"output","Package":"x/p","Test":"TestA/sub","Output":"    --- FAIL: TestA/sub\n"}
{"Action":"fail","Package":"x/p","Test":"TestA/sub"}
{"Action":"pass","Package":"x/p","Test":"TestB"}
{"Action":"output","Package":"x/p","Output":"FAIL\n"}
{"Action":"output","Package":"x/p","Output":"FAIL\tx/p\t0.1s\n"}
{"Action":"fail","Package":"x/p"}
`,
			want:    "    p_test.go:7: broken\n    --- FAIL: TestA/sub\nFAIL\tx/p\t0.1s\n1 passed, 1 failed, 0 skipped\n",
			wantErr: "1 tests failed",
		},
		"a skip fails, whatever passes": {
			in: `{"Action":"pass","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"    p_test.go:6: no lab\n"}
{"Action":"skip","Package":"x/p","Test":"TestB"}
`,
			want:    "    p_test.go:6: no lab\n1 passed, 0 failed, 1 skipped\n",
			wantErr: "skipped, although nothing may be: x/p.TestB",
		},
		"a package that does not build": {
			in: `{"Action":"pass","Package":"x/q","Test":"TestA"}
{"ImportPath":"x/p","Action":"build-output","Output":"p.go:1: undefined: y\n"}
{"Action":"output","Package":"x/p","Output":"FAIL\tx/p [build failed]\n"}
{"Action":"fail","Package":"x/p"}
`,
			want:    "p.go:1: undefined: y\nFAIL\tx/p [build failed]\n1 passed, 1 failed, 0 skipped\n",
			wantErr: "1 tests failed",
		},
		"a test that never ends": {
			in: `{"Action":"pass","Package":"x/p","Test":"TestA"}
{"Action":"output","Package":"x/p","Test":"TestB","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"x/p"}
`,
			want:    "panic: test timed out\n--- FAIL: TestB did not end\n1 passed, 1 failed, 0 skipped\n",
			wantErr: "1 tests failed",
		},
		"nothing": {
			want:    "0 passed, 0 failed, 0 skipped\n",
			wantErr: "no test ran",
		},
		"what is not JSON is the go command's": {
			in:      "go: no such package\n",
			want:    "go: no such package\n0 passed, 0 failed, 0 skipped\n",
			wantErr: "no test ran",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := judge(strings.NewReader(test.in), &out)
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.wantErr, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
