package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitByURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exprs []string
		urls  int
		want  [][]string
		err   string
	}{
		"one URL":             {[]string{"us=50%", "errors<1%,1:x=50%"}, 1, [][]string{{"us=50%", "errors<1%", "1:x=50%"}}, ""},
		"for all":             {[]string{"errors<1%"}, 2, [][]string{{"errors<1%"}, {"errors<1%"}}, ""},
		"for one":             {[]string{"1:us=50%, 2:only=eu", "errors=0%"}, 2, [][]string{{"us=50%", "errors=0%"}, {"only=eu", "errors=0%"}}, ""},
		"nothing":             {nil, 3, [][]string{nil, nil, nil}, ""},
		"a value with colons": {[]string{"10.0.0.1:80=50%"}, 2, [][]string{{"10.0.0.1:80=50%"}, {"10.0.0.1:80=50%"}}, ""},
		"no such URL":         {[]string{"3:us=50%"}, 2, nil, `--expect "3:us=50%": there is no URL number 3; the run has 2 URLs`},
		"URL zero":            {[]string{"0:us=50%"}, 2, nil, "no URL number 0"},
		"a long number":       {[]string{"99999999999999999999:us=50%"}, 2, nil, "no URL number 9"},
	} {
		got, err := SplitByURL(c.exprs, c.urls)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
