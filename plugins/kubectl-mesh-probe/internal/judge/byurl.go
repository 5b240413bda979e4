package judge

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ofURL is an expectation for one URL, such as 2:us=50%.
var ofURL = regexp.MustCompile(`^([0-9]+):(.+)$`)

// SplitByURL returns the expectations for each of several URLs. An expectation applies to every URL, or after the number of a URL and a colon to
// that one only. With one URL, expectations have no number.
func SplitByURL(exprs []string, urls int) ([][]string, error) {
	out := make([][]string, urls)
	for _, all := range exprs {
		for expr := range strings.SplitSeq(all, ",") {
			parts := ofURL.FindStringSubmatch(strings.TrimSpace(expr))
			if urls == 1 || parts == nil {
				for i := range out {
					out[i] = append(out[i], expr)
				}
				continue
			}
			n, err := strconv.Atoi(parts[1])
			if err != nil || n < 1 || n > urls {
				return nil, fmt.Errorf("--expect %q: there is no URL number %s; the run has %d URLs", expr, parts[1], urls)
			}
			out[n-1] = append(out[n-1], parts[2])
		}
	}
	return out, nil
}
