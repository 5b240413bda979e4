package cmd

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// lifetime is a flag with a duration in days and weeks too, such as 60d, 2w or 36h. Every flag of this plugin that takes a duration is one, so that all accept the
// same texts.
type lifetime time.Duration

var lifetimePart = regexp.MustCompile(`^([0-9]{1,6})(w|d|h|m|s)`)

// Set parses the flag's value.
func (l *lifetime) Set(text string) error {
	units := map[string]time.Duration{"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}
	var sum time.Duration
	rest := text
	if text == "0" {
		rest, text = "", "0s"
	}
	for rest != "" {
		part := lifetimePart.FindStringSubmatch(rest)
		if part == nil {
			break
		}
		n, err := strconv.Atoi(part[1])
		if err != nil {
			break
		}
		sum += time.Duration(n) * units[part[2]]
		rest = rest[len(part[0]):]
	}
	if rest != "" { // such as 1.5h and 500ms
		var err error
		if sum, err = time.ParseDuration(text); err == nil && sum >= 0 {
			rest = ""
		}
	}
	if rest != "" || text == "" {
		return fmt.Errorf("%q is not a duration; write for example 60d, 2w or 36h", text)
	}
	const most = 100 * 366 * 24 * time.Hour
	if sum < 0 || sum > most {
		return fmt.Errorf("%q is more than 100 years", text)
	}
	*l = lifetime(sum)
	return nil
}

// waitFlag is --wait as it is typed again, nothing for its default.
func waitFlag(wait, standard time.Duration) []string {
	if wait == standard {
		return nil
	}
	return []string{"--wait=" + (*lifetime)(&wait).String()}
}

// String prints whole days as days.
func (l *lifetime) String() string {
	const day = 24 * time.Hour
	d := time.Duration(*l)
	if d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String() // 1h30m0s
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Type names the kind of the value in help texts.
func (l *lifetime) Type() string { return "duration" }
